/* Puts a mistake into words: the word the grammar could not take, and what it could have taken.
 * Requires: the word was the last given by parse_next. Cost: a look back over the statement. */
#include "syntax.h"
#include "parse.tab.h"

#include <string.h>

typedef struct At {
    Parse *p;
    const Token *all;
    uint32_t i;          /* the word that is wrong                                */
    const Token *t;      /* itself                                                */
    const Token *prev;   /* the one before it, never NULL                         */
    bool same_line;      /* both in one line                                      */
    unsigned want;
    char found[64], after[64];
} At;

bool is_keyword(int kind) { return kind >= USE && kind <= ARGMAX; }

static bool is_reduction(int kind) { return kind >= SUM && kind <= ARGMAX; }

static bool is_comparison(int kind) {
    return kind == EQ || kind == NE || kind == '<' || kind == LE || kind == '>' || kind == GE;
}

static bool is_operator(int kind) {
    return kind == '+' || kind == '-' || kind == '*' || kind == '/' || kind == IDIV ||
           kind == '%' || kind == '@' || kind == '^' || kind == AND || kind == OR ||
           is_comparison(kind);
}

static bool is_assignment(int kind) {
    return kind == '=' || kind == ADD_TO || kind == SUB_FROM || kind == MUL_BY;
}

static bool ends_value(int kind) {
    return kind == NAME || kind == NUM || kind == ')' || kind == ']' || kind == PATH_END;
}

static bool starts_value(int kind) {
    return kind == NAME || kind == NUM || kind == '(' || is_reduction(kind);
}

static void describe(const Parse *p, const Token *t, char *out, size_t size) {
    if (t->kind == END) {
        snprintf(out, size, "the end of the text");
    } else if (t->kind == NL && p->text[t->at] != ';' && p->text[t->at] != '}') {
        snprintf(out, size, "the end of the line");
    } else if (t->kind == PATH_END) {
        snprintf(out, size, "the path");
    } else {
        bool cut = t->loc.len > 40;
        snprintf(out, size, "'%.*s%s'", cut ? 37 : (int)t->loc.len, p->text + t->at,
                 cut ? "..." : "");
    }
}

static Loc behind(const Token *t) {
    Loc loc = t->loc;
    loc.col += loc.len;
    loc.len = 1;
    return loc;
}

/* The place of something missing: before the wrong word, or behind the one before it when that
 * stands in an earlier line. */
static Loc here(const At *a) { return a->same_line || a->i == 0 ? a->t->loc : behind(a->prev); }

/* The bracket that is open at word i, or NULL. */
static const Token *opener(const At *a, uint32_t i) {
    uint32_t depth = a->all[i].depth;
    while (depth > 0 && i-- > 0) {
        const Token *t = &a->all[i];
        bool opens = t->kind == '(' || t->kind == '[' || t->kind == '{' || t->kind == SPLICE;
        if (opens && t->depth < depth) return t;
    }
    return NULL;
}

/* The partner of the closing bracket at word i. */
static const Token *partner(const At *a, uint32_t i) {
    uint32_t depth = a->all[i].depth;
    while (i > 0 && a->all[--i].depth != depth) {}
    return &a->all[i];
}

static void note_opener(const At *a) {
    if (!(a->want & (W_RPAREN | W_RBRACKET))) return;
    const Token *open = opener(a, a->i);
    if (open && (open->kind == '(' || open->kind == '[') && open->loc.line != a->t->loc.line)
        diag_note(a->p->diag, open->loc, "'%c' was opened here", open->kind);
}

/* ---- two values side by side ----------------------------------------------------------------- */

