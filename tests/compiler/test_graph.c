/* The graph's text, its verifier and its copy: what is printed reads back and prints the same; wrong
 * texts are refused with the line; broken graphs with the rule; a copy leaves out what nothing needs. */
#include "compiler/graph.h"
#include "compiler/rewrite.h"

#include <string.h>

static int failures;

#define FAIL(...)                                                                                  \
    (failures++, printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"))

#include "graph_texts.h"

static const char *text_of(Graph *g) {
    Text t = text_new(g->arena);
    graph_print(g, &t);
    return t.data;
}

static Graph *read_text(Arena *a, const char *text) {
    const char *error;
    Graph *g = graph_read(a, text, strlen(text), &error);
    if (!g) FAIL("%s in\n%s", error, text);
    return g;
}

/* Where two texts begin to differ, for the message. */
static void check_same(const char *what, const char *got, const char *want) {
    size_t i = 0, line = 0;
    if (strcmp(got, want) == 0) return;
    for (; got[i] && got[i] == want[i]; i++)
        if (got[i] == '\n') line = i + 1;
    FAIL("%s: got\n    %.*s\nexpected\n    %.*s", what, (int)strcspn(got + line, "\n"), got + line,
         (int)strcspn(want + line, "\n"), want + line);
}

static void test_round_trip(void) {
    Arena *a = arena_new();
    Graph *g = read_text(a, every_kind);
    if (g) check_same("printed", text_of(g), every_kind);
    Graph *loose = read_text(a, written_by_hand);
    if (loose) check_same("as written by hand", text_of(loose), written_by_hand_printed);
    arena_free(a);
}

/* Sizes that were made in another order than the text names them. */
static void test_sizes(void) {
    Arena *a = arena_new();
    Sizes *s = sizes_new(a);
    Graph *g = graph_new(a, names_new(a), s, "sizes");
    Size t = size_axis(s, "T", 1), one = size_num(s, 1), two = size_num(s, 2);
    Size half = size_floordiv(s, size_add(s, t, one), two);
    Size third = size_floordiv(s, size_add(s, half, two), size_num(s, 3)), y = size_axis(s, "Y", 1);
    Size dims[] = {size_add(s, half, y), size_mul(s, size_sub(s, third, y), size_add(s, half, t)),
                   size_sub(s, y, half), size_mul(s, third, size_sub(s, half, size_num(s, 7)))};
    Loc loc = {0, 0, 0, 0};
    graph_input(g, "first", T_REAL, ST_DEFAULT, dims + 1, 3, loc);
    graph_input(g, "second", T_REAL, ST_DEFAULT, dims, 4, loc);
    Graph *back = read_text(a, text_of(g));
    if (back) check_same("sizes", text_of(back), text_of(g));
    for (uint32_t k = 0; back && k < 4; k++) {
        int64_t want = 0, got = -1, axes[2] = {6, 11};
        size_eval(s, dims[k], axes, &want);
        size_eval(back->sizes, back->values.data[2].dims[k], axes, &got);
        if (got != want) FAIL("size %u is %lld, expected %lld", k, (long long)got, (long long)want);
    }
    arena_free(a);
}

/* ---- refused ------------------------------------------------------------------------------- */

static void test_refused(void) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Arena *a = arena_new();
        const char *error;
        Graph *g = graph_read(a, refused[i].text, strlen(refused[i].text), &error);
        if (g || !error)
            FAIL("taken, though %s:\n%s", refused[i].error, refused[i].text);
        else if (strcmp(error, refused[i].error) != 0)
            FAIL("%s\nexpected %s", error, refused[i].error);
        arena_free(a);
    }
}

/* Every text cut off anywhere, and with one byte changed, is taken or refused with a line. */
static void test_damaged(void) {
    size_t n = strlen(every_kind);
    static const char bytes[] = "%[]{}()0;\"\n,-i\x01\xff";
    Arena *keep = arena_new();
    char *copy = arena_strn(keep, every_kind, n);
    for (size_t i = 0; i < n; i++) {
        Arena *a = arena_new();
        const char *error = NULL;
        if (!graph_read(a, copy, i, &error) && strncmp(error, "line ", 5) != 0) FAIL("%s", error);
        char was = copy[i];
        copy[i] = bytes[i % (sizeof bytes - 1)];
        Graph *g = graph_read(a, copy, n, &error);
        if (!g && strncmp(error, "line ", 5) != 0) FAIL("%s", error);
        if (g) (void)text_of(graph_clone(g, "copy"));
        copy[i] = was;
        arena_free(a);
    }
    arena_free(keep);
}

