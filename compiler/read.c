/* The reader of a graph's text; print.c writes it.
 *
 *     graph   : 'graph' STRING  ['axis' axis {',' axis}]  ['random' N]  {line}
 *     axis    : NAME ['%' N]                                      run-time axis and its multiple
 *     line    : 'input' value ['as' STRING] ['below' N] ['scalar']
 *             | 'param' value {attr} '{' 'init' KIND ['=' expr] {member} '}'
 *             | 'state' (value | 'none') 'family' N ['delay'] '{' {member} '}'
 *             | node
 *             | 'start' N %n                                      state N at the start of a sequence
 *             | 'output' KIND [STRING] %n ['index' N]
 *     value   : %n [STRING] ':' ('real' | 'int') [storage] '[' sizes ']'
 *     attr    : 'family' N | 'lr' x | 'decay' x | 'frozen' | 'promoted' | 'stored' '[' sizes ']'
 *     member  : 'member' STRING ['at' N {',' N}] ['(' x [',' x] ')']
 *     node    : value '=' [RED axes] expr
 *             | value '=' 'scatter' axes 'at' '[' exprs ']' expr
 *             | value '=' 'delay' %n 'init' %n ['->' value]        in a class
 *             | 'recur' [STRING] 'length' size ['reverse'] ['layers'] ['every' N] '{' {carry} {class} '}'
 *     axes    : '[' i0 ':' size {',' i1 ':' size} ']'
 *     carry   : 'carry' [STRING] %init ['kept' %n 'lead' N] '->' value        the value after the last one
 *     class   : 'class' [N {',' N}] '{' {'arg' value} {node} {'next' %n} {'out' %n 'axis' N ['every' N] '->' value} '}'
 *     expr    : ['let' t0 '=' e {';' t1 '=' e} 'in'] e
 *     e       : numbers, i0 (own index), l0 (counter of level 0), p0 (its rank in the class), %n[e, ...],
 *               axes, {sizes}, functions as functions.def spells them, select(c, a, b), random(place, e, ...)
 *
 * One line each; # starts a comment. An int has no point, a real has one (or an exponent, inf, nan).
 * Expressions are taken exactly as written. Places in users' texts and ParamInfo.written are not kept.
 * The text is hostile: see parse.c. What was read is verified. Cost: linear. */
#include "parse.h"
#include "text.h"

#include <string.h>

/* %7 "x": real f32 [B, T] */
typedef struct Header {
    uint32_t number;
    const char *name;
    Type type;
    Store store;
    uint32_t rank;
    Size dims[MAX_RANK];
} Header;

/* ---- values -------------------------------------------------------------------------------- */

static uint32_t parse_sizes(Parser *p, Size *dims) {
    uint32_t n = 0;
    parser_expect(p, "[");
    while (!p->error && !parser_is(p, "]")) {
        if (n) parser_expect(p, ",");
        if (n == MAX_RANK)
            parser_fail(p, "more than %d axes", MAX_RANK);
        else
            dims[n++] = parser_size(p);
    }
    parser_expect(p, "]");
    return n;
}

static Header parse_header(Parser *p) {
    Header h;
    memset(&h, 0, sizeof h);
    parser_expect(p, "%");
    h.number = (uint32_t)parser_count(p, p->n_values - 1);
    if (!p->error && (h.number == 0 || p->values[h.number]))
        parser_fail(p, "%%%u is defined twice", h.number);
    if (p->tok.kind == TOK_STRING) h.name = parser_string(p);
    parser_expect(p, ":");
    h.type = parser_take(p, "int") ? T_INT : T_REAL;
    if (h.type == T_REAL) parser_expect(p, "real");
    if (p->tok.kind == TOK_WORD) {
        h.store = text_store(p->tok.text);
        if (!h.store) parser_fail(p, "'%.40s' is no storage type", p->tok.text);
        parser_next(p);
    }
    h.rank = parse_sizes(p, h.dims);
    return h;
}

