/* Nodes of the tree, and the checks that the grammar leaves open. Maintains: no expression is
 * higher than MAX_HEIGHT, so that every later walk may recurse; every parameter has a formula or
 * a draw. */
#include "syntax.h"

#include <string.h>

/* ---- expressions ----------------------------------------------------------------------------- */

static Ast *new_ast(Parse *p, AstKind kind, Loc loc) {
    Ast *x = NEW(p->arena, Ast);
    x->kind = kind;
    x->loc = loc;
    x->height = 1;
    return x;
}

static void rise(Ast *x, const Ast *part) {
    if (part && part->height >= x->height) x->height = part->height + 1;
}

/* Reports a tree that has grown too high, once, and leaves a leaf in its place. */
static Ast *bounded(Parse *p, Ast *x) {
    if (x->height <= MAX_HEIGHT) return x;
    if (!p->too_high) {
        diag_report(p->diag, E0119, x->loc, "more than %d operators in one expression", MAX_HEIGHT);
        diag_help(p->diag, "give parts of it names of their own");
    }
    p->too_high = true;
    Ast *leaf = new_ast(p, A_NUM, x->loc);
    leaf->is_int = true;
    return leaf;
}

Ast *ast_number(Parse *p, Loc loc, const Token *t) {
    Ast *x = new_ast(p, A_NUM, loc);
    x->num = t->num;
    x->is_int = t->is_int;
    return x;
}

Ast *ast_name(Parse *p, Loc loc, const char *name) {
    Ast *x = new_ast(p, A_NAME, loc);
    x->name = name;
    return x;
}

Ast *ast_unary(Parse *p, Loc loc, AstOp op, Ast *a) {
    Ast *x = new_ast(p, A_UNARY, loc);
    x->op = op;
    x->a = a;
    rise(x, a);
    return bounded(p, x);
}

Ast *ast_binary(Parse *p, Loc loc, AstOp op, Ast *a, Ast *b) {
    Ast *x = new_ast(p, A_BINARY, loc);
    x->op = op;
    x->a = a;
    x->b = b;
    rise(x, a);
    rise(x, b);
    return bounded(p, x);
}

Ast *ast_reduce(Parse *p, Loc loc, AstRed red, Binders binders, Ast *body) {
    Ast *x = new_ast(p, A_REDUCE, loc);
    x->red = red;
    x->binders = binders;
    x->body = body;
    rise(x, body);
    for (uint32_t i = 0; i < binders.n; i++) rise(x, binders.data[i].size);
    return bounded(p, x);
}

Ast *ast_call(Parse *p, Loc loc, const char *callee, Args args, Args opts) {
    Ast *x = new_ast(p, A_CALL, loc);
    x->call.callee = callee;
    x->call.args = args;
    x->call.opts = opts;
    for (uint32_t i = 0; i < args.n; i++) rise(x, args.data[i].value);
    for (uint32_t i = 0; i < opts.n; i++) rise(x, opts.data[i].value);
    return bounded(p, x);
}

Ast *ast_index(Parse *p, Loc loc, Ast *base, Subs subs) {
    Ast *x = new_ast(p, A_INDEX, loc);
    x->index.base = base;
    TAKE(x->index.subs, subs);
    rise(x, base);
    for (uint32_t i = 0; i < subs.n; i++) {
        rise(x, subs.data[i].value);
        rise(x, subs.data[i].otherwise);
        if (!subs.data[i].otherwise || i + 1 == subs.n) continue;
        diag_report(p->diag, E0101, subs.data[i].otherwise->loc,
                    "'else' stands once, after the last subscript");
        diag_help(p->diag, "x[i-1, j+1 else 0] is 0 wherever one of the subscripts is outside");
    }
    return bounded(p, x);
}

/* ---- what follows a call --------------------------------------------------------------------- */

/* False when the call is none any more (it was too high), or has such a suffix already. */
static bool suffix(Parse *p, Loc at, const Ast *call, bool there, const char *word) {
    if (call->kind != A_CALL) return false;
    if (!there) return true;
    diag_report(p->diag, E0127, at, "a second '%s' for one call", word);
    diag_note(p->diag, call->loc, "the call of '%s'", call->call.callee);
    diag_help(p->diag, "a call inside another call takes its own '%s' in its own parentheses",
              word);
    return false;
}

/* A size may raise the call: one that is too high loses it. */
static Ast *beside(Parse *p, Ast *call, Ast *size) {
    rise(call, size);
    if (call->height <= MAX_HEIGHT) return size;
    call->height = MAX_HEIGHT;
    Ast over = {.height = MAX_HEIGHT + 1, .loc = call->loc};
    return bounded(p, &over);
}