static void test_deep(void) {
    Arena *a = arena_new();
    const char *error;
    for (int kind = 0; kind < 3; kind++) {
        Text t = text_new(a);
        text_add(&t, "graph \"deep\"\n%1: real [] = ");
        static const char *const open[] = {"1.0 + exp(", "1.5 - ", "("};
        for (int i = 0; i < 100000; i++) text_add(&t, open[kind]);
        text_add(&t, "1.5\n");
        if (graph_read(a, t.data, t.n, &error))
            FAIL("an expression 100000 deep is taken");
        else if (!strstr(error, "deep"))
            FAIL("%s", error);
    }
    Text t = text_new(a);
    text_add(&t, "graph \"deep\"\n");
    for (int i = 0; i < 1000; i++) text_add(&t, "recur length 1 {\nclass {\n");
    if (graph_read(a, t.data, t.n, &error)) FAIL("recurrences 1000 deep are taken");
    arena_free(a);
}

/* ---- broken in memory ---------------------------------------------------------------------- */

typedef struct Broken {
    const char *error; /* part of it */
    void (*breaks)(Graph *g);
} Broken;

static Node *node_named(Graph *g, const char *name) {
    for (Value v = 1; v < g->values.n; v++)
        if (g->values.data[v].name && strcmp(g->values.data[v].name, name) == 0)
            return graph_node(g, g->values.data[v].node);
    FAIL("no value %s", name);
    return graph_node(g, 0);
}

static Recur *recur_at(Graph *g, uint32_t k) {
    for (uint32_t i = 0; i < g->top.nodes.n; i++) {
        Node *n = graph_node(g, g->top.nodes.data[i]);
        if (n->kind == N_RECUR && k-- == 0) return n->recur;
    }
    FAIL("no recurrence");
    return NULL;
}

static void break_twice(Graph *g) {
    NodeId first = g->top.nodes.data[0];
    *PUSH(g->arena, &g->top.nodes) = first;
}
static void break_node_id(Graph *g) { *PUSH(g->arena, &g->top.nodes) = 12345; }
static void break_owner(Graph *g) { graph_value(g, node_named(g, "x")->out)->node = 1; }
static void break_size(Graph *g) { graph_value(g, node_named(g, "x")->out)->dims[0] = 0; }
static void break_const(Graph *g) {
    graph_value(g, node_named(g, "x")->out)->dims[0] = size_const(g->sizes, "D", 4);
}
static void break_type(Graph *g) { graph_value(g, node_named(g, "x")->out)->type = T_INT; }
static void break_level(Graph *g) { node_named(g, "x")->level = 2; }
static void break_expr(Graph *g) { node_named(g, "x")->expr = 99999; }
static void break_red(Graph *g) { node_named(g, "x")->red = 77; }
static void break_kind(Graph *g) { node_named(g, "x")->kind = N_NONE; }
static void break_recur(Graph *g) { recur_at(g, 0)->level = 1; }
static void break_next(Graph *g) { recur_at(g, 0)->classes.data[0].next[0] = 0; }
static void break_args(Graph *g) {
    recur_at(g, 0)->classes.data[0].args[0] = node_named(g, "x")->out;
}
static void break_class(Graph *g) { recur_at(g, 0)->classes.n = 0; }
static void break_iters(Graph *g) { recur_at(g, 1)->classes.data[1].iters.data[0] = 2; }
static void break_order(Graph *g) {
    uint32_t *k = recur_at(g, 1)->classes.data[0].iters.data, was = k[0];
    k[0] = k[1];
    k[1] = was;
}
static void break_length(Graph *g) { recur_at(g, 1)->length = size_num(g->sizes, 4); }
static void break_depth(Graph *g) {
    graph_value(g, node_named(g, "delayed")->out)->dims[0] = size_axis(g->sizes, "T", 1);
}
static void break_members(Graph *g) { g->params.data[1].members.n--; }
static void break_table(Graph *g) { g->params.data[0].value = g->params.data[1].value; }
static void break_formula(Graph *g) {
    ExprId i = expr_int(g, 0), two[2] = {i, i};
    g->params.data[0].formula = expr_read(g, g->params.data[0].value, two, 2);
}
static void break_output(Graph *g) {
    g->outputs.data[0].value = recur_at(g, 0)->classes.data[0].args[0];
}
static void break_output_index(Graph *g) { g->outputs.data[1].index = 7; }

