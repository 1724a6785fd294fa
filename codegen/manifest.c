/* The manifest of a file: all entries of a program in one blob (docs/format.md).
 *
 * Requires plans whose sizes are ground. Sizes, parameters and states of all entries are gathered into
 * tables of the program, in the order they are first met, so the bytes depend on nothing else. */
#include "manifest.h"

#include <string.h>

static void fail(Writer *w, const char *what) {
    if (!w->error) w->error = what;
}

/* ---- sizes --------------------------------------------------------------------------------------- */

static uint32_t axis_number(Writer *w, Sizes *s, uint32_t axis) {
    const char *name = size_axis_name(s, axis);
    for (uint32_t i = 0; i < w->axes.n; i++)
        if (strcmp(w->axes.data[i], name) == 0) return i;
    *PUSH(w->arena, &w->axes) = arena_str(w->arena, name);
    *PUSH(w->arena, &w->multiples) = size_axis_multiple(s, axis);
    return w->axes.n - 1;
}

static uint32_t quotient_number(Writer *w, uint32_t p, uint32_t q) {
    for (uint32_t i = 0; i < w->quotients.n; i++)
        if (w->quotients.data[i].p == p && w->quotients.data[i].q == q) return i;
    *PUSH(w->arena, &w->quotients) = (Quotient){p, q};
    return w->quotients.n - 1;
}

/* Axes are the atoms 0, 1, ...; quotients -1, -2, ... */
static void pack_term(Writer *w, Text *t, Sizes *s, const SizeTerm *x) {
    pack_array(t, 2 + 2 * (size_t)x->n);
    pack_int(t, x->num);
    pack_int(t, x->den);
    for (uint32_t i = 0; i < x->n; i++) {
        const SizeFactor *f = &x->f[i];
        if (f->is_quotient)
            pack_int(t, -1 - (int64_t)quotient_number(w, write_size(w, s, f->p),
                                                      write_size(w, s, f->q)));
        else
            pack_int(t, axis_number(w, s, f->axis));
        pack_int(t, f->exp);
    }
}

static Bytes pack_size(Writer *w, Sizes *s, Size a) {
    Text t = text_new(w->arena);
    uint32_t n = size_terms(s, a);
    pack_array(&t, n);
    for (uint32_t i = 0; i < n; i++) {
        SizeTerm x;
        if (!size_term(s, a, i, &x)) fail(w, "a size of the plan is not ground");
        pack_term(w, &t, s, &x);
    }
    return (Bytes){t.data, t.n};
}

static uint32_t number_in(Arena *a, Formulas *table, Bytes b) {
    for (uint32_t i = 0; i < table->n; i++)
        if (table->data[i].n == b.n && memcmp(table->data[i].data, b.data, b.n) == 0) return i;
    *PUSH(a, table) = b;
    return table->n - 1;
}

uint32_t write_size(Writer *w, Sizes *s, Size a) {
    if (!a) fail(w, "a size of the plan is none");
    a = a ? size_ground(s, a) : size_num(s, 0);
    if (!a) return fail(w, "a size of the plan is too large"), 0;
    return number_in(w->arena, &w->sizes, pack_size(w, s, a));
}

uint32_t write_count(Writer *w, Sizes *s, Size a) {
    a = a ? size_ground(s, a) : 0;
    return number_in(w->arena, &w->counts, pack_size(w, s, a ? a : size_num(s, 0)));
}

static int64_t number_of(Writer *w, Sizes *s, Size a) {
    int64_t n = 0;
    if (!size_value(s, a, &n)) fail(w, "a parameter's shape depends on a run-time axis");
    return n;
}

/* ---- parameters and states of the program ---------------------------------------------------------- */

/* 0: other names; 1: the same; -1: some are the same. */
static int same_members(const Member *a, uint32_t n, const Member *b, uint32_t m) {
    uint32_t same = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < m; k++)
            if (strcmp(a[i].name, b[k].name) == 0) same += i == k ? 1 : 2;
    return same == 0 ? 0 : same == n && n == m ? 1 : -1;
}