void mistake_no_operator(Parse *p, Loc loc, const char *name, const Ast *before) {
    diag_report(p->diag, E0110, loc, "an operator is missing before '%.40s'", name);
    const char *f = before && before->kind == A_CALL ? before->call.callee : "";
    if ((strcmp(f, "max") == 0 || strcmp(f, "min") == 0) && before->call.args.n == 1) {
        const Ast *arg = before->call.args.data[0].value;
        const char *index = arg->kind == A_NAME ? arg->name : "i";
        diag_help(p->diag, "a reduction has its index in brackets: %s[%.40s] %.40s[%.40s]", f,
                  index, name, index);
    } else {
        diag_help(p->diag, "a product is written with '*', and a statement ends at the end of its "
                  "line or at ';'");
    }
}

/* `a b`, where b is the wrong word or the name before it (taken for an attribute at first). */
static bool no_operator(At *a) {
    const Token *t = a->t, *prev = a->prev;
    Diag *d = a->p->diag;
    if ((a->want & W_OP) && ends_value(prev->kind) && starts_value(t->kind)) {
        diag_report(d, E0110, here(a), "an operator%s is missing between %s and %s",
                    a->want & W_COMMA ? " or ','" : "", a->after, a->found);
        const Token *open = prev->kind == ')' ? partner(a, a->i - 1) : NULL;
        if (open && open > a->all && (open[-1].kind == MAX || open[-1].kind == MIN))
            diag_help(d, "a reduction has its index in brackets: %s[i] x[i]", open[-1].name);
        else if (prev->kind == NUM || t->kind == '(' || t->kind == NAME)
            diag_help(d, "a product is written with '*'");
        note_opener(a);
        return true;
    }
    if ((a->want & W_OP) || prev->kind != NAME || a->i < a->p->statement + 3) return false;
    if (!ends_value(prev[-1].kind) || !(is_operator(t->kind) || starts_value(t->kind) ||
                                        t->kind == '[' || t->kind == ALONG || t->kind == AS))
        return false;
    if (strcmp(prev->name, "lr") == 0 || strcmp(prev->name, "decay") == 0 ||
        strcmp(prev->name, "frozen") == 0 || strcmp(prev->name, "clip") == 0) {
        diag_report(d, E0126, t->loc, "the value of '%s' is a plain number, found %s", prev->name,
                    a->found);
        diag_help(d, "write %s 0.5; what varies belongs into the optimizer", prev->name);
        return true;
    }
    mistake_no_operator(a->p, prev->loc, prev->name, NULL);
    return true;
}

/* ---- one check for each common slip; true when it was that ----------------------------------- */

static bool reserved_word(At *a) {
    const Token *t = a->t;
    if (is_assignment(t->kind) && is_keyword(a->prev->kind) && a->i == a->p->statement + 1) {
        t = a->prev; /* state = 3 */
    } else {
        if (!is_keyword(t->kind) || !(a->want & W_NAME) || !a->same_line) return false;
        if (t->kind == AND || t->kind == OR || t->kind == ELSE) return false;
        if ((t->kind == IF || t->kind == FOR) && (a->want & W_EXPR)) return false;
    }
    if (a->want & (W_STATEMENT | W_DECL)) return false;
    diag_report(a->p->diag, E0109, t->loc, "'%s' is a reserved word and no name", t->name);
    diag_help(a->p->diag, "choose another name, %s_ or my_%s", t->name, t->name);
    return true;
}

static bool reduction_index(At *a) {
    int kind = a->prev->kind;
    if (!is_reduction(kind) || (a->want & W_OP)) return false;
    const char *name = a->prev->name, *index = "i";
    if (a->t->kind == '(' && a->t[1].kind == NAME) index = a->t[1].name;
    diag_report(a->p->diag, E0113, here(a), "the index of '%s' stands in brackets, found %s", name,
                a->found);
    if (kind == MAX || kind == MIN)
        diag_help(a->p->diag, "write %s[i] x[i] for the %s over an index, %s(a, b) for that of two "
                  "values", name, name, name);
    else
        diag_help(a->p->diag, "write %s[%.40s], as in: y = %s[%.40s] x[%.40s]", name, index, name,
                  index, index);
    return true;
}

