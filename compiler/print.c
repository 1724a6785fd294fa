/* The text of a graph (docs: the head of read.c has the grammar).
 *
 * Requires: values and expressions whose ids are in range. Maintains: the graph. The text depends on the
 * graph's content only: values are numbered in the order in which the text declares them.
 * Cost: linear; operands that an expression shares many times over are named once with `let`. */
#include "text.h"

#include <string.h>

enum { LET_SIZE = 300, LET_PART = 6, LET_DEPTH = 100 };

typedef struct Shared {
    uint32_t size;  /* nodes of the expression written out, saturating */
    uint32_t refs;  /* operands of the present expression that it is */
    uint32_t depth; /* nesting since the last named part */
    uint32_t let;   /* its number + 1 once it is named */
} Shared;

typedef struct Printer {
    Graph *g;
    Text *out;
    Arena *scratch;
    uint32_t *number; /* by Value */
    Shared *shared;   /* by ExprId */
    ExprId root;      /* the expression being printed */
    bool lets;
    VEC(ExprId) order; /* expressions below root, operands first */
} Printer;

/* ---- words --------------------------------------------------------------------------------- */

void text_quoted(Text *t, const char *s) {
    text_add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            text_printf(t, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            text_printf(t, "\\x%02x", c);
        else
            text_addn(t, s, 1);
    }
    text_add(t, "\"");
}

void text_number(Text *t, double v) {
    char s[40];
    if (v != v || v - v != 0) { /* no number or infinite */
        text_add(t, v != v ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        double back = 0;
        if (sscanf(s, "%lf", &back) == 1 && back == v) break;
    }
    text_add(t, s);
    if (!strpbrk(s, ".e")) text_add(t, ".0");
}

bool text_is_word(const char *s) {
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", *s) || !*s) return false;
    for (; *s; s++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.", *s))
            return false;
    return true;
}

/* Is s an axis that may stand in an expression without braces? */
static bool plain_axis(Graph *g, const char *s) {
    static const char *const taken[] = {"select", "random", "let", "in", "inf", "nan"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(s, taken[i]) == 0) return false;
    if (fn_find(s) || (strchr("ilpt", s[0]) && s[1] >= '0' && s[1] <= '9')) return false;
    for (uint32_t i = 0; i < size_axes(g->sizes); i++)
        if (strcmp(size_axis_name(g->sizes, i), s) == 0) return true;
    return false;
}

/* ---- sizes --------------------------------------------------------------------------------- */

/* size_str puts floor quotients where they happened to be met first. Here they come last in a term, and
 * terms with them last in a sum, in the order of their text, so that equal sizes have equal texts. */
typedef struct Part {
    const char *text;
    bool minus, quotient;
} Part;
typedef VEC(Part) Parts;

static bool part_before(const Part *a, const Part *b) {
    if (a->minus != b->minus) return b->minus;
    if (a->quotient != b->quotient) return b->quotient;
    return a->quotient && strcmp(a->text, b->text) < 0;
}

static void add_part(Arena *a, Parts *parts, Part x) {
    (void)PUSH(a, parts);
    uint32_t i = parts->n - 1;
    for (; i > 0 && part_before(&x, &parts->data[i - 1]); i--) parts->data[i] = parts->data[i - 1];
    parts->data[i] = x;
}

/* Where the first of the signs stands in s outside of parentheses; n if nowhere. */
static size_t find_sign(const char *s, size_t n, const char *sign) {
    int depth = 0;
    size_t k = strlen(sign);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '(') depth++;
        if (s[i] == ')') depth--;
        if (depth == 0 && n - i >= k && memcmp(s + i, sign, k) == 0) return i;
    }
    return n;
}

static const char *ordered_sum(Arena *a, const char *s, size_t n);

/* A name, a number, or a quotient ((p)//(q)). */
static Part ordered_factor(Arena *a, const char *s, size_t n) {
    if (n < 2 || s[0] != '(') return (Part){arena_strn(a, s, n), false, false};
    size_t p = find_sign(s + 1, n - 2, "//");
    const char *above = ordered_sum(a, s + 2, p - 2), *below = ordered_sum(a, s + p + 4, n - p - 6);
    return (Part){arena_printf(a, "((%s)//(%s))", above, below), false, true};
}