static Expr *expr_named(Graph *g, const char *name) {
    return graph_expr(g, node_named(g, name)->expr);
}
static Expr *operand(Graph *g, const char *name, uint32_t k) {
    return graph_expr(g, expr_arg(g, node_named(g, name)->expr, k));
}
static Value class_arg(Graph *g) { return recur_at(g, 0)->classes.data[0].args[0]; }
static void break_rank(Graph *g) { graph_value(g, node_named(g, "x")->out)->rank = 13; }
static void break_out(Graph *g) { node_named(g, "x")->out = 0; }
static void break_out_twice(Graph *g) { node_named(g, "x")->out = node_named(g, "token")->out; }
static void break_store(Graph *g) { graph_value(g, node_named(g, "x")->out)->store = ST_STORES; }
static void break_fn(Graph *g) { expr_named(g, "kinds")->fn = F_COUNT; }
static void break_arity(Graph *g) { expr_named(g, "kinds")->n_args = 1; }
static void break_fn_type(Graph *g) { expr_named(g, "kinds")->type = T_INT; }
static void break_operands(Graph *g) { expr_named(g, "kinds")->n_args = 33; }
static void break_operand(Graph *g) { g->args.data[expr_named(g, "kinds")->args] = 99999; }
static void break_args_range(Graph *g) { expr_named(g, "kinds")->args = UINT32_MAX; }
static void break_number(Graph *g) { operand(g, "kinds", 1)->type = T_INT; }
static void break_counter(Graph *g) { operand(g, "x", 1)->type = T_REAL; }
static void break_select(Graph *g) { operand(g, "kinds", 0)->n_args = 2; }
static void break_select_type(Graph *g) { operand(g, "kinds", 0)->type = T_INT; }
static void break_op(Graph *g) { operand(g, "kinds", 0)->op = X_OPS; }
static void break_read_type(Graph *g) { expr_named(g, "x")->type = T_INT; }
static void break_extra(Graph *g) { node_named(g, "sum")->red = RED_NONE; }
static void break_delay_place(Graph *g) {
    NodeId n = graph_value(g, node_named(g, "delayed")->out)->node;
    graph_node(g, n)->level = 0;
    g->top.nodes.data[0] = n;
}
static void break_no_args(Graph *g) { recur_at(g, 0)->classes.data[0].args = NULL; }
static void break_no_arg(Graph *g) { recur_at(g, 0)->classes.data[0].args[0] = 0; }
static void break_arg_node(Graph *g) {
    graph_node(g, graph_value(g, class_arg(g))->node)->index = 7;
}
static void break_member_name(Graph *g) { g->params.data[0].members.data[0].name = NULL; }
static void break_param(Graph *g) {
    ParamInfo *p = PUSH(g->arena, &g->params);
    *p = g->params.data[0];
    p->value = node_named(g, "x")->out;
}
static void break_init(Graph *g) { g->params.data[0].init = 9; }
static void break_state(Graph *g) { g->states.data[2].value = node_named(g, "x")->out; }
static void break_output_kind(Graph *g) { g->outputs.data[0].kind = 99; }
static void break_axis(Graph *g) { (void)size_axis(g->sizes, "a b", 1); }
static void break_input_name(Graph *g) { g->inputs.data[0].name = NULL; }
static void break_input(Graph *g) {
    InputInfo *i = PUSH(g->arena, &g->inputs);
    *i = g->inputs.data[0];
    i->value = node_named(g, "x")->out;
}
static void break_below(Graph *g) { g->inputs.data[0].below = -1; }