/* The text's value is v, with the type and dims that the text gives it. */
static void bind(Parser *p, const Header *h, Value v) {
    if (p->error) return;
    if (p->values[h->number]) {
        parser_fail(p, "%%%u is defined twice", h->number);
        return;
    }
    ValueInfo *x = graph_value(p->g, v);
    x->name = h->name;
    x->type = (uint8_t)h->type;
    x->store = (uint8_t)h->store;
    x->rank = (uint8_t)h->rank;
    memcpy(x->dims, h->dims, sizeof x->dims);
    x->loc.line = p->line; /* until the graph has been verified */
    p->values[h->number] = v;
}

/* ---- tables -------------------------------------------------------------------------------- */

static const Loc nowhere = {0, 0, 0, 0};

static void read_input(Parser *p) {
    Header h = parse_header(p);
    const char *name = h.name ? h.name : "";
    if (parser_take(p, "as")) name = parser_string(p);
    bind(p, &h, graph_input(p->g, name, h.type, h.store, h.dims, h.rank, nowhere));
    InputInfo *x = &p->g->inputs.data[p->g->inputs.n - 1];
    if (parser_take(p, "below")) x->below = (int64_t)parser_count(p, INT64_MAX);
    x->scalar = parser_take(p, "scalar");
    parser_line_end(p);
}

static void read_member(Parser *p, Member *m) {
    m->name = parser_string(p);
    if (!parser_take(p, "at")) return;
    for (uint32_t n = 0; n < MAX_LEVELS; n++) {
        m->counters[n] = parser_signed(p);
        if (!parser_take(p, ",")) return;
    }
    parser_fail(p, "more than %d counters", MAX_LEVELS);
}

static void read_attrs(Parser *p, ParamInfo *x) {
    for (;;) {
        if (parser_take(p, "family"))
            x->family = (uint8_t)parser_count(p, MAX_LEVELS);
        else if (parser_take(p, "lr"))
            x->lr = parser_real(p);
        else if (parser_take(p, "decay"))
            x->decay = parser_real(p);
        else if (parser_take(p, "frozen"))
            x->frozen = true;
        else if (parser_take(p, "promoted"))
            x->promoted = true;
        else if (parser_take(p, "stored"))
            x->stored_rank = (uint8_t)parse_sizes(p, x->stored);
        else
            return;
    }
}

static void read_param_body(Parser *p, ParamInfo *x) {
    bool ok = p->tok.kind == TOK_WORD;
    if (ok) x->init = (uint8_t)text_init(p->tok.text, &ok);
    if (!ok) parser_fail(p, "expected the kind of initial value");
    parser_next(p);
    if (parser_take(p, "=")) x->formula = parser_expr(p);
    parser_line_end(p);
    while (parser_take(p, "member")) {
        read_member(p, PUSH(p->arena, &x->members));
        if (parser_take(p, "(")) {
            *PUSH(p->arena, &x->init_a) = parser_real(p);
            if (parser_take(p, ",")) *PUSH(p->arena, &x->init_b) = parser_real(p);
            parser_expect(p, ")");
        }
        parser_line_end(p);
    }
}

static void read_param(Parser *p) {
    Header h = parse_header(p);
    uint32_t at;
    bind(p, &h, graph_param(p->g, h.type, h.store, h.dims, h.rank, nowhere, &at));
    ParamInfo *x = &p->g->params.data[at];
    read_attrs(p, x);
    parser_expect(p, "{");
    parser_line_end(p);
    parser_expect(p, "init");
    read_param_body(p, x);
    parser_expect(p, "}");
    parser_line_end(p);
}

static void read_state(Parser *p) {
    Graph *g = p->g;
    StateInfo *x;
    if (parser_take(p, "none")) {
        x = PUSH(g->arena, &g->states);
    } else {
        Header h = parse_header(p);
        uint32_t at;
        bind(p, &h, graph_state(g, h.type, h.store, h.dims, h.rank, nowhere, &at));
        x = &g->states.data[at];
    }
    parser_expect(p, "family");
    x->family = (uint8_t)parser_count(p, MAX_LEVELS);
    x->delay = parser_take(p, "delay");
    parser_expect(p, "{");
    parser_line_end(p);
    while (parser_take(p, "member")) {
        read_member(p, PUSH(g->arena, &x->members));
        parser_line_end(p);
    }
    parser_expect(p, "}");
    parser_line_end(p);
}

