/* The manifest into structures. Every number is checked where it is read: counts against the bytes
 * left (so what is allocated is bounded by the size of the file), numbers of other things against
 * what was read before. docs/format.md has the grammar. */
#include <string.h>

#include "formula.h"
#include "program.h"
#include "unpack.h"
#include "weights_impl.h"

typedef struct reader {
    unpacker u;
    rw_program *p;
    entry *e;       /* being read */
    uint32_t depth; /* loops around */
    const op *loop[RW_FILE_LEVELS];
    int64_t
        iterations[RW_FILE_LEVELS]; /* of the class whose ops are being read: most members chosen */
} reader;

const char *const output_words[OUT_KINDS] = {"result", "state", "loss",  "penalty",
                                             "metric", "grad",  "param", "opt"};
static const char *const init_words[INIT_KINDS] = {"formula", "uniform", "normal", "trunc_normal",
                                                   "orthogonal"};

/* The largest number of elements or bytes anything may have. */
#define MOST ((int64_t)1 << 50)

/* n things of the pool, for a count that was bounded by the bytes left; NULL after a mistake. */
static void *take(reader *r, size_t n, size_t each) {
    if (!unpack_good(&r->u)) return NULL;
    void *p = pool_take(&r->p->pool, n > 0 ? n : 1, each);
    if (p == NULL) unpack_fail(&r->u, "no memory");
    return p;
}
#define TAKE(r, T, n) ((T *)take((r), (n), sizeof(T)))

static const char *text(reader *r) {
    size_t n;
    const char *s = unpack_text(&r->u, &n);
    if (!text_is_valid(s, n)) unpack_fail(&r->u, "text that is not UTF-8");
    char *copy = unpack_good(&r->u) ? pool_text(&r->p->pool, s, n) : NULL;
    if (copy == NULL) {
        unpack_fail(&r->u, "no memory");
        return "";
    }
    return copy;
}

static uint8_t word(reader *r, const char *const *words, uint32_t n) {
    size_t length;
    const char *s = unpack_text(&r->u, &length);
    for (uint32_t i = 0; i < n; i++)
        if (strlen(words[i]) == length && memcmp(words[i], s, length) == 0) return (uint8_t)i;
    unpack_fail(&r->u, "an unknown word");
    return 0;
}

/* ---- sizes ---------------------------------------------------------------------------------- */

static void read_axes(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "axes");
    size_t n = unpack_array(&r->u);
    if (n > RW_FILE_AXES) unpack_fail(&r->u, "too many axes");
    p->axes = TAKE(r, axis, n);
    for (; p->n_axes < n && unpack_good(&r->u); p->n_axes++) {
        unpack_array_of(&r->u, 2);
        axis *a = &p->axes[p->n_axes];
        a->name = text(r);
        a->multiple = unpack_int(&r->u, 1, MOST);
    }
}

static void read_quotients(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "quotients");
    size_t n = unpack_array(&r->u);
    p->quotients = TAKE(r, quotient, n);
    for (; p->n_quotients < n && unpack_good(&r->u); p->n_quotients++) {
        unpack_array_of(&r->u, 2);
        p->quotients[p->n_quotients].p = (uint32_t)unpack_int(&r->u, 0, UINT32_MAX - 1);
        p->quotients[p->n_quotients].q = (uint32_t)unpack_int(&r->u, 0, UINT32_MAX - 1);
    }
}

/* A factor of size `number`; returns the axes it depends on. */
static uint64_t read_factor(reader *r, factor *f, uint32_t number) {
    const rw_program *p = r->p;
    f->atom = (int32_t)unpack_int(&r->u, -(int64_t)p->n_quotients, (int64_t)p->n_axes - 1);
    f->exp = (int32_t)unpack_int(&r->u, -16, 16);
    if (!unpack_good(&r->u)) return 0;
    if (f->atom >= 0) return (uint64_t)1 << f->atom;
    const quotient *q = &p->quotients[-1 - f->atom];
    if (q->p < number && q->q < number) return p->sizes[q->p].uses | p->sizes[q->q].uses;
    unpack_fail(&r->u, "a quotient of a later size");
    return 0;
}

