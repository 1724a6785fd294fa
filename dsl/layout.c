/* From words to words: which ends of lines end a statement, and brackets in pairs.
 * Requires: the words of scan_text. Maintains: every bracket has its partner (made-up ones mend
 * what is reported here); NL stands between two statements only, never after '{', before '}' or
 * before the end; depth of every word. Cost: linear. */
#include "syntax.h"
#include "parse.tab.h"

typedef struct Layout {
    Parse *parse;
    const Tokens *in;
    Tokens out;
    Token open[MAX_NESTING]; /* brackets not closed yet */
    uint32_t indent;         /* of the line with open[0] */
    uint32_t n;
    bool ended;              /* an end of statement is due before the next word */
    Token end;
    Token line, line_before; /* the first words of this line and the one before */
} Layout;

static int closer_of(int open) {
    return open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : SPLICE_END;
}

static const char *bracket_text(int kind) {
    switch (kind) {
    case '(': return "(";
    case ')': return ")";
    case '[': return "[";
    case ']': return "]";
    case '{': case SPLICE: return "{";
    default: return "}";
    }
}

/* After such a word a statement goes on in the next line. */
static bool goes_on(int kind) {
    switch (kind) {
    case '+': case '-': case '*': case '/': case IDIV: case '%': case '@': case '^':
    case EQ: case NE: case '<': case LE: case '>': case GE: case AND: case OR: case NOT:
    case '=': case ADD_TO: case SUB_FROM: case MUL_BY: case '~': case ARROW: case ',':
        return true;
    default: return false;
    }
}

static bool ends_value(int kind) {
    return kind == NAME || kind == NUM || kind == ')' || kind == ']' || kind == PATH_END;
}

static bool starts_declaration(int kind) {
    return kind == USE || kind == CONST || kind == AXIS || kind == CELL || kind == MODEL ||
           kind == TRAIN;
}

static int top_kind(const Layout *l) { return l->n ? l->open[l->n - 1].kind : 0; }

static bool in_brackets(const Layout *l) {
    return top_kind(l) == '(' || top_kind(l) == '[' || top_kind(l) == SPLICE;
}

static const Token *last(const Layout *l) {
    static const Token none = {.kind = NL};
    return l->out.n ? &l->out.data[l->out.n - 1] : &none;
}

static void put(Layout *l, Token t) {
    if (l->ended && l->out.n && last(l)->kind != '{' && last(l)->kind != NL && t.kind != '}' &&
        t.kind != END && t.kind != '{' && !(t.kind == ELSE && last(l)->kind == '}')) {
        Token *end = PUSH(l->parse->arena, &l->out);
        *end = l->end;
        end->depth = l->n;
    }
    l->ended = false;
    t.depth = l->n;
    *PUSH(l->parse->arena, &l->out) = t;
}

static void put_made_up(Layout *l, int kind, Loc loc, uint32_t at) {
    put(l, (Token){.kind = kind, .made_up = true, .loc = loc, .at = at});
}

static void end_statement(Layout *l, const Token *t) {
    if (l->ended) return;
    l->ended = true;
    l->end = *t;
    l->end.kind = NL;
}

/* Where something is missing: right behind the word before t when t is in another line. */
static Loc missing_at(const Layout *l, const Token *t) {
    const Token *before = last(l);
    if (before->loc.line == t->loc.line || !l->out.n) return t->loc;
    Loc loc = before->loc;
    loc.col += loc.len;
    loc.len = 1;
    return loc;
}

/* Reports that brackets are open down to `keep` where t stands, and closes them. */
static void close_open(Layout *l, const Token *t, uint32_t keep) {
    Token inner = l->open[l->n - 1];
    const char *what = bracket_text(closer_of(inner.kind));
    Diag *d = l->parse->diag;
    Loc at = missing_at(l, t);
    if (t->kind == END)
        diag_report(d, E0107, at, "'%s' is missing at the end of the text", what);
    else if (t->kind == NL || at.line != t->loc.line)
        diag_report(d, E0107, at, "'%s' is missing here", what);
    else
        diag_report(d, E0107, at, "'%s' is missing before '%s'", what,
                    t->name && t->kind >= AXIS ? t->name : bracket_text(t->kind));
    diag_note(d, inner.loc, "'%s' was opened here", bracket_text(inner.kind));
    while (l->n > keep) {
        int kind = closer_of(l->open[--l->n].kind);
        put_made_up(l, kind, at, t->at);
    }
}