static void read_start(Parser *p) {
    uint64_t k = parser_count(p, UINT32_MAX);
    Value v = parser_value(p);
    if (!p->error && k >= p->g->states.n)
        parser_fail(p, "there is no state %llu", (unsigned long long)k);
    if (!p->error) p->g->states.data[k].start = v;
    parser_line_end(p);
}

static void read_output(Parser *p) {
    int kind = 0;
    while (kind <= OUT_OPT && !parser_is(p, output_kind_name[kind])) kind++;
    if (kind > OUT_OPT) parser_fail(p, "expected the kind of output");
    parser_next(p);
    const char *name = p->tok.kind == TOK_STRING ? parser_string(p) : NULL;
    Value v = parser_value(p);
    uint64_t index = parser_take(p, "index") ? parser_count(p, UINT32_MAX) : 0;
    if (!p->error) graph_output(p->g, (OutputKind)kind, name, v, (uint32_t)index);
    parser_line_end(p);
}

/* ---- nodes --------------------------------------------------------------------------------- */

/* Where lines of nodes go. */
typedef struct Place {
    Block *block;
    NodeId recur; /* 0 at top */
    uint32_t cls, level;
    VEC(Value) delays; /* delays of this class and the numbers of their sources */
    VEC(uint32_t) sources;
} Place;

/* [i2: D, i3: N] with the first index's number */
static uint32_t read_axes(Parser *p, uint32_t first, Size *sizes) {
    uint32_t n = 0;
    parser_expect(p, "[");
    while (!p->error && !parser_is(p, "]")) {
        if (n) parser_expect(p, ",");
        if (n == MAX_RANK) {
            parser_fail(p, "more than %d axes", MAX_RANK);
            break;
        }
        const char *want = arena_printf(p->arena, "i%u", first + n);
        parser_expect(p, want);
        parser_expect(p, ":");
        sizes[n++] = parser_size(p);
    }
    parser_expect(p, "]");
    return n;
}

static Red red_at(const Parser *p) {
    for (int r = RED_SUM; r < RED_COUNT; r++) { /* max[...] is a reduction, max(a, b) a function */
        if (!parser_is(p, red_name[r])) continue;
        const char *s = p->at;
        while (s < p->end && *s == ' ') s++;
        return s < p->end && *s == '[' ? (Red)r : RED_NONE;
    }
    return RED_NONE;
}

static void read_scatter(Parser *p, const Header *h, Place *to) {
    Size iter[MAX_RANK];
    ExprId subs[MAX_RANK];
    uint32_t n = read_axes(p, 0, iter), rank = 0;
    parser_expect(p, "at");
    parser_expect(p, "[");
    while (!p->error && !parser_is(p, "]")) {
        if (rank) parser_expect(p, ",");
        ExprId e = parser_expr(p);
        if (rank == h->rank)
            parser_fail(p, "more places than axes");
        else
            subs[rank++] = e;
    }
    parser_expect(p, "]");
    if (rank != h->rank) parser_fail(p, "%u places for %u axes", rank, h->rank);
    ExprId e = parser_expr(p);
    if (p->error) return;
    bind(p, h,
         graph_scatter(p->g, to->block, h->dims, h->rank, iter, n, subs, e, to->level, h->name,
                       nowhere));
}

static void read_delay(Parser *p, const Header *h, Place *to) {
    if (!to->recur) parser_fail(p, "a delay outside of recurrences");
    parser_expect(p, "%");
    uint32_t source = (uint32_t)parser_count(p, p->n_values - 1);
    parser_expect(p, "init");
    Value init = parser_value(p);
    if (p->error) return;
    Value v = graph_delay(p->g, to->recur, to->cls, 0, init, 1, h->name, nowhere);
    bind(p, h, v);
    *PUSH(p->arena, &to->delays) = v;
    *PUSH(p->arena, &to->sources) = source;
    if (!parser_take(p, "->")) return;
    Header final = parse_header(p);
    graph_delay_final(p->g, v);
    bind(p, &final, graph_node(p->g, graph_value(p->g, v)->node)->final);
}