/* Of a size that may use the sizes before `number`; *uses: axes it depends on. */
static void read_term(reader *r, term *t, uint32_t number, uint64_t *uses) {
    size_t n = unpack_array(&r->u);
    if (n < 2 || n % 2 != 0 || n > 2 + 2 * RW_FILE_FACTORS)
        unpack_fail(&r->u, "a term has another length");
    t->num = unpack_int(&r->u, -MOST, MOST);
    t->den = unpack_int(&r->u, 1, MOST);
    t->n = unpack_good(&r->u) ? (uint32_t)(n - 2) / 2 : 0;
    t->f = TAKE(r, factor, t->n);
    for (uint32_t i = 0; i < t->n && unpack_good(&r->u); i++)
        *uses |= read_factor(r, &t->f[i], number);
}

static void read_formula_terms(reader *r, size *s, uint32_t number) {
    size_t terms = unpack_array(&r->u);
    s->t = TAKE(r, term, terms);
    for (; s->n < terms && unpack_good(&r->u); s->n++) read_term(r, &s->t[s->n], number, &s->uses);
}

static void read_sizes(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "sizes");
    size_t n = unpack_array(&r->u);
    p->sizes = TAKE(r, size, n);
    for (; p->n_sizes < n && unpack_good(&r->u); p->n_sizes++)
        read_formula_terms(r, &p->sizes[p->n_sizes], p->n_sizes);
    unpack_key(&r->u, "counts");
    n = unpack_array(&r->u);
    p->counts = TAKE(r, size, n);
    for (; p->n_counts < n && unpack_good(&r->u); p->n_counts++)
        read_formula_terms(r, &p->counts[p->n_counts], p->n_sizes);
}

static void read_work(reader *r, uint32_t *work) {
    unpack_array_of(&r->u, RW_FILE_WORKS);
    for (int i = 0; i < RW_FILE_WORKS && unpack_good(&r->u); i++)
        work[i] = unpack_below(&r->u, r->p->n_counts);
}

static uint8_t read_dims(reader *r, uint32_t *dims) {
    size_t n = unpack_array(&r->u);
    if (n > RW_FILE_RANK) unpack_fail(&r->u, "too many axes");
    for (size_t i = 0; i < n && unpack_good(&r->u); i++)
        dims[i] = unpack_below(&r->u, r->p->n_sizes);
    return unpack_good(&r->u) ? (uint8_t)n : 0;
}

/* ---- parameters and states -------------------------------------------------------------------- */

static uint8_t read_numbers(reader *r, int64_t *out) {
    size_t n = unpack_array(&r->u);
    if (n > RW_FILE_RANK) unpack_fail(&r->u, "too many axes");
    for (size_t i = 0; i < n && unpack_good(&r->u); i++) out[i] = unpack_int(&r->u, 1, MOST);
    return unpack_good(&r->u) ? (uint8_t)n : 0;
}

static int64_t product(reader *r, const int64_t *dims, uint32_t n) {
    int64_t all = 1;
    for (uint32_t i = 0; i < n && unpack_good(&r->u); i++)
        if (__builtin_mul_overflow(all, dims[i], &all) || all > MOST)
            unpack_fail(&r->u, "a tensor is too large");
    return unpack_good(&r->u) ? all : 0;
}

static void read_member(reader *r, member *k) {
    unpack_array_of(&r->u, 5);
    k->name = text(r);
    size_t n = unpack_array(&r->u);
    if (n > RW_FILE_LEVELS) unpack_fail(&r->u, "too many counters");
    for (size_t i = 0; i < n && unpack_good(&r->u); i++)
        k->counters[i] = unpack_int(&r->u, -MOST, MOST);
    k->frozen = unpack_bool(&r->u);
    k->a = unpack_real(&r->u);
    k->b = unpack_real(&r->u);
}