static bool chained_comparison(At *a) {
    if (!is_comparison(a->t->kind) || !(a->want & W_OP) || (a->want & W_COMPARE)) return false;
    diag_report(a->p->diag, E0112, a->t->loc, "comparisons do not chain");
    diag_help(a->p->diag, "write a < b and b < c; or put one comparison into parentheses");
    return true;
}

/* An operator at the end of a line took the next statement with it. */
static bool runs_on(At *a) {
    uint32_t first = a->i;
    while (first > a->p->statement && !a->all[first].first) first--;
    if (first <= a->p->statement) return false;
    const Token *tail = &a->all[first - 1];
    if (!is_operator(tail->kind) && !is_assignment(tail->kind)) return false;
    char text[64];
    describe(a->p, tail, text, sizeof text);
    diag_report(a->p->diag, E0115, tail->loc, "nothing follows %s in its line", text);
    diag_note(a->p->diag, a->all[first].loc, "so the statement went on here");
    diag_help(a->p->diag, "end the line with a value, or write the rest of the expression");
    return true;
}

/* `x = 3 y = 4`: the name before '=' was taken for an attribute. */
static bool two_statements(At *a) {
    if (!(a->want & W_END) || (!is_assignment(a->t->kind) && a->t->kind != '~')) return false;
    const Token *name = a->prev;
    if (name->kind == ']') name = partner(a, a->i - 1) - 1;
    if (name < a->all + a->p->statement + 3 || name->kind != NAME || !ends_value(name[-1].kind))
        return false;
    diag_report(a->p->diag, E0101, name->loc, "a new line or ';' is missing before '%.40s'",
                name->name);
    return true;
}

static bool equals_sign(At *a) {
    Diag *d = a->p->diag;
    if (two_statements(a)) return true;
    if (a->t->kind == EQ && (a->want & W_ASSIGN) && !(a->want & W_OP)) {
        diag_report(d, E0111, a->t->loc, "'==' compares, and here something is defined");
        diag_help(d, "write one '='");
        return true;
    }
    if (!is_assignment(a->t->kind)) return false;
    if (a->want & W_OP) {
        if (runs_on(a)) return true;
        diag_report(d, E0111, a->t->loc, "%s defines, and this is inside an expression", a->found);
        diag_help(d, a->t->kind == '=' ? "to compare, write '=='" :
                  "write the new value out: y = y + x stands for y += x");
        return true;
    }
    bool joined = is_operator(a->prev->kind) && a->prev->at + a->prev->loc.len == a->t->at;
    if (!joined || a->t->kind != '=') return false;
    diag_report(d, E0101, a->prev->loc, "there is no assignment '%.*s='", (int)a->prev->loc.len,
                a->p->text + a->prev->at);
    diag_help(d, "assignments are = += -= *=");
    return true;
}

/* Names only between the brackets of `y[i,j] =`, `sum[i]` and `fn f(x)[i] =`. */
static bool plain_indices(At *a) {
    const Token *open = opener(a, a->i);
    if (!open || open->kind != '[' || open == a->all || (a->want & (W_OP | W_EXPR))) return false;
    bool binder = a->prev->kind == NAME ? (a->want & W_RBRACKET) : (a->want & W_NAME);
    if (!binder) return false;
    const Token *owner = open - 1;
    Diag *d = a->p->diag;
    if (is_reduction(owner->kind)) {
        diag_report(d, E0113, a->t->loc, "the brackets of '%s' hold plain indices, found %s",
                    owner->name, a->found);
        diag_help(d, "write %s[i], %s[i,j], or %s[i:N] when the range must be said", owner->name,
                  owner->name, owner->name);
        return true;
    }
    diag_report(d, E0114, a->t->loc, "%s holds plain indices, found %s",
                owner->kind == NAME ? "the left side of a definition" : "the list of indices",
                a->found);
    diag_help(d, "an equation defines the whole tensor: y[i] = e or y[i:N] = e; to place parts, "
              "write select(i < K, a[i], b[i-K])");
    return true;
}