/* 3*T*((p)//(q))//2 */
static Part ordered_term(Arena *a, const char *s, size_t n) {
    Parts factors = {NULL, 0, 0};
    size_t whole = find_sign(s, n, "//");
    for (size_t at = 0; at < whole;) {
        size_t k = find_sign(s + at, whole - at, "*");
        add_part(a, &factors, ordered_factor(a, s + at, k));
        at += k + 1;
    }
    Text t = text_new(a);
    Part r = {NULL, false, false};
    for (uint32_t i = 0; i < factors.n; i++) {
        text_printf(&t, i ? "*%s" : "%s", factors.data[i].text);
        r.quotient = r.quotient || factors.data[i].quotient;
    }
    text_addn(&t, s + whole, n - whole);
    r.text = t.data;
    return r;
}

static const char *ordered_sum(Arena *a, const char *s, size_t n) {
    Parts terms = {NULL, 0, 0};
    bool minus = n && s[0] == '-';
    for (size_t at = minus; at < n;) {
        size_t plus = find_sign(s + at, n - at, " + "), less = find_sign(s + at, n - at, " - ");
        size_t k = plus < less ? plus : less;
        Part x = ordered_term(a, s + at, k);
        x.minus = minus;
        add_part(a, &terms, x);
        minus = less < plus;
        at += k + 3;
    }
    Text t = text_new(a);
    for (uint32_t i = 0; i < terms.n; i++) {
        bool less = terms.data[i].minus;
        text_add(&t, i ? less ? " - " : " + " : less ? "-" : "");
        text_add(&t, terms.data[i].text);
    }
    return t.data;
}

static const char *size_text(Printer *p, Size s) {
    const char *text = size_str(p->g->sizes, s);
    return strchr(text, '(') ? ordered_sum(p->scratch, text, strlen(text)) : text;
}

/* ---- expressions --------------------------------------------------------------------------- */

int text_precedence(Fn f) {
    switch (f) {
    case F_or: return 1;
    case F_and: return 2;
    case F_not: return 3;
    case F_eq:
    case F_ne:
    case F_lt:
    case F_le:
    case F_gt:
    case F_ge: return 4;
    case F_add:
    case F_sub: return 5;
    case F_mul:
    case F_div:
    case F_idiv:
    case F_imod: return 6;
    case F_neg: return 7;
    case F_pow: return 8;
    default: return 9;
    }
}

static void print_expr(Printer *p, ExprId e, int least);

static void print_list(Printer *p, ExprId e, uint32_t from) {
    const Expr x = *graph_expr(p->g, e);
    for (uint32_t k = from; k < x.n_args; k++) {
        if (k > from) text_add(p->out, ", ");
        print_expr(p, expr_arg(p->g, e, k), 0);
    }
}

static void print_fn(Printer *p, ExprId e) {
    const Expr x = *graph_expr(p->g, e);
    const FnInfo *f = &fn_info[x.fn];
    int level = text_precedence((Fn)x.fn);
    if (!f->spelling) {
        text_printf(p->out, "%s(", f->name);
        print_list(p, e, 0);
        text_add(p->out, ")");
    } else if (f->arity == 1) {
        text_add(p->out, x.fn == F_not ? "not " : "-");
        const Expr *a = graph_expr(p->g, expr_arg(p->g, e, 0));
        bool literal = x.fn == F_neg && (a->op == X_INT || a->op == X_NUM);
        print_expr(p, expr_arg(p->g, e, 0), literal ? 10 : level);
    } else { /* comparisons do not chain, ^ goes to the right, all others to the left */
        bool right = x.fn == F_pow, chain = level != 4;
        print_expr(p, expr_arg(p->g, e, 0), right || !chain ? level + 1 : level);
        text_printf(p->out, level == 6 || level == 8 ? "%s" : " %s ", f->spelling);
        print_expr(p, expr_arg(p->g, e, 1), right ? level : level + 1);
    }
}

static int own_precedence(const Expr *x) {
    if (x->op == X_FN) return fn_info[x->fn].spelling ? text_precedence((Fn)x->fn) : 9;
    if (x->op == X_INT) return x->i < 0 ? 7 : 9;
    if (x->op == X_NUM) {
        uint64_t bits;
        memcpy(&bits, &x->num, sizeof bits);
        return bits >> 63 && x->num == x->num ? 7 : 9;
    }
    return 9;
}