static void read_formula(reader *r, param *x) {
    unpack_key(&r->u, "formula");
    size_t n = unpack_array(&r->u);
    x->formula = TAKE(r, formula_node, n);
    for (; x->n_formula < n && unpack_good(&r->u); x->n_formula++) {
        formula_node *f = &x->formula[x->n_formula];
        size_t length = unpack_array(&r->u), name_length;
        const char *name = unpack_text(&r->u, &name_length);
        if (!formula_op(f, name, name_length) || length != 1u + f->n_args) {
            unpack_fail(&r->u, "an unknown function");
            return;
        }
        if (f->op == FORMULA_NUM)
            f->num = unpack_real(&r->u);
        else if (f->op == FORMULA_INT)
            f->i = unpack_int(&r->u, INT64_MIN, INT64_MAX);
        else if (f->op == FORMULA_IDX)
            f->i = unpack_below(&r->u, x->rank);
        else if (f->op == FORMULA_LVL)
            f->i = unpack_below(&r->u, RW_FILE_LEVELS);
        else
            for (uint32_t i = 0; i < f->n_args; i++) f->arg[i] = unpack_below(&r->u, x->n_formula);
        formula_type(x->formula, f);
    }
    if ((x->init == INIT_FORMULA) != (n > 0))
        unpack_fail(&r->u, "a first value without a formula, or with one too many");
}

static void read_shapes(reader *r, param *x) {
    unpack_key(&r->u, "lead");
    x->family = read_numbers(r, x->lead);
    unpack_key(&r->u, "shape");
    x->rank = read_numbers(r, x->shape);
    unpack_key(&r->u, "stored");
    x->stored_rank = read_numbers(r, x->stored);
    if (product(r, x->lead, x->family) != (int64_t)x->n_members)
        unpack_fail(&r->u, "a family has another number of members");
    int64_t count = product(r, x->shape, x->rank);
    if (count != product(r, x->stored, x->stored_rank))
        unpack_fail(&r->u, "the stored shape has another number of elements");
    if (x->stored_rank > RW_MAX_RANK || x->family + x->rank > RW_FILE_RANK ||
        count > MOST / (int64_t)(x->n_members + 1))
        unpack_fail(&r->u, "a tensor is too large");
    x->count = (size_t)count;
    unpack_key(&r->u, "written");
    unpack_array_of(&r->u, x->rank);
    for (uint32_t i = 0; i < x->rank && unpack_good(&r->u); i++) x->written[i] = text(r);
}

static void read_param(reader *r, param *x) {
    unpack_map_of(&r->u, 12);
    unpack_key(&r->u, "members");
    size_t n = unpack_array(&r->u);
    x->members = TAKE(r, member, n);
    for (; x->n_members < n && unpack_good(&r->u); x->n_members++)
        read_member(r, &x->members[x->n_members]);
    read_shapes(r, x);
    unpack_key(&r->u, "init");
    x->init = word(r, init_words, INIT_KINDS);
    read_formula(r, x);
    unpack_key(&r->u, "is_int");
    x->is_int = unpack_bool(&r->u);
    unpack_key(&r->u, "lr");
    x->lr = unpack_real(&r->u);
    unpack_key(&r->u, "decay");
    x->decay = unpack_real(&r->u);
    unpack_key(&r->u, "frozen");
    x->frozen = unpack_bool(&r->u);
    unpack_key(&r->u, "promoted");
    x->promoted = unpack_bool(&r->u);
}

static void read_state(reader *r, state *x) {
    unpack_map_of(&r->u, 7);
    unpack_key(&r->u, "members");
    size_t n = unpack_array(&r->u);
    x->members = TAKE(r, const char *, n);
    for (; x->n_members < n && unpack_good(&r->u); x->n_members++)
        x->members[x->n_members] = text(r);
    unpack_key(&r->u, "lead");
    x->family = read_numbers(r, x->lead);
    if (product(r, x->lead, x->family) != (int64_t)x->n_members)
        unpack_fail(&r->u, "a family has another number of members");
    unpack_key(&r->u, "shape");
    x->rank = read_dims(r, x->dims);
    if (x->rank > RW_MAX_RANK || x->family + x->rank > RW_FILE_RANK)
        unpack_fail(&r->u, "too many axes");
    unpack_key(&r->u, "dtype");
    x->dtype = (uint8_t)unpack_below(&r->u, RW_FILE_DTYPES);
    unpack_key(&r->u, "delay");
    x->delay = unpack_bool(&r->u);
    unpack_key(&r->u, "optimizer");
    x->optimizer = unpack_bool(&r->u);
    unpack_key(&r->u, "first");
    x->first = unpack_real(&r->u);
}