static const Broken broken[] = {
    {"stands twice", break_twice},
    {"node 12345 is not there", break_node_id},
    {"its node is not the one that defines it", break_owner},
    {"a size is missing", break_size},
    {"constants without numbers", break_const},
    {"its type is not its expression's", break_type},
    {"has the wrong level", break_level},
    {"an expression is missing", break_expr},
    {"an unknown reduction", break_red},
    {"a node of unknown kind", break_kind},
    {"is no recurrence", break_recur},
    {"a value carried on is a value that cannot be seen there", break_next},
    {"a carried value", break_args},
    {"a recurrence without a class", break_class},
    {"iteration 2 is not there or stands twice", break_iters},
    {"the iterations of a class do not rise", break_order},
    {"the classes have not as many iterations as the recurrence", break_length},
    {"a delay without a depth", break_depth},
    {"2 names for 3 members", break_members},
    {"not what the table", break_table},
    {"a value is read in a formula", break_formula},
    {"an output is a value that cannot be seen there", break_output},
    {"an output of no parameter or state", break_output_index},
    {"13 axes", break_rank},
    {"defines no value", break_out},
    {"defined twice", break_out_twice},
    {"an unknown type", break_store},
    {"an unknown function", break_fn},
    {"mul of 1 operands", break_arity},
    {"mul of another type", break_fn_type},
    {"33 operands", break_operands},
    {"an operand is missing", break_operand},
    {"operands are missing", break_args_range},
    {"a number that is no real", break_number},
    {"a counter that is no int", break_counter},
    {"select of 2 operands", break_select},
    {"select of another type", break_select_type},
    {"an unknown kind of expression", break_op},
    {"a read of another type than the value", break_read_type},
    {"reduced axes without a reduction", break_extra},
    {"a delay outside of recurrences", break_delay_place},
    {"a class without values to carry", break_no_args},
    {"a class without values to carry", break_no_arg},
    {"a carried value with the wrong node", break_arg_node},
    {"a member without a name", break_member_name},
    {"not a parameter", break_param},
    {"an unknown initial value", break_init},
    {"not a state", break_state},
    {"an unknown kind of output", break_output_kind},
    {"an axis without a proper name", break_axis},
    {"an input without a name", break_input_name},
    {"not an input", break_input},
    {"an input below a negative number", break_below},
};

static void test_broken(void) {
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        Arena *a = arena_new();
        Graph *g = read_text(a, every_kind);
        if (g) {
            broken[i].breaks(g);
            const char *error = graph_verify(g);
            if (!error || !strstr(error, broken[i].error))
                FAIL("%s; expected %s", error ? error : "right", broken[i].error);
        }
        arena_free(a);
    }
}

/* ---- copies -------------------------------------------------------------------------------- */

static void test_clone(void) {
    Arena *a = arena_new();
    Graph *g = read_text(a, with_dead_parts);
    if (g) {
        Graph *copy = graph_clone(g, "copy");
        const char *error = graph_verify(copy);
        if (error) FAIL("%s", error);
        check_same("copy", text_of(copy), without_dead_parts);
        check_same("copy of the copy", text_of(graph_clone(copy, "copy")), without_dead_parts);
        check_same("the source", text_of(g), with_dead_parts);
    }
    arena_free(a);
}

/* A pass in three lines: every reduction becomes its double. */
static bool doubled(Rewrite *rw, NodeId n, Block *to, NodeId r, uint32_t cls) {
    const Node x = *graph_node(rw->src, n);
    if (x.kind != N_EQ || x.red != RED_SUM) return false;
    rewrite_node(rw, n, to, r, cls);
    const ValueInfo v = *graph_value(rw->dst, rw->map[x.out]);
    ExprId subs[MAX_RANK];
    for (uint32_t k = 0; k < v.rank; k++) subs[k] = expr_idx(rw->dst, k);
    ExprId e = expr_fn2(rw->dst, F_mul, expr_num(rw->dst, 2),
                        expr_read(rw->dst, rw->map[x.out], subs, v.rank));
    rw->map[x.out] =
        graph_eq(rw->dst, to, v.dims, v.rank, RED_NONE, NULL, 0, e, x.level, v.name, x.loc);
    return true;
}

static void test_rewrite(void) {
    Arena *a = arena_new(), *scratch = arena_new();
    Graph *g = read_text(a, to_be_doubled);
    if (g) {
        Rewrite rw;
        Graph *dst = rewrite_begin(&rw, g, g->entry, scratch);
        rw.node = doubled;
        rewrite_tables(&rw);
        rewrite_block(&rw, &g->top, &dst->top, 0, 0);
        rewrite_outputs(&rw);
        const char *error = graph_verify(dst);
        if (error) FAIL("%s", error);
        check_same("rewritten", text_of(dst), been_doubled);
    }
    arena_free(scratch);
    arena_free(a);
}

static void test_dot(void) {
    Arena *a = arena_new();
    Graph *g = read_text(a, every_kind);
    if (g) {
        Text t = text_new(a);
        graph_dot(g, &t);
        int open = 0;
        for (const char *s = t.data; *s; s++) open += (*s == '{') - (*s == '}');
        if (open || strncmp(t.data, "digraph ", 8) != 0) FAIL("not a drawing:\n%s", t.data);
        if (!strstr(t.data, "v1 -> v7;")) FAIL("an arrow is missing:\n%s", t.data);
    }
    arena_free(a);
}

int main(void) {
    test_round_trip();
    test_sizes();
    test_refused();
    test_damaged();
    test_deep();
    test_broken();
    test_clone();
    test_rewrite();
    test_dot();
    return failures != 0;
}
