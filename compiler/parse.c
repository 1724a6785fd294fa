/* Tokens, sizes and expressions of the graph's text, and expr_parse.
 *
 * The text is hostile: recursion and depth are bounded, counts are checked, memory is a constant times
 * the length of the text. After the first error every token is the end, so all loops come to an end. */
#include "parse.h"

#include "expr.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NEST = 200, MAX_DEPTH = 4000, MAX_NUMBER_CHARS = 400 };

/* ---- tokens -------------------------------------------------------------------------------- */

void parser_fail(Parser *p, const char *fmt, ...) {
    if (!p->error) {
        Text t = text_new(p->arena);
        text_printf(&t, "line %u: ", p->line);
        va_list ap;
        va_start(ap, fmt);
        text_vprintf(&t, fmt, ap);
        va_end(ap);
        p->error = t.data;
    }
    p->tok = (Tok){.kind = TOK_END, .text = ""};
    p->at = p->end;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void scan_number(Parser *p) {
    const char *s = p->at;
    bool real = false;
    while (s < p->end && (is_digit(*s) || *s == '.' || *s == 'e')) {
        real = real || !is_digit(*s);
        s += *s == 'e' && s + 1 < p->end && (s[1] == '+' || s[1] == '-') ? 2 : 1;
    }
    size_t n = (size_t)(s - p->at);
    char copy[MAX_NUMBER_CHARS + 1], *stop;
    if (n > MAX_NUMBER_CHARS) {
        parser_fail(p, "a number of %zu characters", n);
        return;
    }
    memcpy(copy, p->at, n);
    copy[n] = 0;
    p->at = s;
    p->tok.kind = real ? TOK_REAL : TOK_INT;
    errno = 0;
    if (real)
        p->tok.num = strtod(copy, &stop);
    else
        p->tok.i = strtoull(copy, &stop, 10);
    if (*stop || (!real && errno == ERANGE)) parser_fail(p, "'%s' is no number", copy);
}

static int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void scan_string(Parser *p) {
    Text t = text_new(p->arena);
    const char *s = p->at + 1;
    for (; s < p->end && *s != '"' && *s != '\n'; s++) {
        if (*s != '\\') {
            text_addn(&t, s, 1);
            continue;
        }
        if (++s >= p->end) break;
        char c = *s;
        if (c == 'x') {
            int high = s + 2 < p->end ? hex_digit(s[1]) : -1,
                low = s + 2 < p->end ? hex_digit(s[2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) break;
            c = (char)(high * 16 + low);
            s += 2;
        } else if (c != '"' && c != '\\') {
            break;
        }
        text_addn(&t, &c, 1);
    }
    if (s >= p->end || *s != '"') {
        parser_fail(p, "a string does not end, or an escape is none of \\\" \\\\ \\x01..\\xff");
        return;
    }
    p->at = s + 1;
    p->tok.kind = TOK_STRING;
    p->tok.text = name_ofn(p->g->names, t.data, t.n);
}

static void scan_sign(Parser *p) {
    static const char *const pairs[] = {"//", "==", "!=", "<=", ">=", "->"};
    size_t n = 1;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (p->end - p->at >= 2 && memcmp(p->at, pairs[i], 2) == 0) n = 2;
    if (n == 1 && (*p->at <= ' ' || *p->at > '~')) {
        parser_fail(p, "a byte 0x%02x that stands for nothing here", (unsigned char)*p->at);
        return;
    }
    p->tok.kind = TOK_SIGN;
    p->tok.text = name_ofn(p->g->names, p->at, n);
    p->at += n;
}

void parser_next(Parser *p) {
    if (p->tok.kind == TOK_LINE) p->line++;
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')) p->at++;
    if (p->at < p->end && *p->at == '#')
        while (p->at < p->end && *p->at != '\n') p->at++;
    p->tok = (Tok){.kind = TOK_END, .text = ""};
    if (p->at >= p->end) return;
    char c = *p->at;
    if (c == '\n') {
        p->tok.kind = TOK_LINE;
        p->at++;
    } else if (is_digit(c)) {
        scan_number(p);
    } else if (c == '"') {
        scan_string(p);
    } else if (is_letter(c)) {
        const char *s = p->at;
        while (s < p->end && (is_letter(*s) || is_digit(*s) || *s == '.')) s++;
        p->tok.kind = TOK_WORD;
        p->tok.text = name_ofn(p->g->names, p->at, (size_t)(s - p->at));
        p->at = s;
    } else {
        scan_sign(p);
    }
}

void parser_begin(Parser *p, Graph *g, const char *text, size_t n) {
    memset(p, 0, sizeof *p);
    p->arena = g->arena;
    p->g = g;
    p->at = text;
    p->end = text + n;
    p->line = 1;
    parser_next(p);
}

bool parser_is(const Parser *p, const char *s) {
    return (p->tok.kind == TOK_WORD || p->tok.kind == TOK_SIGN) && strcmp(p->tok.text, s) == 0;
}

bool parser_take(Parser *p, const char *s) {
    if (!parser_is(p, s)) return false;
    parser_next(p);
    return true;
}

static const char *found(Parser *p) {
    const Tok *t = &p->tok;
    if (t->kind == TOK_END) return "the end";
    if (t->kind == TOK_LINE) return "the end of the line";
    if (t->kind == TOK_INT || t->kind == TOK_REAL) return "a number";
    return arena_printf(p->arena, t->kind == TOK_STRING ? "\"%.40s\"" : "'%.40s'", t->text);
}

void parser_expect(Parser *p, const char *s) {
    if (!parser_take(p, s)) parser_fail(p, "expected '%s', found %s", s, found(p));
}

const char *parser_string(Parser *p) {
    const char *s = p->tok.text;
    if (p->tok.kind != TOK_STRING) {
        parser_fail(p, "expected a name in quotes, found %s", found(p));
        return name_of(p->g->names, "");
    }
    parser_next(p);
    return s;
}

uint64_t parser_count(Parser *p, uint64_t most) {
    uint64_t n = p->tok.i;
    if (p->tok.kind != TOK_INT || n > most) {
        parser_fail(p, "expected a number of at most %llu, found %s", (unsigned long long)most,
                    p->tok.kind == TOK_INT ? "a larger one" : found(p));
        return 0;
    }
    parser_next(p);
    return n;
}

int64_t parser_signed(Parser *p) {
    bool minus = parser_take(p, "-");
    uint64_t n = parser_count(p, (uint64_t)INT64_MAX + (minus ? 1 : 0));
    return minus ? -(int64_t)(n / 2) - (int64_t)(n - n / 2) : (int64_t)n;
}

double parser_real(Parser *p) {
    bool minus = parser_take(p, "-");
    double v = 0;
    if (p->tok.kind == TOK_INT)
        v = (double)p->tok.i;
    else if (p->tok.kind == TOK_REAL)
        v = p->tok.num;
    else if (parser_is(p, "inf"))
        v = strtod("inf", NULL);
    else if (parser_is(p, "nan"))
        v = strtod("nan", NULL);
    else
        parser_fail(p, "expected a number, found %s", found(p));
    parser_next(p);
    return minus ? -v : v;
}

void parser_line_end(Parser *p) {
    if (p->tok.kind != TOK_LINE && p->tok.kind != TOK_END)
        parser_fail(p, "expected the end of the line, found %s", found(p));
    parser_next(p);
}

static bool enter(Parser *p) {
    if (p->nest++ < MAX_NEST) return true;
    parser_fail(p, "nested more than %d deep", MAX_NEST);
    return false;
}

/* ---- sizes --------------------------------------------------------------------------------- */

static Size find_axis(Parser *p, const char *name) {
    Sizes *s = p->g->sizes;
    for (uint32_t i = 0; i < size_axes(s); i++)
        if (strcmp(size_axis_name(s, i), name) == 0)
            return size_axis(s, name, size_axis_multiple(s, i));
    return 0;
}

static Size size_factor(Parser *p) {
    Sizes *s = p->g->sizes;
    Size r = 0;
    if (!enter(p)) return 0;
    if (parser_take(p, "-")) {
        r = size_sub(s, size_num(s, 0), size_factor(p));
    } else if (parser_take(p, "(")) {
        r = parser_size(p);
        parser_expect(p, ")");
    } else if (p->tok.kind == TOK_INT) {
        r = size_num(s, (int64_t)parser_count(p, INT64_MAX));
    } else if (p->tok.kind == TOK_WORD) {
        r = find_axis(p, p->tok.text);
        if (!r) parser_fail(p, "'%.40s' is no axis", p->tok.text);
        parser_next(p);
    } else {
        parser_fail(p, "expected a size, found %s", found(p));
    }
    p->nest--;
    return r;
}

static Size parse_size_term(Parser *p) {
    Sizes *s = p->g->sizes;
    Size r = size_factor(p);
    for (;;) {
        if (parser_take(p, "*"))
            r = size_mul(s, r, size_factor(p));
        else if (parser_take(p, "//"))
            r = size_floordiv(s, r, size_factor(p));
        else if (parser_take(p, "%"))
            r = size_mod(s, r, size_factor(p));
        else
            return r;
    }
}

Size parser_size(Parser *p) {
    Sizes *s = p->g->sizes;
    Size r = parse_size_term(p);
    for (;;) {
        if (parser_take(p, "+"))
            r = size_add(s, r, parse_size_term(p));
        else if (parser_take(p, "-"))
            r = size_sub(s, r, parse_size_term(p));
        else
            break;
    }
    if (!r) parser_fail(p, "this size is none (division by 0, or too large)");
    return r;
}

/* ---- making expressions -------------------------------------------------------------------- */

static uint32_t depth_of(Parser *p, ExprId e) { return e < p->depth.n ? p->depth.data[e] : 1; }

/* Notes how deep e is, so that no later pass meets an expression of any depth. */
static ExprId noted(Parser *p, ExprId e) {
    while (p->depth.n <= e) *PUSH(p->arena, &p->depth) = 1;
    const Expr x = *graph_expr(p->g, e);
    uint32_t depth = 0;
    for (uint32_t k = 0; k < x.n_args; k++) {
        uint32_t d = depth_of(p, expr_arg(p->g, e, k));
        if (d > depth) depth = d;
    }
    p->depth.data[e] = depth + 1;
    if (depth >= MAX_DEPTH) parser_fail(p, "an expression more than %d deep", MAX_DEPTH);
    return e;
}

static ExprId make_fn(Parser *p, Fn f, const ExprId *args) {
    if (p->fold) return noted(p, expr_fn(p->g, f, args));
    return noted(p, expr_raw(p->g, X_FN, f, 0, args, (uint32_t)fn_info[f].arity));
}

static ExprId make2(Parser *p, Fn f, ExprId a, ExprId b) {
    ExprId x[2] = {a, b};
    return make_fn(p, f, x);
}

static ExprId make_select(Parser *p, const ExprId *x) {
    return noted(p, p->fold ? expr_select(p->g, x[0], x[1], x[2])
                            : expr_raw(p->g, X_SELECT, F_NONE, 0, x, 3));
}

/* ---- expressions --------------------------------------------------------------------------- */

static ExprId binary(Parser *p, int least);

/* e {, e} and the closing sign; at most `most`. */
static uint32_t list(Parser *p, const char *close, ExprId *out, uint32_t most) {
    uint32_t n = 0;
    while (!p->error && !parser_is(p, close)) {
        if (n) parser_expect(p, ",");
        ExprId e = binary(p, 0);
        if (n == most)
            parser_fail(p, "more than %u operands", most);
        else
            out[n++] = e;
    }
    parser_expect(p, close);
    return n;
}

Value parser_value(Parser *p) {
    parser_expect(p, "%");
    uint64_t n = parser_count(p, p->n_values ? p->n_values - 1 : 0);
    Value v = n < p->n_values ? p->values[n] : 0;
    if (!v) parser_fail(p, "%%%llu is not defined here", (unsigned long long)n);
    return v;
}

static ExprId read_expr(Parser *p) {
    ExprId subs[MAX_RANK];
    Value v = parser_value(p);
    parser_expect(p, "[");
    uint32_t n = list(p, "]", subs, MAX_RANK);
    return p->error ? expr_int(p->g, 0) : noted(p, expr_read(p->g, v, subs, n));
}

static ExprId random_expr(Parser *p) {
    ExprId args[MAX_ARGS];
    parser_expect(p, "(");
    uint64_t place = parser_count(p, UINT32_MAX);
    if (!parser_is(p, ")")) parser_expect(p, ",");
    uint32_t n = list(p, ")", args, MAX_ARGS);
    return noted(p, expr_random(p->g, (uint32_t)place, args, n));
}

/* i0 l0 p0 t0: a letter and a number. */
static bool numbered(const char *s, uint32_t *k) {
    if (!s[0] || !is_digit(s[1]) || strlen(s) > 9) return false;
    for (const char *c = s + 1; *c; c++)
        if (!is_digit(*c)) return false;
    *k = (uint32_t)strtoul(s + 1, NULL, 10);
    return true;
}

/* A counter, an index, a named part or an axis; 0 if s is none of them. */
static ExprId leaf_expr(Parser *p, const char *s) {
    Graph *g = p->g;
    uint32_t k;
    for (uint32_t i = 0; i < p->n_names; i++)
        if (strcmp(p->names[i], s) == 0) return p->named[i];
    if (strcmp(s, "inf") == 0 || strcmp(s, "nan") == 0) return expr_num(g, strtod(s, NULL));
    if (numbered(s, &k)) {
        if (s[0] == 'i') return expr_idx(g, k);
        if (s[0] == 'l') return expr_lvl(g, k);
        if (s[0] == 'p') return expr_pos(g, k);
        if (s[0] == 't' && k < p->lets.n) return p->lets.data[k];
    }
    Size axis = find_axis(p, s);
    return axis ? expr_size(g, axis) : 0;
}

static ExprId word_expr(Parser *p) {
    const char *s = p->tok.text;
    Fn f = fn_find(s);
    ExprId x[MAX_ARGS], e = leaf_expr(p, s);
    parser_next(p);
    if (e) return e;
    if (strcmp(s, "random") == 0) return random_expr(p);
    bool select = strcmp(s, "select") == 0;
    if (!select && (f == F_NONE || fn_info[f].spelling)) {
        parser_fail(p, "'%.40s' is not known here", s);
        return expr_int(p->g, 0);
    }
    uint32_t want = select ? 3 : (uint32_t)fn_info[f].arity;
    parser_expect(p, "(");
    uint32_t n = list(p, ")", x, MAX_ARGS);
    if (!p->error && n != want) parser_fail(p, "'%s' takes %u operands, found %u", s, want, n);
    if (p->error) return expr_int(p->g, 0);
    return select ? make_select(p, x) : make_fn(p, f, x);
}

static ExprId primary(Parser *p) {
    ExprId e = 0;
    if (parser_take(p, "(")) {
        e = binary(p, 0);
        parser_expect(p, ")");
    } else if (parser_take(p, "{")) {
        Size s = parser_size(p);
        e = s ? expr_size(p->g, s) : 0;
        parser_expect(p, "}");
    } else if (parser_is(p, "%")) {
        e = read_expr(p);
    } else if (p->tok.kind == TOK_INT) {
        e = expr_int(p->g, (int64_t)parser_count(p, INT64_MAX));
    } else if (p->tok.kind == TOK_REAL) {
        e = expr_num(p->g, p->tok.num);
        parser_next(p);
    } else if (p->tok.kind == TOK_WORD) {
        e = word_expr(p);
    } else {
        parser_fail(p, "expected an expression, found %s", found(p));
    }
    return e && !p->error ? e : expr_int(p->g, 0);
}

/* After a minus: -3 is a literal, but -3^2 the negative of 3^2. */
static ExprId negative(Parser *p) {
    bool is_int = p->tok.kind == TOK_INT;
    if (is_int || p->tok.kind == TOK_REAL || parser_is(p, "inf")) {
        Parser before = *p;
        ExprId e = is_int ? expr_int(p->g, (int64_t)(0 - p->tok.i)) : 0;
        if (is_int && p->tok.i > (uint64_t)INT64_MAX + 1) parser_fail(p, "a number too large");
        if (is_int)
            parser_next(p);
        else
            e = expr_num(p->g, -parser_real(p));
        if (p->error || !parser_is(p, "^")) return e;
        p->at = before.at;
        p->tok = before.tok;
    }
    ExprId a = binary(p, text_precedence(F_neg));
    return make_fn(p, F_neg, &a);
}

/* The binary operator at hand, or F_NONE. */
static Fn operator_at(const Parser *p) {
    if (p->tok.kind != TOK_SIGN && p->tok.kind != TOK_WORD) return F_NONE;
    for (int f = F_NONE + 1; f < F_COUNT; f++)
        if (fn_info[f].arity == 2 && fn_info[f].spelling &&
            strcmp(fn_info[f].spelling, p->tok.text) == 0)
            return (Fn)f;
    return F_NONE;
}

/* Operators that bind at least as tightly as `least`. */
static ExprId binary(Parser *p, int least) {
    ExprId a;
    if (!enter(p)) return expr_int(p->g, 0);
    if (parser_take(p, "-")) {
        a = negative(p);
    } else if (parser_take(p, "not")) {
        ExprId x = binary(p, text_precedence(F_not));
        a = make_fn(p, F_not, &x);
    } else {
        a = primary(p);
    }
    bool compared = false;
    for (Fn f; !p->error && (f = operator_at(p)) != F_NONE;) {
        int level = text_precedence(f);
        if (level < least) break;
        if (level == text_precedence(F_eq) && compared) parser_fail(p, "comparisons do not chain");
        compared = level == text_precedence(F_eq);
        parser_next(p);
        a = make2(p, f, a, binary(p, f == F_pow ? text_precedence(F_neg) : level + 1));
    }
    p->nest--;
    return a;
}

ExprId parser_expr(Parser *p) {
    p->lets.n = 0;
    bool lets = parser_take(p, "let");
    while (lets && !p->error) {
        uint32_t k = UINT32_MAX;
        if (p->tok.kind != TOK_WORD || p->tok.text[0] != 't' || !numbered(p->tok.text, &k) ||
            k != p->lets.n)
            parser_fail(p, "expected t%u, found %s", p->lets.n, found(p));
        parser_next(p);
        parser_expect(p, "=");
        ExprId e = binary(p, 0);
        *PUSH(p->arena, &p->lets) = e;
        if (!parser_take(p, ";")) break;
    }
    if (lets) parser_expect(p, "in");
    return binary(p, 0);
}

ExprId expr_parse(Graph *g, const char *text, const char *const *names, const ExprId *values,
                  uint32_t n, const char **error) {
    Parser p;
    parser_begin(&p, g, text, strlen(text));
    p.fold = true;
    p.names = names;
    p.named = values;
    p.n_names = n;
    ExprId e = parser_expr(&p);
    if (!p.error && p.tok.kind != TOK_END) parser_fail(&p, "expected the end, found %s", found(&p));
    *error = p.error;
    return p.error ? 0 : e;
}