static bool wrong_place(At *a) {
    const Token *t = a->t;
    Diag *d = a->p->diag;
    if (a->want & W_DECL) {
        bool of_block = t->kind == PARAM || t->kind == PARAMS || t->kind == STATE ||
                        t->kind == FOR || t->kind == IF || t->kind == METRIC || t->kind == ONLY ||
                        t->kind == FREEZE;
        diag_report(d, E0122, t->loc, "a declaration is expected here, found %s", a->found);
        if (of_block)
            diag_help(d, "'%s' belongs into the block of a cell, fn, model or train", t->name);
        else if (t->kind == NAME && a->i + 1 < a->p->tokens.n && is_assignment(t[1].kind))
            diag_help(d, "write const %.40s = ..., or put the statement into a cell, fn or model",
                      t->name);
        else if (t->kind == IDIV)
            diag_help(d, "comments start with #");
        else
            diag_help(d, "a file holds use, const, axis, fn, cell, model and train");
        return true;
    }
    if (!(a->want & W_STATEMENT)) return false;
    if (t->kind == ELSE) {
        diag_report(d, E0122, t->loc, "this 'else' belongs to no 'if'");
        diag_help(d, "write if c { ... } else { ... }");
    } else if (t->kind >= USE && t->kind <= TRAIN) {
        diag_report(d, E0122, t->loc, "'%s' belongs outside of blocks", t->name);
        diag_help(d, "close the block before it with '}'");
    } else if (is_keyword(t->kind)) {
        diag_report(d, E0109, t->loc, "'%s' is a reserved word and starts no statement", t->name);
        diag_help(d, "choose another name, %s_ or my_%s", t->name, t->name);
    } else {
        diag_report(d, E0122, t->loc, "a statement is expected here, found %s", a->found);
        diag_help(d, t->kind == IDIV ? "comments start with #" :
                  "a statement starts with the name it defines, or with param, state, for, if, fn");
    }
    return true;
}

static bool no_expression(At *a) {
    if (!(a->want & W_EXPR)) return false;
    const Token *t = a->t;
    Diag *d = a->p->diag;
    if (is_assignment(t->kind) && runs_on(a)) return true;
    diag_report(d, E0115, here(a), "an expression is expected after %s, found %s", a->after,
                a->found);
    if (t->kind == IF && a->same_line)
        diag_help(d, "'if' chooses statements; between values choose with select(c, a, b)");
    else if (t->kind == FOR && a->same_line)
        diag_help(d, "'for' repeats statements; over an index run equations and sum[i]");
    else if (a->prev->kind == ',' && (t->kind == ')' || t->kind == ']'))
        diag_help(d, "drop the ',' before %s", a->found);
    else if (t->kind == '{')
        diag_help(d, "expressions are grouped by ( )");
    else if (t->kind == ']' && a->prev->kind == '[')
        diag_help(d, "a whole tensor is written without brackets");
    note_opener(a);
    return true;
}

static bool path_or_pattern(At *a) {
    Diag *d = a->p->diag;
    if ((a->want & W_PATH) && a->prev->kind == AS) {
        diag_report(d, E0124, here(a), "a path is expected after 'as', found %s", a->found);
        diag_help(d, "paths look like ln1, blocks.{l}.att or \"any text\"");
        return true;
    }
    if (!(a->want & W_PATTERN)) return false;
    diag_report(d, E0125, here(a), "a name or pattern is expected after %s, found %s", a->after,
                a->found);
    diag_help(d, "patterns look like vit.* or blocks.*.att.S, with blanks between them; 'only' and "
              "'freeze' are reserved words");
    return true;
}

/* ---- everything else: what could have stood here --------------------------------------------- */

static void add_want(Text *t, bool *some, const char *what) {
    if (*some) text_add(t, ", ");
    text_add(t, what);
    *some = true;
}

