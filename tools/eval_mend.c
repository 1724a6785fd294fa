/* A checkpoint that does not fit a text: everything that is wrong, and the -D that would mend it.
 *
 * A dimension that the text writes as one constant (weight[V,D]) and that has another length in the
 * file says what the constant should be; names that end too early ("blocks.0." to "blocks.3.") say
 * how often the loop around them should run. */
#include "eval_mend.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../dsl/ast.h"
#include "eval_axes.h"

typedef struct Advice {
    const char *name; /* of a constant */
    int64_t value;
    bool doubtful; /* two tensors say different things */
} Advice;

struct Mend {
    Arena *arena;
    const char *command, *path;
    const rw_weights *file;
    Model *model;
    VEC(const char *) notes;
    VEC(Advice) advice;
};

Mend *mend_new(Arena *a, const char *command, const char *path, const rw_weights *file,
               Model *model) {
    Mend *m = NEW(a, Mend);
    m->arena = a;
    m->command = command;
    m->path = path;
    m->file = file;
    m->model = model;
    return m;
}

static void advise(Mend *m, const char *name, int64_t value) {
    if (value < 1) return; /* no constant of a shape is, whatever the file holds */
    for (uint32_t i = 0; i < m->advice.n; i++) {
        Advice *a = &m->advice.data[i];
        if (strcmp(a->name, name) != 0) continue;
        a->doubtful |= a->value != value;
        return;
    }
    *PUSH(m->arena, &m->advice) = (Advice){.name = arena_str(m->arena, name), .value = value};
}

/* ---- missing: how often should a loop run? --------------------------------------------------- */

/* Whether the path begins with the text `prefix` followed by a splice; how far that is from the
 * counter of the loop: {l} 0, {l+1} 1. */
static bool path_counts(const Path *p, const char *prefix, int64_t *offset) {
    if (!p || p->parts.n < 2 || !p->parts.data[0].text || !p->parts.data[1].splice) return false;
    if (strcmp(p->parts.data[0].text, prefix) != 0) return false;
    const Ast *x = p->parts.data[1].splice;
    *offset = 0;
    if (x->kind == A_BINARY && x->op == OP_ADD && x->b->kind == A_NUM) *offset = (int64_t)x->b->num;
    return true;
}

/* Whether a call in x has such a path. */
static bool expr_counts(const Ast *x, const char *prefix, int64_t *offset) {
    if (!x) return false;
    switch (x->kind) {
    case A_UNARY: return expr_counts(x->a, prefix, offset);
    case A_BINARY: return expr_counts(x->a, prefix, offset) || expr_counts(x->b, prefix, offset);
    case A_CALL:
        if (path_counts(x->call.as, prefix, offset)) return true;
        for (uint32_t i = 0; i < x->call.args.n; i++)
            if (expr_counts(x->call.args.data[i].value, prefix, offset)) return true;
        return false;
    default: return false;
    }
}

static const Ast *loop_count(const Stmts *b, const char *prefix, int64_t *offset);

/* Whether a statement directly in the body of a loop names things with such a path. */
static bool stmt_counts(const Stmt *s, const char *prefix, int64_t *offset) {
    if (s->kind == S_ASSIGN) return expr_counts(s->assign.value, prefix, offset);
    return s->kind == S_MULTI && expr_counts(s->multi.value, prefix, offset);
}

static const Ast *stmt_loop_count(const Stmt *s, const char *prefix, int64_t *offset) {
    if (s->kind == S_IF) {
        const Ast *found = loop_count(&s->branch.then, prefix, offset);
        return found ? found : loop_count(&s->branch.otherwise, prefix, offset);
    }
    if (s->kind != S_FOR) return NULL;
    if (path_counts(s->loop.as, prefix, offset)) return s->loop.count;
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        if (stmt_counts(s->loop.body.data[i], prefix, offset)) return s->loop.count;
    return loop_count(&s->loop.body, prefix, offset);
}

static const Ast *loop_count(const Stmts *b, const char *prefix, int64_t *offset) {
    for (uint32_t i = 0; i < b->n; i++) {
        const Ast *found = stmt_loop_count(b->data[i], prefix, offset);
        if (found) return found;
    }
    return NULL;
}

/* The number behind prefix in name, -1 if there is none. */
static int64_t number_behind(const char *name, const char *prefix) {
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0 || !isdigit((unsigned char)name[len])) return -1;
    long long k = strtoll(name + len, NULL, 10);
    return k < INT32_MAX ? k : -1;
}

/* What stands before the first number in a name: "blocks." of "blocks.3.w0"; NULL if nothing. */
static const char *prefix_of(Arena *a, const char *name) {
    size_t n = strcspn(name, "0123456789");
    return n && name[n] ? arena_strn(a, name, n) : NULL;
}

/* One more than the highest number behind prefix among the file's names; 0 if there is none. */
static int64_t file_count(const rw_weights *file, const char *prefix) {
    int64_t most = 0;
    for (size_t i = 0; i < rw_weights_count(file); i++) {
        int64_t k = number_behind(rw_weights_at(file, i)->name, prefix);
        if (k >= most) most = k + 1;
    }
    return most;
}

