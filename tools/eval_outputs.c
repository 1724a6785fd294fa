/* What a run gives: outputs as arrays and numbers, states, and taps of everything with a name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/npy.h"
#include "eval.h"

static bool is_result(const OutputInfo *o) {
    return o->kind == OUT_RESULT || o->kind == OUT_LOSS || o->kind == OUT_PENALTY ||
           o->kind == OUT_METRIC;
}

static int save_output(Eval *e, Interp *in, const OutputInfo *o, const char *path) {
    const Array *a = interp_get(in, o->value);
    rw_tensor t;
    rw_message m = {""};
    int code = array_give(e, o->name, a, 0, a->dims, a->rank, &t);
    if (code != EXIT_DONE) return code;
    rw_status s = rw_npy_save(path, &t, &m);
    return s == RW_OK ? EXIT_DONE : failed(e->command, exit_of_status(s), "%s", m.text);
}

int outputs_save(Eval *e, Interp *in) {
    for (uint32_t i = 0; i < e->g->outputs.n; i++) {
        const OutputInfo *o = &e->g->outputs.data[i];
        const char *path = is_result(o) ? find_pair(&e->options->out, o->name) : NULL;
        int code = path ? save_output(e, in, o, path) : EXIT_DONE;
        if (code != EXIT_DONE) return code;
    }
    return EXIT_DONE;
}

/* The shortest of 15 to 17 digits that reads back as the same number. */
static void print_real(double x) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    fputs(text, stdout);
}

/* Numbers as "loss 5.545", arrays as "logits [1,3,256]". */
void outputs_print(const Eval *e, Interp *in) {
    for (uint32_t i = 0; i < e->g->outputs.n; i++) {
        const OutputInfo *o = &e->g->outputs.data[i];
        if (!is_result(o)) continue;
        const Array *a = interp_get(in, o->value);
        printf("%s ", o->name);
        if (a->rank)
            fputs(shape_text(e->arena, a->dims, a->rank), stdout);
        else if (a->type == T_INT)
            printf("%lld", (long long)*a->ints);
        else if (e->options->float32)
            printf("%.9g", *a->real);
        else
            print_real(*a->real);
        putchar('\n');
    }
}

/* ---- states -------------------------------------------------------------------------------- */

typedef VEC(rw_tensor) Tensors;

static int save_tensors(Eval *e, const Tensors *t, const char *path) {
    rw_message m = {""};
    rw_status s = rw_weights_save(path, t->data, t->n, NULL, &m);
    return s == RW_OK ? EXIT_DONE : failed(e->command, exit_of_status(s), "%s", m.text);
}

int states_save(Eval *e, Interp *in, OutputKind kind, const char *path) {
    Tensors t = {0};
    for (uint32_t i = 0; i < e->g->outputs.n; i++) {
        const OutputInfo *o = &e->g->outputs.data[i];
        if (o->kind != (int)kind) continue;
        const StateInfo *s = &e->g->states.data[o->index];
        const Array *a = interp_get(in, o->value);
        size_t each = array_count(a) / s->members.n;
        for (uint32_t k = 0; k < s->members.n; k++) {
            int code = array_give(e, s->members.data[k].name, a, k * each, a->dims + s->family,
                                  a->rank - s->family, PUSH(e->arena, &t));
            if (code != EXIT_DONE) return code;
        }
    }
    return save_tensors(e, &t, path);
}

/* ---- taps ---------------------------------------------------------------------------------- */

struct Taps {
    Eval *e;
    Tensors tensors;
    Names *names;
    VEC(struct {
        const char *name; /* interned */
        uint32_t n;
    })
    seen;
    int code;
};

Taps *taps_new(Eval *e) {
    Taps *t = NEW(e->arena, Taps);
    t->e = e;
    t->names = names_new(e->arena);
    return t;
}

/* "x", in repeated layers "x@2"; a name met again gets "#2", "#3" behind it. */
static const char *tap_name(Taps *t, const char *name, const int64_t *counters, uint32_t n) {
    Text text = text_new(t->e->arena);
    text_add(&text, name);
    for (uint32_t i = 0; i < n; i++)
        text_printf(&text, "%c%lld", i ? ',' : '@', (long long)counters[i]);
    const char *base = name_of(t->names, text.data);
    for (uint32_t i = 0; i < t->seen.n; i++)
        if (t->seen.data[i].name == base)
            return arena_printf(t->e->arena, "%s#%u", base, ++t->seen.data[i].n);
    (void)PUSH(t->e->arena, &t->seen);
    t->seen.data[t->seen.n - 1].name = base;
    t->seen.data[t->seen.n - 1].n = 1;
    return base;
}

/* Another name for a value that has this name already: "logits = f(x)" where the result is `logits`. */
static bool is_renamed(Graph *g, Value v) {
    const ValueInfo *i = graph_value(g, v);
    const Node *n = graph_node(g, i->node);
    if (n->kind != N_EQ || n->red != RED_NONE || n->out != v) return false;
    const Expr *x = graph_expr(g, n->expr);
    if (x->op != X_READ || !graph_same_dims(g, v, x->value)) return false;
    for (uint32_t k = 0; k < x->n_args; k++) {
        const Expr *s = graph_expr(g, expr_arg(g, n->expr, k));
        if (s->op != X_IDX || s->i != (int64_t)k) return false;
    }
    const Node *from = graph_node(g, graph_value(g, x->value)->node);
    bool made_here = (from->kind == N_EQ || from->kind == N_SCATTER) && from->level == n->level;
    const char *name = graph_value(g, x->value)->name;
    return made_here && name && strcmp(name, i->name) == 0;
}

void taps_take(void *taps, Value v, const Array *a, const int64_t *counters, uint32_t n) {
    Taps *t = taps;
    const char *name = graph_value(t->e->g, v)->name;
    if (!name || t->code != EXIT_DONE || a->rank > RW_MAX_RANK || is_renamed(t->e->g, v)) return;
    /* the array is gone after the call */
    Array copy = *a;
    copy.real = arena_copy(t->e->arena, a->real, 8 * array_count(a));
    t->code = array_give(t->e, tap_name(t, name, counters, n), &copy, 0, a->dims, a->rank,
                         PUSH(t->e->arena, &t->tensors));
}

int taps_save(Taps *t, const char *path) {
    if (t->code != EXIT_DONE) return t->code;
    return save_tensors(t->e, &t->tensors, path);
}