/* A closing bracket: with its partner, or reported. */
static void close_bracket(Layout *l, Token t, int next) {
    int kind = t.kind;
    uint32_t at = l->n;
    while (at > 0 && closer_of(l->open[at - 1].kind) != kind) {
        int crossed = l->open[at - 1].kind;
        if ((kind == ')' || kind == ']') && (crossed == '{' || crossed == SPLICE)) at = 1;
        at--;
    }
    if (at > 0) {
        if (at < l->n) close_open(l, &t, at);
        l->n--;
    } else {
        int open = top_kind(l);
        diag_report(l->parse->diag, E0108, t.loc, "'%s' closes nothing", bracket_text(kind));
        if ((kind != ')' && kind != ']') || (open != '(' && open != '[') ||
            next == closer_of(open)) {
            t.kind = BAD;
            if (kind != '}') put(l, t);
            return;
        }
        diag_note(l->parse->diag, l->open[l->n - 1].loc, "'%s' is open here", bracket_text(open));
        diag_help(l->parse->diag, "write '%s'", bracket_text(closer_of(open)));
        t.kind = closer_of(open);
        t.made_up = true;
        l->n--;
    }
    put(l, t);
    if (t.kind == '}' && !in_brackets(l)) end_statement(l, &t);
}

/* Whether the words at i, at the start of a line, can only be a new statement. */
static bool starts_statement(const Tokens *in, uint32_t i) {
    int kind = in->data[i].kind;
    if (starts_declaration(kind) || kind == FN || kind == PARAM || kind == PARAMS ||
        kind == STATE || kind == FOR || kind == IF || kind == METRIC || kind == ONLY ||
        kind == FREEZE)
        return true;
    if (kind != NAME) return false;
    i++;
    if (in->data[i].kind == '[')
        while (in->data[i].kind != ']' && in->data[i].kind != NL && in->data[i].kind != END) i++;
    if (in->data[i].kind == ']') i++;
    kind = in->data[i].kind;
    return kind == '=' || kind == ADD_TO || kind == SUB_FROM || kind == MUL_BY;
}

static uint32_t braces_end(const Layout *l) {
    uint32_t keep = l->n;
    while (keep > 0 && l->open[keep - 1].kind != '{') keep--;
    return keep;
}

static void line_end(Layout *l, uint32_t i) {
    const Token *t = &l->in->data[i];
    if (in_brackets(l)) {
        uint32_t next = i + 1;
        while (l->in->data[next].kind == NL) next++;
        if (!ends_value(last(l)->kind) || !starts_statement(l->in, next)) return;
        close_open(l, t, braces_end(l));
    }
    if (!goes_on(last(l)->kind)) end_statement(l, t);
}

/* A declaration inside a block: its '}' was forgotten. */
static bool block_forgotten(const Layout *l, const Token *t) {
    if (!l->n || !t->first || t->loc.col > l->indent) return false;
    return starts_declaration(t->kind) ||
           (t->kind == FN && l->open[0].kind == '{' && l->line_before.loc.col > l->indent);
}

static bool step(Layout *l, uint32_t i) {
    Token t = l->in->data[i];
    if (t.first) {
        l->line_before = l->line;
        l->line = t;
    }
    if (block_forgotten(l, &t)) {
        close_open(l, &t, 0);
        end_statement(l, &t);
    }
    switch (t.kind) {
    case NL: line_end(l, i); return true;
    case SEMI:
        if (in_brackets(l)) put(l, t);
        else end_statement(l, &t);
        return true;
    case ')': case ']': case '}': case SPLICE_END:
        close_bracket(l, t, l->in->data[i + 1].kind); /* there is an END behind it */
        return true;
    case END:
        if (l->n) close_open(l, &t, 0);
        put(l, t);
        return true;
    case '{': /* no block stands in an expression */
        if (in_brackets(l) && top_kind(l) != SPLICE) close_open(l, &t, braces_end(l));
        put(l, t);
        break;
    default: put(l, t);
    }
    if (t.kind != '(' && t.kind != '[' && t.kind != '{' && t.kind != SPLICE) return true;
    if (l->n == MAX_NESTING) {
        diag_report(l->parse->diag, E0119, t.loc, "more than %d brackets inside one another",
                    MAX_NESTING);
        return false;
    }
    if (!l->n) l->indent = l->line.loc.col;
    l->open[l->n++] = t;
    return true;
}

bool layout(Parse *p) {
    Layout *l = NEW(p->arena, Layout);
    l->parse = p;
    l->in = &p->tokens;
    for (uint32_t i = 0; i < l->in->n; i++)
        if (!step(l, i)) return false;
    p->tokens = l->out;
    return true;
}