static const char *wanted(At *a) {
    static const struct { unsigned bit; const char *text; } words[] = {
        {W_PATH, "more of the path"}, {W_IN, "'in'"}, {W_ASSIGN, "'='"}, {W_TILDE, "'~'"},
        {W_LPAREN, "'('"}, {W_LBRACKET, "'['"}, {W_COLON, "':'"}, {W_COMMA, "','"},
        {W_SEMI, "';'"}, {W_RPAREN, "')'"}, {W_RBRACKET, "']'"}, {W_ARROW, "'->'"},
        {W_SPLICE, "'}' of the path"}, {W_BLOCK, "'{'"}, {W_CLOSE, "'}'"},
        {W_END, "the end of the statement"},
    };
    Text t = text_new(a->p->arena);
    bool some = false;
    unsigned want = a->want;
    if (want & W_EXPR) {
        want &= ~(unsigned)(W_NAME | W_NUM | W_LPAREN);
        add_want(&t, &some, "an expression");
    }
    if (want & W_OP) {
        want &= ~(unsigned)(W_LBRACKET | W_LPAREN | W_NAME | W_NUM);
        add_want(&t, &some, "an operator");
    }
    if (want & W_END) want &= ~(unsigned)(W_NAME | W_CLOSE);
    if (want & W_NAME) add_want(&t, &some, "a name");
    if (want & W_NUM) add_want(&t, &some, "a number");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (want & words[i].bit) add_want(&t, &some, words[i].text);
    if (!some) return "something else";
    char *comma = strrchr(t.data, ',');
    while (comma && comma > t.data && comma[-1] == '\'' && comma[1] == '\'') /* the word ',' */
        for (comma--; comma > t.data && *comma != ','; comma--) {}
    if (!comma || *comma != ',') return t.data;
    return arena_printf(a->p->arena, "%.*s or%s", (int)(comma - t.data), t.data, comma + 1);
}

static void general(At *a) {
    Diag *d = a->p->diag;
    const Token *s = &a->all[a->p->statement];
    diag_report(d, E0101, here(a), "%s is expected after %s, found %s", wanted(a), a->after,
                a->found);
    if (s->kind == FOR && is_operator(a->t->kind))
        diag_help(d, "a count that is more than a name or a number stands in parentheses: "
                  "for l in (2*L) { ... }");
    else if (a->prev->kind == NAME && strcmp(a->prev->name, "elif") == 0)
        diag_help(d, "write else if");
    else if ((a->want & W_BLOCK) && a->t->kind == ':')
        diag_help(d, "a block stands in { }");
    else if ((a->want & W_ARROW) && (a->t->kind == '{' || a->t->kind == NL))
        diag_help(d, "results come before the block: fn f(x) -> y { y = x }");
    else if (s->kind == NAME && a->i == a->p->statement + 1 && a->t->kind == '(')
        diag_help(d, "a call alone does nothing; write y = %.40s(...)", s->name);
    note_opener(a);
}

/* Something in this statement was reported by an earlier stage. */
static bool reported_already(const Parse *p) {
    for (uint32_t i = p->statement; i < p->next || i == p->wrong; i++)
        if (p->tokens.data[i].kind == BAD || p->tokens.data[i].made_up) return true;
    return false;
}

void mistake(Parse *p, unsigned want) {
    static const Token start = {.kind = NL};
    if (diag_full(p->diag) || p->stuck) return;
    At a = {.p = p, .all = p->tokens.data, .i = p->wrong, .want = want};
    a.t = &a.all[a.i];
    a.prev = a.i ? a.t - 1 : &start;
    if (reported_already(p)) return;
    a.same_line = a.i > 0 && a.t->loc.line == a.prev->loc.line && a.t->kind != NL;
    describe(p, a.t, a.found, sizeof a.found);
    describe(p, a.prev, a.after, sizeof a.after);
    if (wrong_place(&a) || path_or_pattern(&a) || reduction_index(&a) || reserved_word(&a) ||
        chained_comparison(&a) || plain_indices(&a) || equals_sign(&a) || no_operator(&a) ||
        no_expression(&a))
        return;
    general(&a);
}