/* ---- entries ---------------------------------------------------------------------------------- */

static void read_inputs(reader *r) {
    unpack_key(&r->u, "inputs");
    size_t n = unpack_array(&r->u);
    r->e->inputs = TAKE(r, input, n);
    for (; r->e->n_inputs < n && unpack_good(&r->u); r->e->n_inputs++) {
        input *x = &r->e->inputs[r->e->n_inputs];
        unpack_array_of(&r->u, 5);
        x->name = text(r);
        x->dtype = (uint8_t)unpack_below(&r->u, RW_FILE_DTYPES);
        x->rank = read_dims(r, x->dims);
        x->below = unpack_int(&r->u, 0, MOST);
        x->scalar = unpack_bool(&r->u);
        if (x->rank > RW_MAX_RANK || (x->scalar && x->rank != 0))
            unpack_fail(&r->u, "an input has too many axes");
    }
}

static void read_buffers(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "buffers");
    size_t n = unpack_array(&r->u);
    r->e->buffers = TAKE(r, buffer, n);
    for (; r->e->n_buffers < n && unpack_good(&r->u); r->e->n_buffers++) {
        buffer *b = &r->e->buffers[r->e->n_buffers];
        unpack_array_of(&r->u, 9);
        b->role = (uint8_t)unpack_below(&r->u, RW_ROLES);
        size_t most = b->role == RW_ROLE_INPUT   ? r->e->n_inputs
                      : b->role == RW_ROLE_PARAM ? p->n_params
                      : b->role == RW_ROLE_STATE ? p->n_states
                                                 : (size_t)UINT32_MAX;
        b->index = unpack_below(&r->u, most);
        b->dtype = (uint8_t)unpack_below(&r->u, RW_FILE_DTYPES);
        b->family = (uint8_t)unpack_below(&r->u, RW_FILE_RANK + 1);
        b->carry = unpack_bool(&r->u);
        b->born = (uint32_t)unpack_int(&r->u, 0, UINT32_MAX);
        b->dies = (uint32_t)unpack_int(&r->u, b->born, UINT32_MAX);
        b->over = (uint32_t)unpack_int(&r->u, -1, UINT32_MAX - 1); /* -1: NOWHERE */
        b->rank = read_dims(r, b->dims);
        if (b->family > b->rank) unpack_fail(&r->u, "a family of more axes than there are");
    }
}

static void read_kernels(reader *r) {
    unpack_key(&r->u, "kernels");
    size_t n = unpack_array(&r->u);
    r->e->kernels = TAKE(r, kernel, n);
    for (; r->e->n_kernels < n && unpack_good(&r->u); r->e->n_kernels++) {
        kernel *k = &r->e->kernels[r->e->n_kernels];
        unpack_array_of(&r->u, 10);
        k->symbol = text(r);
        k->name = text(r);
        k->grid = unpack_below(&r->u, r->p->n_sizes);
        k->scratch = unpack_below(&r->u, r->p->n_sizes);
        size_t m = unpack_array(&r->u);
        k->sizes = TAKE(r, uint32_t, m);
        for (; k->n_sizes < m && unpack_good(&r->u); k->n_sizes++)
            k->sizes[k->n_sizes] = unpack_below(&r->u, r->p->n_sizes);
        m = unpack_array(&r->u);
        k->writes = TAKE(r, bool, m);
        for (; k->n_args < m && unpack_good(&r->u); k->n_args++)
            k->writes[k->n_args] = unpack_bool(&r->u);
        read_work(r, k->work);
        k->block = unpack_below(&r->u, RW_FILE_BLOCK + 1);
        k->local = unpack_below(&r->u, RW_FILE_LOCAL + 1);
        k->levels = unpack_below(&r->u, RW_FILE_LEVELS + 1);
        if (k->n_args > r->e->max_args) r->e->max_args = k->n_args;
    }
}