static void read_node(Parser *p, Place *to) {
    Header h = parse_header(p);
    parser_expect(p, "=");
    if (parser_take(p, "delay")) {
        read_delay(p, &h, to);
    } else if (parser_take(p, "scatter")) {
        read_scatter(p, &h, to);
    } else {
        Size extra[MAX_RANK];
        uint32_t n = 0;
        Red red = red_at(p);
        if (red) {
            parser_next(p);
            n = read_axes(p, h.rank, extra);
        }
        ExprId e = parser_expr(p);
        if (!p->error)
            bind(p, &h,
                 graph_eq(p->g, to->block, h.dims, h.rank, red, extra, n, e, to->level, h.name,
                          nowhere));
    }
    parser_line_end(p);
}

static void read_recur(Parser *p, Place *to);

static void read_nodes(Parser *p, Place *to) {
    while (!p->error) {
        while (p->tok.kind == TOK_LINE) parser_next(p);
        if (parser_is(p, "%"))
            read_node(p, to);
        else if (parser_take(p, "recur"))
            read_recur(p, to);
        else
            break;
    }
}

static void resolve_delays(Parser *p, const Place *at) {
    for (uint32_t i = 0; i < at->delays.n && !p->error; i++) {
        Value source = p->values[at->sources.data[i]];
        if (!source)
            parser_fail(p, "%%%u, the source of a delay, is not defined", at->sources.data[i]);
        graph_node(p->g, graph_value(p->g, at->delays.data[i])->node)->source = source;
    }
}

static void read_outs(Parser *p, NodeId r, uint32_t cls) {
    while (parser_take(p, "out")) {
        Value body = parser_value(p);
        parser_expect(p, "axis");
        uint64_t axis = parser_count(p, MAX_RANK), every = 0;
        if (parser_take(p, "every")) every = parser_count(p, UINT32_MAX);
        parser_expect(p, "->");
        Header h = parse_header(p);
        Value v = p->error
                      ? 0
                      : graph_recur_out_every(p->g, r, cls, body, (uint32_t)axis, (uint32_t)every);
        if (!p->error && !v)
            parser_fail(p, "axis %u of a result that has no such axis", (uint32_t)axis);
        if (v) bind(p, &h, v);
        parser_line_end(p);
    }
}

static void read_class(Parser *p, NodeId r) {
    VEC(uint32_t) iters = {NULL, 0, 0};
    while (p->tok.kind == TOK_INT) {
        *PUSH(p->arena, &iters) = (uint32_t)parser_count(p, UINT32_MAX);
        if (!parser_take(p, ",")) break;
    }
    parser_expect(p, "{");
    parser_line_end(p);
    if (p->error) return;
    uint32_t cls = graph_recur_class(p->g, r, iters.data, iters.n);
    Recur *x = graph_node(p->g, r)->recur;
    for (uint32_t k = 0; k < x->carry.n && !p->error; k++) {
        parser_expect(p, "arg");
        Header h = parse_header(p);
        bind(p, &h, x->classes.data[cls].args[k]);
        parser_line_end(p);
    }
    Place body = {
        .block = &x->classes.data[cls].body, .recur = r, .cls = cls, .level = x->level + 1u};
    read_nodes(p, &body);
    resolve_delays(p, &body);
    for (uint32_t k = 0; k < x->carry.n && !p->error; k++) {
        parser_expect(p, "next");
        graph_recur_next(p->g, r, cls, k, parser_value(p));
        parser_line_end(p);
    }
    read_outs(p, r, cls);
    parser_expect(p, "}");
    parser_line_end(p);
}