static void print_leaf(Printer *p, const Expr *x) {
    Text *t = p->out;
    switch ((ExprOp)x->op) {
    case X_NUM: text_number(t, x->num); break;
    case X_INT: text_printf(t, "%lld", (long long)x->i); break;
    case X_IDX: text_printf(t, "i%lld", (long long)x->i); break;
    case X_LVL: text_printf(t, "l%lld", (long long)x->i); break;
    case X_POS: text_printf(t, "p%lld", (long long)x->i); break;
    case X_SIZE: {
        const char *s = size_text(p, x->size);
        text_printf(t, plain_axis(p->g, s) ? "%s" : "{%s}", s);
        break;
    }
    default: text_add(t, "?"); break;
    }
}

/* In parentheses if it binds less tightly than `least`; 10 always. */
static void print_expr(Printer *p, ExprId e, int least) {
    const Expr x = *graph_expr(p->g, e);
    if (p->lets && e != p->root && p->shared[e].let) {
        text_printf(p->out, "t%u", p->shared[e].let - 1);
        return;
    }
    bool parens = own_precedence(&x) < least;
    if (parens) text_add(p->out, "(");
    switch ((ExprOp)x.op) {
    case X_READ:
        text_printf(p->out, "%%%u[", p->number[x.value]);
        print_list(p, e, 0);
        text_add(p->out, "]");
        break;
    case X_FN: print_fn(p, e); break;
    case X_SELECT:
        text_add(p->out, "select(");
        print_list(p, e, 0);
        text_add(p->out, ")");
        break;
    case X_RANDOM:
        text_printf(p->out, "random(%lld", (long long)x.i);
        if (x.n_args) text_add(p->out, ", ");
        print_list(p, e, 0);
        text_add(p->out, ")");
        break;
    default: print_leaf(p, &x); break;
    }
    if (parens) text_add(p->out, ")");
}

static void survey(Graph *g, ExprId e, void *user) {
    Printer *p = user;
    Shared *s = &p->shared[e];
    *s = (Shared){.size = 1};
    const Expr x = *graph_expr(g, e);
    for (uint32_t k = 0; k < x.n_args; k++) {
        Shared *a = &p->shared[expr_arg(g, e, k)];
        s->size = s->size + a->size < UINT32_MAX / 2 ? s->size + a->size : UINT32_MAX / 2;
        a->refs++;
    }
    *PUSH(p->scratch, &p->order) = e;
}

/* Names the parts of root that are shared or nested too deep, and prints them. */
static void print_lets(Printer *p) {
    uint32_t n = 0;
    ExprId root = p->root;
    for (uint32_t i = 0; i + 1 < p->order.n; i++) {
        ExprId e = p->order.data[i];
        Shared *s = &p->shared[e];
        const Expr x = *graph_expr(p->g, e);
        for (uint32_t k = 0; k < x.n_args; k++) {
            const Shared *a = &p->shared[expr_arg(p->g, e, k)];
            if (!a->let && a->depth >= s->depth) s->depth = a->depth + 1;
        }
        if ((s->refs < 2 || s->size < LET_PART) && s->depth < LET_DEPTH) continue;
        text_printf(p->out, n ? "; t%u = " : "let t%u = ", n);
        p->root = e;
        print_expr(p, e, 0);
        s->let = ++n;
    }
    p->root = root;
    if (n) text_add(p->out, " in ");
}

static void print_root(Printer *p, ExprId e) {
    p->order.n = 0;
    p->root = e;
    expr_walk(p->g, e, survey, p);
    p->lets = p->shared[e].size > LET_SIZE;
    if (p->lets) print_lets(p);
    print_expr(p, e, 0);
}

/* ---- values -------------------------------------------------------------------------------- */

static const char *const store_name[ST_STORES] = {"", "f32", "bf16", "f16", "int"};

Store text_store(const char *s) {
    for (int k = 1; k < ST_STORES; k++)
        if (strcmp(store_name[k], s) == 0) return (Store)k;
    return ST_DEFAULT;
}

static void indent(Printer *p, uint32_t depth) { text_printf(p->out, "%*s", (int)(4 * depth), ""); }