/* The iterations of a loop around choose along axis i: there must be as many members. */
static void check_level(reader *r, const buffer *b, uint32_t i, uint32_t level) {
    int64_t most = -1;
    for (uint32_t d = 0; d < r->depth; d++)
        if (r->loop[d]->level == level) most = r->iterations[d];
    if (most < 0 || i >= b->rank) {
        unpack_fail(&r->u, "a member is chosen by a loop that is not around");
        return;
    }
    int64_t length = rw_size_eval(r->p, b->dims[i], NULL, NULL);
    if (length == SIZE_NONE || length < most)
        unpack_fail(&r->u, "a loop has more iterations than there are members");
}

static void read_arg(reader *r, arg *a) {
    size_t n = unpack_array(&r->u);
    if (n < 1 || n > 1 + RW_FILE_MEMBER) unpack_fail(&r->u, "an argument has another length");
    a->buf = unpack_below(&r->u, r->e->n_buffers);
    for (size_t i = 1; i < n && unpack_good(&r->u); i++) {
        a->level[a->n_level] = (uint8_t)unpack_below(&r->u, RW_FILE_LEVELS);
        check_level(r, &r->e->buffers[a->buf], a->n_level, a->level[a->n_level]);
        a->n_level++;
    }
}

static void read_ops(reader *r, ops *to);

static void read_loop(reader *r, op *o) {
    o->level = (uint8_t)unpack_below(&r->u, RW_FILE_LEVELS);
    o->reverse = unpack_bool(&r->u);
    size_t n = unpack_array(&r->u);
    o->class_of = TAKE(r, uint32_t, n);
    for (; o->count < n && unpack_good(&r->u); o->count++)
        o->class_of[o->count] = (uint32_t)unpack_int(&r->u, 0, UINT32_MAX - 1);
    unpack_array_of(&r->u, n);
    o->pos_of = TAKE(r, uint32_t, n);
    for (size_t i = 0; i < n && unpack_good(&r->u); i++) o->pos_of[i] = unpack_below(&r->u, n);
    size_t classes = unpack_array(&r->u);
    for (size_t i = 0; i < n && unpack_good(&r->u); i++)
        if (o->class_of[i] >= classes) unpack_fail(&r->u, "an iteration of no class");
    if (r->depth >= RW_FILE_LEVELS) unpack_fail(&r->u, "too many loops in each other");
    o->bodies = TAKE(r, ops, classes);
    if (!unpack_good(&r->u)) return;
    for (uint32_t d = 0; d < r->depth; d++)
        if (r->loop[d]->level == o->level)
            unpack_fail(&r->u, "two loops of one level in each other");
    r->loop[r->depth++] = o;
    for (; o->n_classes < classes && unpack_good(&r->u); o->n_classes++) {
        int64_t most = 0;
        for (uint32_t k = 0; k < o->count; k++)
            if (o->class_of[k] == o->n_classes && o->pos_of[k] >= most)
                most = (int64_t)o->pos_of[k] + 1;
        r->iterations[r->depth - 1] = most;
        read_ops(r, &o->bodies[o->n_classes]);
    }
    r->depth--;
}

static void read_launch(reader *r, op *o) {
    o->kernel = unpack_below(&r->u, r->e->n_kernels);
    size_t n = unpack_array(&r->u);
    if (unpack_good(&r->u) && n != r->e->kernels[o->kernel].n_args)
        unpack_fail(&r->u, "a launch with another number of arguments");
    o->args = TAKE(r, arg, n);
    for (; o->n_args < n && unpack_good(&r->u); o->n_args++) read_arg(r, &o->args[o->n_args]);
}