/* What training makes of a parameter (frozen, promoted) only an entry that trains knows. */
static uint32_t find_param(Writer *w, Graph *g, uint32_t index, bool trains) {
    const ParamInfo *p = &g->params.data[index];
    for (uint32_t i = 0; i < w->params.n; i++) {
        const Tensor *t = &w->params.data[i];
        const ParamInfo *q = &t->g->params.data[t->index];
        int same = same_members(p->members.data, p->members.n, q->members.data, q->members.n);
        if (same < 0)
            fail(w, arena_printf(w->arena, "two entries group the parameter '%s' in two ways",
                                 p->members.data[0].name));
        if (same && trains && !t->trains)
            w->params.data[i] = (Tensor){.g = g, .index = index, .trains = true};
        if (same) return i;
    }
    *PUSH(w->arena, &w->params) = (Tensor){.g = g, .index = index, .trains = trains};
    return w->params.n - 1;
}

static uint32_t find_state(Writer *w, Graph *g, uint32_t index) {
    const StateInfo *p = &g->states.data[index];
    for (uint32_t i = 0; i < w->states.n; i++) {
        const Tensor *t = &w->states.data[i];
        const StateInfo *q = &t->g->states.data[t->index];
        int same = same_members(p->members.data, p->members.n, q->members.data, q->members.n);
        if (same < 0)
            fail(w, arena_printf(w->arena, "two entries group the state '%s' in two ways",
                                 p->members.data[0].name));
        if (same) return i;
    }
    *PUSH(w->arena, &w->states) =
        (Tensor){.g = g, .index = index, .dtype = DT_F32, .optimizer = p->optimizer};
    return w->states.n - 1;
}

static uint8_t state_dtype(const Plan *p, Value v) {
    BufId b = p->buf_of[v];
    return b == UINT32_MAX ? (uint8_t)DT_F32 : p->bufs.data[b].dtype;
}

static void gather_entry(Writer *w, uint32_t e) {
    const Plan *p = w->entries[e].plan;
    Graph *g = p ? p->g : w->entries[e].graph;
    bool trains = false;
    for (uint32_t i = 0; i < g->outputs.n; i++)
        trains =
            trains || g->outputs.data[i].kind == OUT_GRAD || g->outputs.data[i].kind == OUT_PARAM;
    w->param_of[e] = NEWN(w->arena, uint32_t, g->params.n + 1);
    w->state_of[e] = NEWN(w->arena, uint32_t, g->states.n + 1);
    for (uint32_t i = 0; i < size_axes(g->sizes); i++) (void)axis_number(w, g->sizes, i);
    for (uint32_t i = 0; i < g->params.n; i++) w->param_of[e][i] = find_param(w, g, i, trains);
    if (!p) return;
    for (uint32_t i = 0; i < g->states.n; i++) {
        w->state_of[e][i] = UINT32_MAX;
        if (!g->states.data[i].value) continue; /* the entry starts sequences by itself */
        uint32_t at = w->state_of[e][i] = find_state(w, g, i);
        w->states.data[at].dtype = state_dtype(p, g->states.data[i].value);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        if (o->kind == OUT_OPT && w->state_of[e][o->index] != UINT32_MAX)
            w->states.data[w->state_of[e][o->index]].optimizer = true;
    }
}

static const char *const init_word[] = {[INIT_FORMULA] = "formula",
                                        [INIT_UNIFORM] = "uniform",
                                        [INIT_NORMAL] = "normal",
                                        [INIT_TRUNC_NORMAL] = "trunc_normal",
                                        [INIT_ORTHOGONAL] = "orthogonal"};

static void write_member(Text *t, const ParamInfo *p, uint32_t i) {
    const Member *m = &p->members.data[i];
    uint32_t n = MAX_LEVELS;
    while (n > 0 && m->counters[n - 1] == 0) n--;
    pack_array(t, 5);
    pack_str(t, m->name);
    pack_array(t, n);
    for (uint32_t k = 0; k < n; k++) pack_int(t, m->counters[k]);
    pack_bool(t, m->frozen);
    pack_real(t, i < p->init_a.n ? p->init_a.data[i] : 0);
    pack_real(t, i < p->init_b.n ? p->init_b.data[i] : 0);
}

static void write_numbers(Writer *w, Text *t, Sizes *s, const Size *dims, uint32_t n) {
    pack_array(t, n);
    for (uint32_t i = 0; i < n; i++) pack_int(t, number_of(w, s, dims[i]));
}