static void print_dims(Printer *p, const Size *dims, uint32_t n) {
    text_add(p->out, "[");
    for (uint32_t i = 0; i < n; i++) text_printf(p->out, i ? ", %s" : "%s", size_text(p, dims[i]));
    text_add(p->out, "]");
}

/* %7 "x": real f32 [B, T] */
static void print_value(Printer *p, Value v) {
    const ValueInfo *x = graph_value(p->g, v);
    text_printf(p->out, "%%%u", p->number[v]);
    if (x->name) {
        text_add(p->out, " ");
        text_quoted(p->out, x->name);
    }
    text_add(p->out, x->type == T_INT ? ": int " : ": real ");
    if (x->store) text_printf(p->out, "%s ", store_name[x->store]);
    print_dims(p, x->dims, x->rank);
}

static void print_axes(Printer *p, const Size *sizes, uint32_t n, uint32_t first) {
    text_add(p->out, "[");
    for (uint32_t i = 0; i < n; i++)
        text_printf(p->out, "%si%u: %s", i ? ", " : "", first + i, size_text(p, sizes[i]));
    text_add(p->out, "] ");
}

/* ---- tables -------------------------------------------------------------------------------- */

static void print_counters(Printer *p, const Member *m) {
    uint32_t n = MAX_LEVELS;
    while (n && m->counters[n - 1] == 0) n--;
    for (uint32_t i = 0; i < n; i++)
        text_printf(p->out, "%s%lld", i ? ", " : " at ", (long long)m->counters[i]);
}

static const char *const init_name[] = {"formula", "uniform", "normal", "trunc_normal",
                                        "orthogonal"};

InitKind text_init(const char *s, bool *ok) {
    for (int k = INIT_FORMULA; k <= INIT_ORTHOGONAL; k++)
        if (strcmp(init_name[k], s) == 0) return *ok = true, (InitKind)k;
    *ok = false;
    return INIT_FORMULA;
}

/* The numbers of a random initial value: one or two. */
static void print_init(Printer *p, const ParamInfo *x, uint32_t member) {
    if (member >= x->init_a.n) return;
    text_add(p->out, " (");
    text_number(p->out, x->init_a.data[member]);
    if (member < x->init_b.n) {
        text_add(p->out, ", ");
        text_number(p->out, x->init_b.data[member]);
    }
    text_add(p->out, ")");
}

static void print_param(Printer *p, const ParamInfo *x) {
    Text *t = p->out;
    text_add(t, "param ");
    print_value(p, x->value);
    text_printf(t, " family %u lr ", x->family);
    text_number(t, x->lr);
    text_add(t, " decay ");
    text_number(t, x->decay);
    if (x->frozen) text_add(t, " frozen");
    if (x->promoted) text_add(t, " promoted");
    if (x->stored_rank) {
        text_add(t, " stored ");
        print_dims(p, x->stored, x->stored_rank);
    }
    text_printf(t, " {\n    init %s", init_name[x->init]);
    if (x->formula) {
        text_add(t, " = ");
        print_root(p, x->formula);
    }
    text_add(t, "\n");
    for (uint32_t i = 0; i < x->members.n; i++) {
        text_add(t, "    member ");
        text_quoted(t, x->members.data[i].name);
        print_counters(p, &x->members.data[i]);
        print_init(p, x, i);
        text_add(t, "\n");
    }
    text_add(t, "}\n");
}

static void print_state(Printer *p, const StateInfo *x) {
    Text *t = p->out;
    text_add(t, "state ");
    if (x->value)
        print_value(p, x->value);
    else
        text_add(t, "none");
    text_printf(t, " family %u%s {\n", x->family, x->delay ? " delay" : "");
    for (uint32_t i = 0; i < x->members.n; i++) {
        text_add(t, "    member ");
        text_quoted(t, x->members.data[i].name);
        print_counters(p, &x->members.data[i]);
        text_add(t, "\n");
    }
    text_add(t, "}\n");
}

static void print_tables(Printer *p) {
    Graph *g = p->g;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const InputInfo *x = &g->inputs.data[i];
        text_add(p->out, "input ");
        print_value(p, x->value);
        if (x->name != graph_value(g, x->value)->name) {
            text_add(p->out, " as ");
            text_quoted(p->out, x->name);
        }
        if (x->below) text_printf(p->out, " below %lld", (long long)x->below);
        text_add(p->out, x->scalar ? " scalar\n" : "\n");
    }
    for (uint32_t i = 0; i < g->params.n; i++) print_param(p, &g->params.data[i]);
    for (uint32_t i = 0; i < g->states.n; i++) print_state(p, &g->states.data[i]);
}