static void read_op(reader *r, op *o) {
    size_t n = unpack_array(&r->u);
    o->kind = (uint8_t)unpack_below(&r->u, RW_OPS);
    if (n != (o->kind == RW_OP_LOOP ? 6u : 4u)) unpack_fail(&r->u, "an op has another length");
    if (o->kind == RW_OP_LOOP) {
        read_loop(r, o);
        return;
    }
    if (o->kind == RW_OP_LAUNCH) {
        read_launch(r, o);
        o->beside = unpack_bool(&r->u);
        return;
    }
    o->args = TAKE(r, arg, 2);
    for (; o->n_args < 2 && unpack_good(&r->u); o->n_args++) read_arg(r, &o->args[o->n_args]);
    o->beside = unpack_bool(&r->u);
    if (o->kind != RW_OP_SWAP || !unpack_good(&r->u)) return;
    const buffer *b = r->e->buffers;
    for (int i = 0; i < 2; i++)
        if (!b[o->args[i].buf].carry || b[o->args[i].buf].role == RW_ROLE_PARAM ||
            o->args[i].n_level > 0)
            unpack_fail(&r->u, "only carried buffers are exchanged");
}

static void read_ops(reader *r, ops *to) {
    size_t n = unpack_array(&r->u);
    to->list = TAKE(r, op, n);
    for (; to->n < n && unpack_good(&r->u); to->n++) {
        op *o = &to->list[to->n];
        read_op(r, o);
        uint8_t before = to->n ? o[-1].kind : RW_OP_LOOP;
        if (o->beside && (o->kind == RW_OP_SWAP || before == RW_OP_LOOP || before == RW_OP_SWAP))
            unpack_fail(&r->u, "an op is beside nothing");
    }
}

/* An output is written over the parameter or state of the optimizer that it leads on, and no other. */
static void check_over(reader *r) {
    const entry *e = r->e;
    for (uint32_t i = 0; i < e->n_buffers && unpack_good(&r->u); i++) {
        const buffer *b = &e->buffers[i], *over = &e->buffers[b->over < e->n_buffers ? b->over : i];
        if (b->over == NOWHERE) continue;
        uint32_t n = 0, fits = 0;
        for (uint32_t k = 0; k < e->n_outputs; k++) {
            const output *o = &e->outputs[k];
            n += o->buf == i;
            fits += o->buf == i && o->index == over->index &&
                    ((o->kind == OUT_PARAM && over->role == RW_ROLE_PARAM) ||
                     (o->kind == OUT_OPT && over->role == RW_ROLE_STATE));
        }
        if (n != 1 || fits != 1 || b->role != RW_ROLE_OUTPUT || b->carry ||
            b->dtype != over->dtype || b->rank != over->rank ||
            memcmp(b->dims, over->dims, b->rank * sizeof *b->dims) != 0)
            unpack_fail(&r->u, "an output is written over something else");
    }
}

static void read_outputs(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "outputs");
    size_t n = unpack_array(&r->u);
    r->e->outputs = TAKE(r, output, n);
    for (; r->e->n_outputs < n && unpack_good(&r->u); r->e->n_outputs++) {
        output *o = &r->e->outputs[r->e->n_outputs];
        unpack_array_of(&r->u, 4);
        o->kind = word(r, output_words, OUT_KINDS);
        o->name = text(r);
        o->buf = unpack_below(&r->u, r->e->n_buffers);
        size_t most = o->kind == OUT_GRAD || o->kind == OUT_PARAM  ? p->n_params
                      : o->kind == OUT_STATE || o->kind == OUT_OPT ? p->n_states
                                                                   : 1;
        o->index = unpack_below(&r->u, most);
        for (uint32_t i = 0; o->kind == OUT_PARAM && i < r->e->n_outputs; i++)
            o->is_copy |= r->e->outputs[i].kind == OUT_PARAM && r->e->outputs[i].index == o->index;
    }
    check_over(r);
}

static void read_entry(reader *r) {
    unpack_map_of(&r->u, 8);
    unpack_key(&r->u, "name");
    r->e->name = text(r);
    unpack_key(&r->u, "random");
    r->e->has_random = unpack_bool(&r->u);
    read_inputs(r);
    read_buffers(r);
    read_kernels(r);
    unpack_key(&r->u, "ops");
    read_ops(r, &r->e->ops);
    read_outputs(r);
    unpack_key(&r->u, "work");
    read_work(r, r->e->work);
}

/* ---- the whole --------------------------------------------------------------------------------- */