static void write_param(Writer *w, Text *t, const Tensor *x) {
    Graph *g = x->g;
    const ParamInfo *p = &g->params.data[x->index];
    const ValueInfo *v = graph_value(g, p->value);
    uint32_t rank = (uint32_t)v->rank - p->family;
    pack_map(t, 12);
    pack_str(t, "members");
    pack_array(t, p->members.n);
    for (uint32_t i = 0; i < p->members.n; i++) write_member(t, p, i);
    pack_str(t, "lead");
    write_numbers(w, t, g->sizes, v->dims, p->family);
    pack_str(t, "shape");
    write_numbers(w, t, g->sizes, v->dims + p->family, rank);
    pack_str(t, "stored");
    if (p->stored_rank)
        write_numbers(w, t, g->sizes, p->stored, p->stored_rank);
    else
        write_numbers(w, t, g->sizes, v->dims + p->family, rank);
    pack_str(t, "written");
    pack_array(t, rank);
    for (uint32_t i = 0; i < rank; i++)
        pack_str(t, p->written[i] ? size_str(g->sizes, p->written[i]) : "");
    pack_str(t, "init");
    pack_str(t, init_word[p->init]);
    pack_str(t, "formula");
    if (p->init == INIT_FORMULA)
        write_formula(w, t, g, p->formula);
    else
        pack_array(t, 0);
    pack_str(t, "is_int");
    pack_bool(t, v->type == T_INT);
    pack_str(t, "lr");
    pack_real(t, p->lr);
    pack_str(t, "decay");
    pack_real(t, p->decay);
    pack_str(t, "frozen");
    pack_bool(t, p->frozen);
    pack_str(t, "promoted");
    pack_bool(t, p->promoted);
}

/* The constant a state of the optimizer starts as. */
static double first_number(Graph *g, const StateInfo *s) {
    const Node *n = s->start ? graph_node(g, graph_value(g, s->start)->node) : NULL;
    if (!n || n->kind != N_EQ || n->red != RED_NONE) return 0;
    const Expr *e = graph_expr(g, n->expr);
    return e->op == X_NUM ? e->num : e->op == X_INT ? (double)e->i : 0;
}

static void write_state(Writer *w, Text *t, const Tensor *x) {
    Graph *g = x->g;
    const StateInfo *s = &g->states.data[x->index];
    const ValueInfo *v = graph_value(g, s->value);
    pack_map(t, 7);
    pack_str(t, "members");
    pack_array(t, s->members.n);
    for (uint32_t i = 0; i < s->members.n; i++) pack_str(t, s->members.data[i].name);
    pack_str(t, "lead");
    write_numbers(w, t, g->sizes, v->dims, s->family);
    pack_str(t, "shape");
    pack_array(t, (size_t)v->rank - s->family);
    for (uint32_t i = s->family; i < v->rank; i++) pack_int(t, write_size(w, g->sizes, v->dims[i]));
    pack_str(t, "dtype");
    pack_int(t, x->dtype);
    pack_str(t, "delay");
    pack_bool(t, s->delay);
    pack_str(t, "optimizer");
    pack_bool(t, x->optimizer);
    pack_str(t, "first");
    pack_real(t, x->optimizer ? first_number(g, s) : 0);
}