static void print_outputs(Printer *p) {
    Graph *g = p->g;
    for (uint32_t i = 0; i < g->states.n; i++)
        if (g->states.data[i].start)
            text_printf(p->out, "start %u %%%u\n", i, p->number[g->states.data[i].start]);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *x = &g->outputs.data[i];
        text_printf(p->out, "output %s ", output_kind_name[x->kind]);
        if (x->name) {
            text_quoted(p->out, x->name);
            text_add(p->out, " ");
        }
        text_printf(p->out, "%%%u", p->number[x->value]);
        text_printf(p->out, x->index ? " index %u\n" : "\n", x->index);
    }
}

/* ---- nodes --------------------------------------------------------------------------------- */

static void print_block(Printer *p, const Block *b, uint32_t depth);

static void print_class(Printer *p, const Recur *r, const RecurClass *c, uint32_t depth) {
    Text *t = p->out;
    indent(p, depth);
    text_add(t, "class ");
    for (uint32_t i = 0; i < c->iters.n; i++)
        text_printf(t, "%s%u", i ? ", " : "", c->iters.data[i]);
    text_add(t, c->iters.n ? " {\n" : "{\n");
    for (uint32_t k = 0; k < r->carry.n; k++) {
        indent(p, depth + 1);
        text_add(t, "arg ");
        print_value(p, c->args[k]);
        text_add(t, "\n");
    }
    print_block(p, &c->body, depth + 1);
    for (uint32_t k = 0; k < r->carry.n; k++) {
        indent(p, depth + 1);
        text_printf(t, "next %%%u\n", p->number[c->next[k]]);
    }
    for (uint32_t i = 0; i < c->outs.n; i++) {
        const RecurOut o = c->outs.data[i];
        indent(p, depth + 1);
        text_printf(t, "out %%%u axis %u ", p->number[o.body], o.axis);
        if (o.every) text_printf(t, "every %u ", o.every);
        text_add(t, "-> ");
        print_value(p, o.result);
        text_add(t, "\n");
    }
    indent(p, depth);
    text_add(t, "}\n");
}

static void print_recur(Printer *p, const Recur *r, uint32_t depth) {
    Text *t = p->out;
    text_add(t, "recur ");
    if (r->axis) {
        text_quoted(t, r->axis);
        text_add(t, " ");
    }
    text_printf(t, "length %s%s%s", size_text(p, r->length), r->reverse ? " reverse" : "",
                r->layers ? " layers" : "");
    if (r->every) text_printf(t, " every %u", r->every);
    text_add(t, " {\n");
    for (uint32_t k = 0; k < r->carry.n; k++) {
        const Carry *c = &r->carry.data[k];
        indent(p, depth + 1);
        text_add(t, "carry ");
        if (c->name) {
            text_quoted(t, c->name);
            text_add(t, " ");
        }
        text_printf(t, "%%%u ", p->number[c->init]);
        if (c->kept) text_printf(t, "kept %%%u lead %u ", p->number[c->kept], c->lead);
        text_add(t, "-> ");
        print_value(p, c->final);
        text_add(t, "\n");
    }
    for (uint32_t i = 0; i < r->classes.n; i++) print_class(p, r, &r->classes.data[i], depth + 1);
    indent(p, depth);
    text_add(t, "}\n");
}

static void print_definition(Printer *p, const Node *x) {
    Text *t = p->out;
    print_value(p, x->out);
    text_add(t, " = ");
    if (x->kind == N_DELAY) {
        text_printf(t, "delay %%%u init %%%u", p->number[x->source], p->number[x->init]);
        if (x->final) {
            text_add(t, " -> ");
            print_value(p, x->final);
        }
    } else if (x->kind == N_SCATTER) {
        text_add(t, "scatter ");
        print_axes(p, x->extra, x->n_extra, 0);
        text_add(t, "at [");
        for (uint32_t k = 0; k < graph_value(p->g, x->out)->rank; k++) {
            if (k) text_add(t, ", ");
            print_root(p, x->subs[k]);
        }
        text_add(t, "] ");
        print_root(p, x->expr);
    } else {
        if (x->red) {
            text_add(t, red_name[x->red]);
            print_axes(p, x->extra, x->n_extra, graph_value(p->g, x->out)->rank);
        }
        print_root(p, x->expr);
    }
    text_add(t, "\n");
}

