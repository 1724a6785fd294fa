/* The tree as text, for --emit=ast: one construct a line, blocks indented, expressions in prefix
 * form with all parentheses. Equal trees give equal texts. */
#include "ast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void expr(Text *t, const Ast *x);

/* The shortest form that reads back as the same number. */
static void number(Text *t, double v, bool is_int) {
    char s[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        if (strtod(s, NULL) == v) break;
    }
    if (is_int && fabs(v) < 1e16) snprintf(s, sizeof s, "%.0f", v);
    text_add(t, s);
    if (!is_int && !strpbrk(s, ".en")) text_add(t, ".0");
}

static void binder(Text *t, const Binder *b) {
    if (b->name) text_add(t, b->name);
    if (b->name && b->size) text_add(t, ":");
    if (b->size) expr(t, b->size);
}

static void binders(Text *t, const Binder *data, uint32_t n) {
    text_add(t, "[");
    for (uint32_t i = 0; i < n; i++) {
        if (i) text_add(t, " ");
        binder(t, &data[i]);
    }
    text_add(t, "]");
}

static void dims(Text *t, const Dims *d) {
    if (d->given) binders(t, d->axes.data, d->axes.n);
}

/* "name = value", a name alone, or a value alone. */
static void arg(Text *t, const Arg *a) {
    if (a->name) text_add(t, a->name);
    if (a->name && a->value) text_add(t, " = ");
    if (a->value) expr(t, a->value);
}

static void args(Text *t, const char *before, const Args *a) {
    for (uint32_t i = 0; i < a->n; i++) {
        text_add(t, i ? ", " : before);
        arg(t, &a->data[i]);
    }
}

static void path(Text *t, const Path *p) {
    text_add(t, "\"");
    for (uint32_t i = 0; i < p->parts.n; i++) {
        const PathPart *part = &p->parts.data[i];
        if (part->splice) {
            text_add(t, "{");
            expr(t, part->splice);
            text_add(t, "}");
            continue;
        }
        for (const char *s = part->text; *s; s++) {
            if (strchr("\"\\{}", *s)) text_add(t, "\\");
            text_addn(t, s, 1);
        }
    }
    text_add(t, "\"");
}

static void suffix(Text *t, const char *word, const Ast *size) {
    if (!size) return;
    text_printf(t, " %s ", word);
    expr(t, size);
}

static void call(Text *t, const Ast *x) {
    text_printf(t, "(%s", x->call.callee);
    args(t, " ", &x->call.args);
    args(t, "; ", &x->call.opts);
    suffix(t, x->call.reverse ? "along reverse" : "along", x->call.along);
    suffix(t, "where", x->call.where);
    suffix(t, "restart", x->call.restart);
    if (x->call.as) {
        text_add(t, " as ");
        path(t, x->call.as);
    }
    text_add(t, ")");
}

static void index_of(Text *t, const Ast *x) {
    expr(t, x->index.base);
    text_add(t, "[");
    for (uint32_t i = 0; i < x->index.subs.n; i++) {
        const Sub *s = &x->index.subs.data[i];
        if (i) text_add(t, ", ");
        expr(t, s->value);
        if (!s->otherwise) continue;
        text_add(t, " else ");
        expr(t, s->otherwise);
    }
    text_add(t, "]");
}

static void expr(Text *t, const Ast *x) {
    switch (x->kind) {
    case A_NUM: number(t, x->num, x->is_int); return;
    case A_NAME: text_add(t, x->name); return;
    case A_UNARY:
        text_printf(t, "(%s ", x->op == OP_NEG ? "neg" : ast_op_name[x->op]);
        expr(t, x->a);
        break;
    case A_BINARY:
        text_printf(t, "(%s ", ast_op_name[x->op]);
        expr(t, x->a);
        text_add(t, " ");
        expr(t, x->b);
        break;
    case A_REDUCE:
        text_printf(t, "(%s", ast_red_name[x->red]);
        binders(t, x->binders.data, x->binders.n);
        text_add(t, " ");
        expr(t, x->body);
        break;
    case A_CALL: call(t, x); return;
    case A_INDEX: index_of(t, x); return;
    }
    text_add(t, ")");
}

static void type(Text *t, const TypeRef *r) {
    static const char *const names[] = {[TY_F32] = "f32", [TY_BF16] = "bf16", [TY_F16] = "f16",
                                        [TY_INT] = "int", [TY_INDEX] = "index"};
    if (r->kind == TY_NONE) return;
    text_printf(t, ": %s", names[r->kind]);
    if (!r->index) return;
    text_add(t, "(");
    expr(t, r->index);
    text_add(t, ")");
}

static void tensors(Text *t, const Tensors *all) {
    for (uint32_t i = 0; i < all->n; i++) {
        const Tensor *x = &all->data[i];
        if (i) text_add(t, ", ");
        text_add(t, x->name);
        dims(t, &x->dims);
        type(t, &x->type);
        if (!x->value) continue;
        text_add(t, " = ");
        expr(t, x->value);
    }
}

static void line(Text *t, int depth) {
    for (int i = 0; i < depth; i++) text_add(t, "  ");
}

static void decl(Text *t, const Decl *d, int depth);
static void block(Text *t, const Stmts *all, int depth);

static void param(Text *t, const ParamDecl *d, int depth) {
    line(t, depth);
    text_printf(t, "param %s", d->name);
    dims(t, &d->dims);
    type(t, &d->type);
    text_add(t, d->draw ? " ~ " : " = ");
    expr(t, d->draw ? d->draw : d->formula);
    for (uint32_t i = 0; i < d->attrs.n; i++) {
        const Attr *a = &d->attrs.data[i];
        text_printf(t, " | %s", a->name);
        for (uint32_t k = 0; k < a->values.n; k++) {
            text_add(t, " ");
            expr(t, a->values.data[k]);
        }
    }
    text_add(t, "\n");
}