static void read_recur(Parser *p, Place *to) {
    const char *axis = p->tok.kind == TOK_STRING ? parser_string(p) : NULL;
    parser_expect(p, "length");
    Size length = parser_size(p);
    bool reverse = parser_take(p, "reverse"), layers = parser_take(p, "layers");
    uint64_t every = parser_take(p, "every") ? parser_count(p, UINT32_MAX) : 0;
    parser_expect(p, "{");
    parser_line_end(p);
    if (to->level >= MAX_LEVELS) parser_fail(p, "recurrences nested more than %d deep", MAX_LEVELS);
    if (p->error) return;
    NodeId r = graph_recur_begin(p->g, length, axis, reverse, layers, to->level, nowhere);
    graph_node(p->g, r)->recur->every = (uint32_t)every;
    VEC(Header) finals = {NULL, 0, 0};
    while (parser_take(p, "carry")) {
        const char *name = p->tok.kind == TOK_STRING ? parser_string(p) : NULL;
        Value init = parser_value(p), kept = parser_take(p, "kept") ? parser_value(p) : 0;
        uint64_t lead = 0;
        if (kept) parser_expect(p, "lead"), lead = parser_count(p, MAX_LEVELS);
        parser_expect(p, "->");
        Header h = parse_header(p);
        *PUSH(p->arena, &finals) = h;
        if (p->error) return;
        uint32_t k = graph_recur_carry(p->g, r, init, name);
        Carry *c = &graph_node(p->g, r)->recur->carry.data[k];
        c->kept = kept;
        c->lead = (uint8_t)lead;
        parser_line_end(p);
    }
    while (parser_take(p, "class")) read_class(p, r);
    parser_expect(p, "}");
    parser_line_end(p);
    if (p->error) return;
    graph_recur_end(p->g, r, to->block);
    const Recur *x = graph_node(p->g, r)->recur;
    for (uint32_t k = 0; k < x->carry.n; k++) bind(p, &finals.data[k], x->carry.data[k].final);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void read_axis_line(Parser *p) {
    do {
        const char *name = p->tok.text;
        if (p->tok.kind != TOK_WORD) parser_fail(p, "expected the name of an axis");
        if (!p->error) parser_next(p);
        int64_t multiple = parser_take(p, "%") ? (int64_t)parser_count(p, INT64_C(1) << 30) : 1;
        if (!p->error) (void)size_axis(p->g->sizes, name, multiple);
    } while (parser_take(p, ","));
    parser_line_end(p);
}

static void read_lines(Parser *p) {
    Place top = {.block = &p->g->top};
    while (!p->error && p->tok.kind != TOK_END) {
        if (p->tok.kind == TOK_LINE)
            parser_next(p);
        else if (parser_take(p, "axis"))
            read_axis_line(p);
        else if (parser_take(p, "input"))
            read_input(p);
        else if (parser_take(p, "param"))
            read_param(p);
        else if (parser_take(p, "state"))
            read_state(p);
        else if (parser_take(p, "start"))
            read_start(p);
        else if (parser_take(p, "output"))
            read_output(p);
        else if (parser_take(p, "random")) {
            p->g->n_random = (uint32_t)parser_count(p, UINT32_MAX);
            parser_line_end(p);
        } else if (parser_is(p, "%") || parser_is(p, "recur"))
            read_nodes(p, &top);
        else
            parser_fail(
                p, "this line starts with none of axis input param state recur start output %%n");
    }
}

Graph *graph_read(Arena *a, const char *text, size_t n, const char **error) {
    *error = NULL;
    if (n >= UINT32_MAX / 2) {
        *error = "line 1: the text is too long";
        return NULL;
    }
    Graph *g = graph_new(a, names_new(a), sizes_new(a), "");
    Parser p;
    parser_begin(&p, g, text, n);
    p.n_values = (uint32_t)n + 1; /* a text of n bytes has no n values */
    p.values = NEWN(a, Value, p.n_values);
    while (p.tok.kind == TOK_LINE) parser_next(&p);
    parser_expect(&p, "graph");
    g->entry = parser_string(&p);
    parser_line_end(&p);
    read_lines(&p);
    if (p.error) {
        *error = p.error;
        return NULL;
    }
    const char *wrong = graph_verify(g);
    if (wrong)
        *error = strncmp(wrong, "line ", 5) ? arena_printf(a, "line %u: %s", p.line, wrong) : wrong;
    for (Value v = 1; v < g->values.n; v++) g->values.data[v].loc = nowhere;
    return wrong ? NULL : g;
}