static void print_block(Printer *p, const Block *b, uint32_t depth) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node x = *graph_node(p->g, b->nodes.data[i]);
        if (x.kind == N_INPUT || x.kind == N_PARAM || x.kind == N_STATE) continue;
        indent(p, depth);
        if (x.kind == N_RECUR)
            print_recur(p, x.recur, depth);
        else
            print_definition(p, &x);
    }
}

/* ---- numbers of values --------------------------------------------------------------------- */

typedef struct Numbers {
    uint32_t *number, n, values;
} Numbers;

static void number_value(Numbers *x, Value v) {
    if (v && v < x->values && !x->number[v]) x->number[v] = ++x->n;
}

/* In the order of print_block. A graph that breaks rules is numbered too, for the verifier's words. */
static void number_block(Graph *g, Numbers *x, const Block *b, uint32_t level) {
    for (uint32_t i = 0; i < b->nodes.n && level <= MAX_LEVELS; i++) {
        if (b->nodes.data[i] >= g->nodes.n) continue;
        const Node n = *graph_node(g, b->nodes.data[i]);
        number_value(x, n.out);
        if (n.kind == N_DELAY) number_value(x, n.final);
        if (n.kind != N_RECUR || !n.recur) continue;
        const Recur *r = n.recur;
        for (uint32_t k = 0; k < r->carry.n; k++) number_value(x, r->carry.data[k].final);
        for (uint32_t c = 0; c < r->classes.n; c++) {
            const RecurClass *y = &r->classes.data[c];
            for (uint32_t k = 0; k < r->carry.n; k++) number_value(x, y->args[k]);
            number_block(g, x, &y->body, level + 1);
            for (uint32_t k = 0; k < y->outs.n; k++) number_value(x, y->outs.data[k].result);
        }
    }
}

uint32_t *graph_numbers(Graph *g, Arena *scratch) {
    Numbers x = {NEWN(scratch, uint32_t, g->values.n), 0, g->values.n};
    for (uint32_t i = 0; i < g->inputs.n; i++) number_value(&x, g->inputs.data[i].value);
    for (uint32_t i = 0; i < g->params.n; i++) number_value(&x, g->params.data[i].value);
    for (uint32_t i = 0; i < g->states.n; i++) number_value(&x, g->states.data[i].value);
    number_block(g, &x, &g->top, 0);
    return x.number;
}

static Printer printer_of(Graph *g, Text *out) {
    Printer p = {.g = g, .out = out, .scratch = arena_new()};
    p.number = graph_numbers(g, p.scratch);
    p.shared = NEWN(p.scratch, Shared, g->exprs.n);
    return p;
}

void expr_print(Graph *g, ExprId e, Text *out) {
    Printer p = printer_of(g, out);
    print_root(&p, e);
    arena_free(p.scratch);
}

void graph_print_nodes(Graph *g, const NodeId *nodes, uint32_t n, const char *const *before, Text *out) {
    Printer p = printer_of(g, out);
    for (uint32_t i = 0; i < n; i++) {
        text_add(out, before[i]);
        print_definition(&p, graph_node(g, nodes[i]));
    }
    arena_free(p.scratch);
}

void graph_print(Graph *g, Text *out) {
    Printer p = printer_of(g, out);
    text_add(out, "graph ");
    text_quoted(out, g->entry);
    text_add(out, "\n");
    for (uint32_t i = 0; i < size_axes(g->sizes); i++) {
        text_printf(out, "%s%s", i ? ", " : "axis ", size_axis_name(g->sizes, i));
        if (size_axis_multiple(g->sizes, i) > 1)
            text_printf(out, " %% %lld", (long long)size_axis_multiple(g->sizes, i));
    }
    if (size_axes(g->sizes)) text_add(out, "\n");
    if (g->n_random) text_printf(out, "random %u\n", g->n_random);
    print_tables(&p);
    print_block(&p, &g->top, 0);
    print_outputs(&p);
    arena_free(p.scratch);
}