/* The same among the parameters of the text. */
static int64_t text_count(const Graph *g, const char *prefix) {
    int64_t most = 0;
    for (uint32_t i = 0; i < g->params.n; i++)
        for (uint32_t m = 0; m < g->params.data[i].members.n; m++) {
            int64_t k = number_behind(g->params.data[i].members.data[m].name, prefix);
            if (k >= most) most = k + 1;
        }
    return most;
}

/* The constant that says how often the loop runs which makes names begin with prefix. */
static void advise_loop(Mend *m, const char *prefix, int64_t wanted) {
    const File *f = program_file(m->model->program);
    for (uint32_t i = 0; f && i < f->decls.n; i++) {
        int64_t offset = 0;
        const Ast *count = loop_count(&f->decls.data[i]->body, prefix, &offset);
        if (!count || count->kind != A_NAME) continue;
        advise(m, count->name, wanted - offset);
        return;
    }
}

void mend_missing(Mend *m, const char *name) {
    *PUSH(m->arena, &m->notes) = arena_printf(m->arena, "parameter '%s' is missing", name);
    const char *prefix = prefix_of(m->arena, name);
    if (!prefix) return;
    int64_t n = file_count(m->file, prefix);
    if (n && number_behind(name, prefix) >= n) advise_loop(m, prefix, n);
}

void mend_unused(Mend *m, const Graph *g, const char *name) {
    const char *prefix = prefix_of(m->arena, name);
    if (!prefix) return;
    int64_t n = text_count(g, prefix);
    if (n && number_behind(name, prefix) >= n) advise_loop(m, prefix, file_count(m->file, prefix));
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static bool is_name(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '.') return false;
    return true;
}

/* Lines the axes of the text up with those of the file: one by one, or those that are not 1. */
static void advise_shape(Mend *m, Sizes *sizes, const ParamInfo *p, const int64_t *own,
                         uint32_t rank, const rw_tensor *found) {
    bool all = (uint32_t)found->rank == rank;
    uint32_t i = 0;
    for (int k = 0; k < found->rank; k++) {
        if (!all && found->shape[k] == 1) continue;
        while (!all && i < rank && own[i] == 1) i++;
        if (i == rank) return;
        const char *text = p->written[i] ? size_str(sizes, p->written[i]) : "";
        if (own[i] != found->shape[k] && is_name(text)) advise(m, text, found->shape[k]);
        i++;
    }
}

void mend_shape(Mend *m, const char *name, Sizes *sizes, const ParamInfo *p, const int64_t *own,
                uint32_t own_rank, const int64_t *stored, uint32_t stored_rank,
                const rw_tensor *found) {
    const char *written = "";
    bool formula = own_rank && !p->stored_rank;
    for (uint32_t i = 0; i < own_rank; i++) formula &= p->written[i] != 0;
    if (formula)
        written = arena_printf(m->arena, "%s = ", dims_text(m->arena, sizes, p->written, own_rank));
    *PUSH(m->arena, &m->notes) =
        arena_printf(m->arena, "parameter '%s': the text says %s%s, the file has %s", name, written,
                     shape_text(m->arena, stored, (int)stored_rank),
                     shape_text(m->arena, found->shape, found->rank));
    advise_shape(m, sizes, p, own, own_rank, found);
}

static void print_help(const Mend *m) {
    bool any = false;
    for (uint32_t i = 0; i < m->advice.n; i++) {
        const Advice *a = &m->advice.data[i];
        if (a->doubtful) continue;
        fprintf(stderr, "%s -D %s=%lld", any ? "" : "  help: the file looks as if made with",
                a->name, (long long)a->value);
        any = true;
    }
    if (any) fputc('\n', stderr);
}

int mend_end(Mend *m, bool verbose) {
    uint32_t show = verbose || m->notes.n <= 8 ? m->notes.n : 6;
    for (uint32_t i = 0; i < show; i++)
        failed(m->command, EXIT_INPUT, "%s: %s", m->path, m->notes.data[i]);
    if (show < m->notes.n) fprintf(stderr, "  ... and %u more (-v shows all)\n", m->notes.n - show);
    print_help(m);
    return m->notes.n ? EXIT_INPUT : EXIT_DONE;
}

/* ---- what is read ---------------------------------------------------------------------------- */

static void mark_expr(Graph *g, ExprId e, void *user) {
    bool *read = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_READ) read[x->value] = true;
}

static void mark_node(Graph *g, NodeId n, void *user) {
    bool *read = user;
    const Node *k = graph_node(g, n);
    if (k->expr) expr_walk(g, k->expr, mark_expr, user);
    for (uint32_t i = 0; i < MAX_RANK; i++)
        if (k->subs[i]) expr_walk(g, k->subs[i], mark_expr, user);
    read[k->source] = read[k->init] = true;
    if (!k->recur) return;
    const Recur *r = k->recur;
    for (uint32_t c = 0; c < r->carry.n; c++) read[r->carry.data[c].init] = true;
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *cls = &r->classes.data[c];
        for (uint32_t i = 0; i < r->carry.n; i++) read[cls->next[i]] = true;
        for (uint32_t i = 0; i < cls->outs.n; i++) read[cls->outs.data[i].body] = true;
    }
}

bool *values_read(Arena *a, Graph *g) {
    bool *read = NEWN(a, bool, g->values.n + 1);
    graph_each(g, &g->top, mark_node, read);
    for (uint32_t i = 0; i < g->outputs.n; i++) read[g->outputs.data[i].value] = true;
    return read;
}