void call_along(Parse *p, Loc at, Ast *call, bool reverse, Ast *size) {
    if (!suffix(p, at, call, call->kind == A_CALL && call->call.along, "along")) return;
    call->call.reverse = reverse;
    call->call.along = beside(p, call, size);
}

void call_where(Parse *p, Loc at, Ast *call, Ast *size) {
    if (!suffix(p, at, call, call->kind == A_CALL && call->call.where, "where")) return;
    call->call.where = beside(p, call, size);
}

void call_restart(Parse *p, Loc at, Ast *call, Ast *size) {
    if (!suffix(p, at, call, call->kind == A_CALL && call->call.restart, "restart")) return;
    call->call.restart = beside(p, call, size);
}

void call_as(Parse *p, Loc at, Ast *call, Path *path) {
    if (!suffix(p, at, call, call->kind == A_CALL && call->call.as, "as")) return;
    for (uint32_t i = 0; i < path->parts.n; i++) {
        PathPart *part = &path->parts.data[i];
        if (part->splice) part->splice = beside(p, call, part->splice);
    }
    call->call.as = path;
}

bool call_check(Parse *p, const Ast *e, const char *why) {
    if (e->kind == A_CALL) return true;
    if (p->too_high) return false;
    diag_report(p->diag, E0128, e->loc, "a call is expected: %s", why);
    if (why[0] == 'w')
        diag_help(p->diag, "draws are uniform(a, b), normal(s), trunc_normal(s), orthogonal(gain); "
                  "a formula follows '='");
    else
        diag_help(p->diag, "write (a, b) = f(x), or one statement for each name");
    return false;
}

/* ---- small nodes ----------------------------------------------------------------------------- */

Path *path_new(Parse *p, Loc loc, PathParts parts) {
    Path *path = NEW(p->arena, Path);
    TAKE(path->parts, parts);
    path->loc = loc;
    return path;
}

TypeRef type_named(Parse *p, Loc loc, const char *name, Ast *index) {
    static const struct { const char *name; TypeKind kind; } types[] = {
        {"f32", TY_F32}, {"bf16", TY_BF16}, {"f16", TY_F16}, {"int", TY_INT}, {"index", TY_INDEX},
    };
    TypeRef t = {.loc = loc, .index = index};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) t.kind = types[i].kind;
    if (t.kind == TY_NONE) {
        diag_report(p->diag, E0117, loc, "there is no type '%.40s'", name);
        diag_help(p->diag, "types are f32, bf16, f16, int and index(size)");
    } else if ((t.kind == TY_INDEX) != (index != NULL)) {
        diag_report(p->diag, E0117, loc, index ? "the type '%s' takes no size" :
                    "the type '%s' takes a size", name);
        diag_help(p->diag, index ? "write %s alone" : "write %s(V): whole numbers from 0 to V - 1",
                  name);
        t.kind = index ? t.kind : TY_INT;
        t.index = NULL;
    }
    if (t.kind == TY_NONE) t.index = NULL;
    return t;
}

Stmt *stmt_new(Parse *p, StmtKind kind, Loc loc) {
    Stmt *s = NEW(p->arena, Stmt);
    s->kind = kind;
    s->loc = loc;
    return s;
}

Decl *decl_new(Parse *p, DeclKind kind, Loc loc, const char *name) {
    Decl *d = NEW(p->arena, Decl);
    d->kind = kind;
    d->loc = loc;
    d->name = name;
    return d;
}

int64_t axis_multiple(Parse *p, const Token *t) {
    if (t->is_int && t->num >= 1 && t->num <= 1 << 20) return (int64_t)t->num;
    diag_report(p->diag, E0129, t->loc,
                "an axis is a multiple of a whole number from 1 to 1048576");
    diag_help(p->diag, "write axis Y %% 4: Y is a multiple of 4");
    return 1;
}

/* ---- parameters and attributes --------------------------------------------------------------- */

typedef struct AttrRule {
    const char *name;
    uint32_t least, most; /* values */
    const char *form;
} AttrRule;

static const AttrRule attr_rules[] = {
    {"lr", 1, 1, "lr 2: the learning rate times 2"},
    {"decay", 0, 1, "decay, or decay 0.1: the decay times 0.1"},
    {"frozen", 0, 0, "frozen"},
    {"stored", 1, 8, "stored [1,1,D]: the shape in files"},
};

static const AttrRule *attr_rule(const char *name) {
    for (size_t i = 0; i < sizeof attr_rules / sizeof *attr_rules; i++)
        if (strcmp(attr_rules[i].name, name) == 0) return &attr_rules[i];
    return NULL;
}