/* What the reader would refuse (docs/format.md, section 5). */
static void check_limits(Writer *w) {
    if (w->axes.n > RW_FILE_AXES) fail(w, "a file holds at most 64 run-time axes");
    for (uint32_t i = 0; i < w->params.n; i++) {
        const ParamInfo *p = &w->params.data[i].g->params.data[w->params.data[i].index];
        uint32_t rank =
            p->stored_rank ? p->stored_rank
                           : (uint32_t)graph_value(w->params.data[i].g, p->value)->rank - p->family;
        if (rank > RW_FILE_OUTER) fail(w, "a parameter has more than 8 axes");
    }
    for (uint32_t i = 0; i < w->states.n; i++) {
        Graph *g = w->states.data[i].g;
        const StateInfo *s = &g->states.data[w->states.data[i].index];
        if (graph_value(g, s->value)->rank - s->family > RW_FILE_OUTER)
            fail(w, "a state has more than 8 axes");
    }
    for (uint32_t e = 0; e < w->n_entries; e++) {
        Graph *g = w->entries[e].graph;
        for (uint32_t i = 0; w->entries[e].plan && i < g->inputs.n; i++)
            if (graph_value(g, g->inputs.data[i].value)->rank > RW_FILE_OUTER)
                fail(w, "an input has more than 8 axes");
    }
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void write_target(Writer *w, Text *t) {
    const TargetInfo *x = w->target;
    uint32_t n = 1;
    for (const char *s = x->features; *s; s++) n += *s == '+';
    pack_map(t, 5);
    pack_str(t, "name");
    pack_str(t, x->name);
    pack_str(t, "triple");
    pack_str(t, x->triple);
    pack_str(t, "needs");
    pack_array(t, n);
    pack_str(t, x->cpu);
    for (const char *s = x->features; *s; s++)
        if (*s == '+') pack_str(t, arena_strn(w->arena, s + 1, strcspn(s + 1, ",")));
    pack_str(t, "amx");
    pack_bool(t, x->amx);
    pack_str(t, "rates");
    pack_array(t, w->rates->n);
    for (uint32_t i = 0; i < w->rates->n; i++) {
        const RateCode *r = &w->rates->of[i];
        pack_array(t, 4);
        pack_str(t, r->symbol);
        pack_int(t, r->number);
        pack_int(t, r->block);
        pack_int(t, r->operations);
    }
}

static void write_formulas(Text *t, const char *key, const Formulas *all) {
    pack_str(t, key);
    pack_array(t, all->n);
    for (uint32_t i = 0; i < all->n; i++) text_addn(t, all->data[i].data, all->data[i].n);
}

static void write_tables(Writer *w, Text *t) {
    pack_str(t, "axes");
    pack_array(t, w->axes.n);
    for (uint32_t i = 0; i < w->axes.n; i++) {
        pack_array(t, 2);
        pack_str(t, w->axes.data[i]);
        pack_int(t, w->multiples.data[i]);
    }
    pack_str(t, "quotients");
    pack_array(t, w->quotients.n);
    for (uint32_t i = 0; i < w->quotients.n; i++) {
        pack_array(t, 2);
        pack_int(t, w->quotients.data[i].p);
        pack_int(t, w->quotients.data[i].q);
    }
    write_formulas(t, "sizes", &w->sizes);
    write_formulas(t, "counts", &w->counts);
}

const char *manifest_write(Arena *a, const FileEntry *entries, uint32_t n, const TargetInfo *target,
                           const Rates *rates, const char *program, const void **blob,
                           size_t *bytes) {
    Writer w = {.arena = a, .entries = entries, .n_entries = n, .target = target, .rates = rates};
    w.param_of = NEWN(a, uint32_t *, n + 1);
    w.state_of = NEWN(a, uint32_t *, n + 1);
    for (uint32_t i = 0; i < n; i++) gather_entry(&w, i);
    check_limits(&w);
    /* The tables of sizes are known last and stand first: whoever reads checks as it goes. */
    Text rest = text_new(a);
    pack_str(&rest, "params");
    pack_array(&rest, w.params.n);
    for (uint32_t i = 0; i < w.params.n; i++) write_param(&w, &rest, &w.params.data[i]);
    pack_str(&rest, "states");
    pack_array(&rest, w.states.n);
    for (uint32_t i = 0; i < w.states.n; i++) write_state(&w, &rest, &w.states.data[i]);
    pack_str(&rest, "entries");
    uint32_t planned = 0;
    for (uint32_t i = 0; i < n; i++) planned += entries[i].plan != NULL;
    pack_array(&rest, planned);
    for (uint32_t i = 0; i < n; i++)
        if (entries[i].plan) write_entry(&w, &rest, i);
    Text t = text_new(a);
    pack_map(&t, 10);
    pack_str(&t, "format");
    pack_int(&t, RW_FORMAT_VERSION);
    pack_str(&t, "program");
    pack_str(&t, program);
    pack_str(&t, "target");
    write_target(&w, &t);
    write_tables(&w, &t);
    text_addn(&t, rest.data, rest.n);
    *blob = t.data;
    *bytes = t.n;
    return w.error;
}