static void read_rates(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "rates");
    size_t n = unpack_array(&r->u);
    p->rates = TAKE(r, rate, n);
    for (; p->n_rates < n && unpack_good(&r->u); p->n_rates++) {
        rate *x = &p->rates[p->n_rates];
        unpack_array_of(&r->u, 4);
        x->symbol = text(r);
        x->dtype = (uint8_t)unpack_below(&r->u, RW_FILE_DTYPES);
        x->block = (uint32_t)unpack_int(&r->u, 1, RW_FILE_BLOCK);
        x->operations = unpack_int(&r->u, 1, INT64_MAX);
    }
}

static void read_target(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "target");
    unpack_map_of(&r->u, 5);
    unpack_key(&r->u, "name");
    p->target = text(r);
    unpack_key(&r->u, "triple");
    p->triple = text(r);
    unpack_key(&r->u, "needs");
    size_t n = unpack_array(&r->u);
    p->needs = TAKE(r, const char *, n);
    for (; p->n_needs < n && unpack_good(&r->u); p->n_needs++) p->needs[p->n_needs] = text(r);
    unpack_key(&r->u, "amx");
    p->amx = unpack_bool(&r->u);
    read_rates(r);
}

static void read_tensors(reader *r) {
    rw_program *p = r->p;
    unpack_key(&r->u, "params");
    size_t n = unpack_array(&r->u);
    p->params = TAKE(r, param, n);
    for (; p->n_params < n && unpack_good(&r->u); p->n_params++)
        read_param(r, &p->params[p->n_params]);
    unpack_key(&r->u, "states");
    n = unpack_array(&r->u);
    p->states = TAKE(r, state, n);
    for (; p->n_states < n && unpack_good(&r->u); p->n_states++)
        read_state(r, &p->states[p->n_states]);
}

/* Inputs of one name share a slot, whichever entry they are of. */
static void name_slots(reader *r) {
    rw_program *p = r->p;
    size_t n = 0;
    for (uint32_t i = 0; i < p->n_entries; i++) n += p->entries[i].n_inputs;
    p->slots = TAKE(r, const char *, n);
    for (uint32_t i = 0; i < p->n_entries && unpack_good(&r->u); i++)
        for (uint32_t k = 0; k < p->entries[i].n_inputs; k++) {
            input *x = &p->entries[i].inputs[k];
            while (x->slot < p->n_slots && strcmp(p->slots[x->slot], x->name) != 0) x->slot++;
            if (x->slot == p->n_slots) p->slots[p->n_slots++] = x->name;
        }
}

rw_status manifest_read(rw_program *p, const void *data, size_t bytes, rw_message *m) {
    reader r = {.p = p};
    unpack_begin(&r.u, data, bytes);
    unpack_map_of(&r.u, 10);
    unpack_key(&r.u, "format");
    int64_t version = unpack_int(&r.u, 0, INT64_MAX);
    if (unpack_good(&r.u) && version != RW_FORMAT_VERSION)
        return rw_fail(m, RW_BAD_FILE,
                       "%s: version %lld of the format; this runtime reads version %d", p->path,
                       (long long)version, RW_FORMAT_VERSION);
    unpack_key(&r.u, "program");
    p->name = text(&r);
    read_target(&r);
    read_axes(&r);
    read_quotients(&r);
    read_sizes(&r);
    read_tensors(&r);
    unpack_key(&r.u, "entries");
    size_t n = unpack_array(&r.u);
    p->entries = TAKE(&r, entry, n);
    for (; p->n_entries < n && unpack_good(&r.u); p->n_entries++) {
        r.e = &p->entries[p->n_entries];
        read_entry(&r);
    }
    if (unpack_good(&r.u) && r.u.at != r.u.end) unpack_fail(&r.u, "bytes behind the end");
    name_slots(&r);
    if (p->pool.is_out) return rw_fail(m, RW_NO_MEMORY, "%s: no memory for the manifest", p->path);
    if (unpack_good(&r.u)) return RW_OK;
    return rw_fail(m, RW_BAD_FILE, "%s: the manifest is damaged at byte %zu: %s", p->path,
                   r.u.error_at, r.u.error);
}