void attrs_check(Parse *p, const Attrs *attrs) {
    for (uint32_t i = 0; i < attrs->n; i++) {
        const Attr *a = &attrs->data[i];
        const AttrRule *rule = attr_rule(a->name);
        for (uint32_t k = 0; rule && k < i; k++) {
            if (attrs->data[k].name != a->name) continue;
            diag_report(p->diag, E0126, a->loc, "the attribute '%s' is given twice", a->name);
            diag_note(p->diag, attrs->data[k].loc, "first given here");
            break;
        }
        if (!rule) {
            diag_report(p->diag, E0116, a->loc, "a parameter has no attribute '%.40s'", a->name);
            diag_help(p->diag, "attributes are lr 2, decay, frozen and stored [1,1,D]; if a "
                      "product is meant, write '*'");
        } else if (!a->values.n && rule->least && i + 1 < attrs->n &&
                   !attr_rule(attrs->data[i + 1].name)) {
            i++;
            diag_report(p->diag, E0126, attrs->data[i].loc,
                        "the value of '%s' is a plain number, found '%.40s'", a->name,
                        attrs->data[i].name);
            diag_help(p->diag, "write %s", rule->form);
        } else if (a->values.n < rule->least || a->values.n > rule->most) {
            diag_report(p->diag, E0126, a->loc, "the attribute '%s' has %s", a->name,
                        a->values.n < rule->least ? "no value" : "too many values");
            diag_help(p->diag, "write %s", rule->form);
        }
    }
}

void params_check(Parse *p, ParamDecl *d) {
    if (!d->dims.given) {
        diag_report(p->diag, E0118, d->loc, "the parameter '%.60s' has no brackets", d->name);
        diag_help(p->diag, "write %.60s[D] for D numbers, %.60s[] for one", d->name, d->name);
        d->dims.given = true;
    }
    if (!d->formula && !d->draw) {
        diag_report(p->diag, E0123, d->loc, "the parameter '%.60s' has no initial value", d->name);
        diag_help(p->diag, "a formula follows '=' (%.60s[D] = 0), a draw follows '~' "
                  "(%.60s[D] ~ normal(0.02))", d->name, d->name);
        d->formula = new_ast(p, A_NUM, d->loc);
        d->formula->is_int = true;
    }
    Attrs own;
    TAKE(own, d->attrs);
    attrs_check(p, &own);
}

/* The group's attributes come first; one the parameter says itself is its own. */
void params_merge(Parse *p, ParamDecl *d, const Attrs *group) {
    Attrs all = {0};
    for (uint32_t i = 0; i < group->n; i++) {
        bool again = false;
        for (uint32_t k = 0; k < d->attrs.n; k++)
            again = again || d->attrs.data[k].name == group->data[i].name;
        if (!again) *PUSH(p->arena, &all) = group->data[i];
    }
    for (uint32_t k = 0; k < d->attrs.n; k++) *PUSH(p->arena, &all) = d->attrs.data[k];
    TAKE(d->attrs, all);
}

void state_check(Parse *p, const Tensor *t) {
    if (!t->dims.given) {
        diag_report(p->diag, E0118, t->loc, "the state '%.60s' has no brackets", t->name);
        diag_help(p->diag, "write state %.60s[D] = 0 for D numbers, %.60s[] = 0 for one", t->name,
                  t->name);
    }
    if (!t->value) {
        diag_report(p->diag, E0123, t->loc, "the state '%.60s' has no initial value", t->name);
        diag_help(p->diag, "write state %.60s[...] = 0", t->name);
    }
}

/* What follows the value of an assignment: `clip 1`. Anything else was to be a product. */
Args after_of(Parse *p, const Ast *value, const Attrs *attrs) {
    Args after = {0};
    for (uint32_t i = 0; i < attrs->n; i++) {
        const Attr *a = &attrs->data[i];
        if (strcmp(a->name, "clip") == 0) {
            if (a->values.n == 1) {
                *PUSH(p->arena, &after) = (Arg){a->name, a->values.data[0], a->loc};
            } else {
                diag_report(p->diag, E0126, a->loc, "after 'clip' stands one number");
                diag_help(p->diag, "write update = adamw()  clip 1");
            }
        } else if (attr_rule(a->name)) {
            diag_report(p->diag, E0116, a->loc, "'%s' is an attribute of parameters", a->name);
            diag_help(p->diag, "in a product, write '*' before it; a parameter is declared with "
                      "the word param");
        } else {
            mistake_no_operator(p, a->loc, a->name, value);
            break;
        }
    }
    return after;
}