static void assignment(Text *t, const Stmt *s) {
    text_add(t, s->assign.name);
    if (s->assign.has_binders) binders(t, s->assign.binders.data, s->assign.binders.n);
    text_printf(t, s->assign.op == '=' ? " = " : " %c= ", s->assign.op);
    expr(t, s->assign.value);
    for (uint32_t i = 0; i < s->assign.after.n; i++) {
        text_printf(t, " | %s ", s->assign.after.data[i].name);
        expr(t, s->assign.after.data[i].value);
    }
}

static void words(Text *t, const char *first, const char *between, const Word *data, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        text_add(t, i ? between : first);
        text_add(t, data[i].name);
    }
}

static void if_chain(Text *t, const Stmt *s, int depth) {
    line(t, depth);
    for (;;) {
        text_add(t, "if ");
        expr(t, s->branch.cond);
        text_add(t, "\n");
        block(t, &s->branch.then, depth + 1);
        const Stmts *rest = &s->branch.otherwise;
        if (!rest->n) return;
        line(t, depth);
        text_add(t, "else");
        if (rest->n != 1 || rest->data[0]->kind != S_IF) {
            text_add(t, "\n");
            block(t, rest, depth + 1);
            return;
        }
        text_add(t, " ");
        s = rest->data[0];
    }
}

static void loop(Text *t, const Stmt *s, int depth) {
    text_printf(t, "for %s in ", s->loop.var);
    expr(t, s->loop.count);
    if (s->loop.as) {
        text_add(t, " as ");
        path(t, s->loop.as);
    }
    text_add(t, "\n");
    block(t, &s->loop.body, depth + 1);
}

static void stmt(Text *t, const Stmt *s, int depth) {
    switch (s->kind) {
    case S_PARAMS:
        for (uint32_t i = 0; i < s->params.n; i++) param(t, &s->params.data[i], depth);
        return;
    case S_IF: if_chain(t, s, depth); return;
    case S_FN: decl(t, s->fn, depth); return;
    case S_FOR:
        line(t, depth);
        loop(t, s, depth);
        return;
    default: break;
    }
    line(t, depth);
    switch (s->kind) {
    case S_STATE:
        text_add(t, "state ");
        tensors(t, &s->states);
        break;
    case S_ASSIGN: assignment(t, s); break;
    case S_MULTI:
        words(t, "(", ", ", s->multi.targets.data, s->multi.targets.n);
        text_add(t, ") = ");
        expr(t, s->multi.value);
        break;
    case S_METRIC:
        text_printf(t, "metric %s = ", s->metric.name);
        expr(t, s->metric.value);
        break;
    case S_ONLY: words(t, "only ", " ", s->patterns.data, s->patterns.n); break;
    case S_FREEZE: words(t, "freeze ", " ", s->patterns.data, s->patterns.n); break;
    default: break;
    }
    text_add(t, "\n");
}

static void block(Text *t, const Stmts *all, int depth) {
    for (uint32_t i = 0; i < all->n; i++) stmt(t, all->data[i], depth);
}

static void signature(Text *t, const Sig *s) {
    text_add(t, "(");
    tensors(t, &s->tensors);
    for (uint32_t i = 0; i < s->opts.n; i++) {
        text_add(t, i ? ", " : "; ");
        Arg a = {.name = s->opts.data[i].name, .value = s->opts.data[i].value};
        arg(t, &a);
    }
    text_add(t, ")");
}

/* fn, cell, model, train: the head, and what it stands for. */
static void callable(Text *t, const Decl *d, int depth) {
    text_printf(t, " %s", d->name);
    if (d->as) {
        text_add(t, " as ");
        path(t, d->as);
    }
    signature(t, &d->sig);
    if (d->has_binders) binders(t, d->binders.data, d->binders.n);
    if (d->expr) {
        text_add(t, " = ");
        expr(t, d->expr);
    }
    if (d->outs.n) {
        text_add(t, " -> ");
        tensors(t, &d->outs);
    }
    if (d->along) text_printf(t, " along %s", d->along);
    text_add(t, "\n");
    block(t, &d->body, depth + 1);
}

static void uses(Text *t, const Decl *d) {
    for (uint32_t i = 0; i < d->uses.n; i++) {
        text_printf(t, i ? ", %s" : " %s", d->uses.data[i].name);
        args(t, "(", &d->use_args.data[i]);
        if (d->use_args.data[i].n) text_add(t, ")");
    }
    text_add(t, "\n");
}

static void decl(Text *t, const Decl *d, int depth) {
    static const char *const names[] = {[D_USE] = "use", [D_CONST] = "const", [D_AXIS] = "axis",
                                        [D_FN] = "fn", [D_CELL] = "cell", [D_MODEL] = "model",
                                        [D_TRAIN] = "train"};
    line(t, depth);
    text_add(t, names[d->kind]);
    switch (d->kind) {
    case D_USE: uses(t, d); return;
    case D_CONST: args(t, " ", &d->consts); break;
    case D_AXIS:
        for (uint32_t i = 0; i < d->axes.n; i++) {
            text_printf(t, i ? ", %s" : " %s", d->axes.data[i].name);
            if (d->axes.data[i].multiple > 1)
                text_printf(t, " %% %lld", (long long)d->axes.data[i].multiple);
        }
        break;
    default: callable(t, d, depth); return;
    }
    text_add(t, "\n");
}

void ast_print(const File *f, Text *out) {
    for (uint32_t i = 0; i < f->decls.n; i++) decl(out, f->decls.data[i], 0);
}
