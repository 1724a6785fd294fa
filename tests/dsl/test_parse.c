/* The parser: trees as --emit=ast prints them, every syntax error with its place, and how
 * diagnostics look. */
#include "compiler/diag.h"
#include "dsl/ast.h"

#include <stdlib.h>
#include <string.h>

#ifndef RWKVC_SHARED
#define RWKVC_SHARED ""
#endif

static int failures;

static void fail(int line, const char *what, const char *text, const char *want, const char *got) {
    printf("%s:%d: %s\n  text: %s\n", __FILE__, line, what, text);
    printf("  want: %s\n  got:  %s\n", want, got);
    failures++;
}

typedef struct Parsed {
    Arena *arena;
    Diag *diag;
    File *file;
    char *tree;
} Parsed;

static Parsed parse(const char *name, const char *text, size_t n) {
    Parsed r = {.arena = arena_new()};
    r.diag = diag_new(r.arena, 0);
    uint32_t number = diag_source(r.diag, name, text, n);
    r.file = parse_text(r.arena, names_new(r.arena), r.diag, number, name, text, n);
    Text t = text_new(r.arena);
    ast_print(r.file, &t);
    r.tree = t.data;
    return r;
}

static char *printed(const Parsed *r, DiagStyle style) {
    FILE *f = tmpfile();
    if (!f) exit(77);
    diag_print(r->diag, f, style);
    long n = ftell(f);
    rewind(f);
    char *s = arena_alloc(r->arena, (size_t)n + 1);
    size_t got = fread(s, 1, (size_t)n, f);
    s[got] = 0;
    fclose(f);
    return s;
}

/* ---- trees ----------------------------------------------------------------------------------- */

static void expect_tree(int line, const char *text, const char *want) {
    Parsed r = parse("t", text, strlen(text));
    if (diag_errors(r.diag)) fail(line, "errors", text, want, printed(&r, DIAG_PLAIN));
    else if (strcmp(r.tree, want) != 0) fail(line, "another tree", text, want, r.tree);
    arena_free(r.arena);
}

/* An expression, as the body of a function. */
static void expect_expr(int line, const char *text, const char *want) {
    char in[1000], out[1000];
    snprintf(in, sizeof in, "fn f(x) = %s\n", text);
    snprintf(out, sizeof out, "fn f(x) = %s\n", want);
    expect_tree(line, in, out);
}

#define TREE(text, want) expect_tree(__LINE__, text, want)
#define EXPR(text, want) expect_expr(__LINE__, text, want)

static void test_expressions(void) {
    EXPR("a + b*c - d/e", "(- (+ a (* b c)) (/ d e))");
    EXPR("a//b % c @ d", "(@ (% (// a b) c) d)");
    EXPR("a^b^c", "(^ a (^ b c))");
    EXPR("-a^2*b", "(* (neg (^ a 2)) b)");
    EXPR("a^-b*c", "(* (^ a (neg b)) c)");
    EXPR("not a == b and c or d", "(or (and (not (== a b)) c) d)");
    EXPR("a + 1 < b*2", "(< (+ a 1) (* b 2))");
    EXPR("(a < b) < c", "(< (< a b) c)");
    EXPR("sum[j] a*b + c", "(+ (sum[j] (* a b)) c)");
    EXPR("1 - mean[k] y", "(- 1 (mean[k] y))");
    EXPR("-sum[t] x*y - z", "(- (neg (sum[t] (* x y))) z)");
    EXPR("a*sum[j] b*c + d", "(+ (* a (sum[j] (* b c))) d)");
    EXPR("(sum[m] a)*x", "(* (sum[m] a) x)");
    EXPR("sum[i] prod[j:N//2] a/b", "(sum[i] (prod[j:(// N 2)] (/ a b)))");
    EXPR("max(a, b) + max[v] x", "(+ (max a, b) (max[v] x))");
    EXPR("(argmax[v] x[v]) == y", "(== (argmax[v] x[v]) y)");
    EXPR("x[i, j-1, k else 0]", "x[i, (- j 1), k else 0]");
    EXPR("prev(x, J-1-j)[c][d]", "(prev x, (- (- J 1) j))[c][d]");
    EXPR("(a + b)[i]^2", "(^ (+ a b)[i] 2)");
    EXPR("1.5 + 2. + 1e-4 + 0.5e-4 + 64e-5 + 3", "(+ (+ (+ (+ (+ 1.5 2.0) 0.0001) 5e-05) "
         "0.00064) 3)");
    EXPR("w_lora.lora.0.weight + a.b", "(+ w_lora.lora.0.weight a.b)");
    EXPR("state.weight*in.x", "(* state.weight in.x)");
    EXPR("a +\n  b *\n  # a comment\n\n  c", "(+ a (* b c))");
    EXPR("f(a\n  , b\n  ;\n  m = 3\n)", "(f a, b; m = 3)");
    EXPR("select(c, stop, random(loss))", "(select c, stop, (random loss))");
}

static void test_calls(void) {
    EXPR("dense(x; m = V) as o", "(dense x; m = V as \"o\")");
    EXPR("f(layer_norm(x) as ln1, v; l) as att", "(f (layer_norm x as \"ln1\"), v; l as \"att\")");
    EXPR("f(x) as 0.a-b{l+1}c.{l}", "(f x as \"0.a-b{(+ l 1)}c.{l}\")");
    EXPR("f(x) as \"a b\\\"{l}\\{\\}\\\\\"", "(f x as \"a b\\\"{l}\\{\\}\\\\\")");
    EXPR("f(x) as a*2", "(* (f x as \"a\") 2)");
    EXPR("f(x) along (P+T) as blocks.{l}", "(f x along (+ P T) as \"blocks.{l}\")");
    EXPR("f(x) along reverse T where m restart (r > 0)",
         "(f x along reverse T where m restart (> r 0))");
    EXPR("adamw(beta1 = 0.9)", "(adamw beta1 = 0.9)");
    EXPR("f(;a, b = 2)", "(f; a, b = 2)");
}

static void test_statements(void) {
    TREE("fn f(x) -> y {\n y = x; z = y;\n\n;; w = z }\n",
         "fn f(x) -> y\n  y = x\n  z = y\n  w = z\n");
    TREE("fn f(x) -> y\n{\n  y[i,j:N] += x\n  y -= 1; y *= 2\n}\n",
         "fn f(x) -> y\n  y[i j:N] += x\n  y -= 1\n  y *= 2\n");
    TREE("cell c(x[D]) -> (x[D], v[]) {\n fn mix(m) = x*m\n (dx, v) = g(x; l) along T\n}",
         "cell c(x[D]) -> x[D], v[]\n  fn mix(m) = (* x m)\n  (dx, v) = (g x; l along T)\n");
    TREE("fn f() -> y { if l == 0 { y = 1 } else if l { y = 2 }\n else { y = 3 } }",
         "fn f() -> y\n  if (== l 0)\n    y = 1\n  else if l\n    y = 2\n  else\n    y = 3\n");
    TREE("fn f() -> y { for l in (2*L) { y = l }; for b in 3 as a.{b} { } }",
         "fn f() -> y\n  for l in (* 2 L)\n    y = l\n  for b in 3 as \"a.{b}\"\n");
    TREE("cell c() -> y { state p[D]: f32 = 0, q[h:H, N] = S0\n state s[] = 0 }",
         "cell c() -> y\n  state p[D]: f32 = 0, q[h:H N] = S0\n  state s[] = 0\n");
    TREE("cell c() -> y { params decay { a[D] = 0;  b[d:D] ~ normal(1) decay 2 }\n"
         " params stored [1,1,D] { c[D] = 1  lr 2 frozen } }",
         "cell c() -> y\n  param a[D] = 0 | decay\n  param b[d:D] ~ (normal 1) | decay 2\n"
         "  param c[D] = 1 | stored 1 1 D | lr 2 | frozen\n");
    TREE("cell c() -> y { params decay frozen { a[D] ~\n normal(1)  decay 2 } }",
         "cell c() -> y\n  param a[D] ~ (normal 1) | frozen | decay 2\n");
    TREE("fn f() ->\n y { y +=\n x; (a,\n b) =\n f(x); y -=\n 2; y *=\n 3 }",
         "fn f() -> y\n  y += x\n  (a, b) = (f x)\n  y -= 2\n  y *= 3\n");
    TREE("cell c() -> y { param key.weight[F,D]: f32 ~ orthogonal(1)    decay }",
         "cell c() -> y\n  param key.weight[F D]: f32 ~ (orthogonal 1) | decay\n");
    TREE("train m as tune.x(t[T]: index(V), ref) {\n only blocks.*.att.S a.b*\n freeze vit.*\n"
         " metric won = 1\n update = adamw(beta1 = 0.9)  clip 1 }",
         "train m as \"tune.x\"(t[T]: index(V), ref)\n  only blocks.*.att.S a.b*\n  freeze vit.*\n"
         "  metric won = 1\n  update = (adamw beta1 = 0.9) | clip 1\n");
}

static void test_declarations(void) {
    TREE("", "");
    TREE("# only a comment", "");
    TREE("\xef\xbb\xbf\r\n\t# \xc3\xa4\xff\r\nuse std\r\n", "use std\n");
    TREE("use rwkv7(V = 12, L = 2), std", "use rwkv7(V = 12, L = 2), std\n");
    TREE("const V = 65536, H = D//N\naxis Y % 4, X % 4, T",
         "const V = 65536, H = (// D N)\naxis Y % 4, X % 4, T\n");
    TREE("fn f(x[K]; n)[i:K//n, j:n] = x[i*n + j]",
         "fn f(x[K]; n)[i:(// K n) j:n] = x[(+ (* i n) j)]\n");
    TREE("fn f(x[K,I], w[]: int, S0[H,N] = 0; stride = 1, pad)[m] =\n  x",
         "fn f(x[K I], w[]: int, S0[H N] = 0; stride = 1, pad)[m] = x\n");
    TREE("model m(token[T]: index(V)) -> logits[T,V]: f32 along T { logits = token }",
         "model m(token[T]: index(V)) -> logits[T V]: f32 along T\n  logits = token\n");
    TREE("fn lr(decay, clip) = frozen + stored", "fn lr(decay, clip) = (+ frozen stored)\n");
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static bool seen[130];

/* want: "line:col code" of every message, blanks between them. */
static void expect_errors(int line, const char *text, size_t n, const char *want) {
    Parsed r = parse("t", text, n);
    char *json = printed(&r, DIAG_JSON);
    Text got = text_new(r.arena);
    for (char *at = json; (at = strstr(at, "\n  {\"file\"")) != NULL; at++) {
        unsigned row = 0, col = 0, code = 0;
        sscanf(strstr(at, "\"line\""), "\"line\": %u, \"column\": %u", &row, &col);
        sscanf(strstr(at, "\"code\""), "\"code\": \"E%u\"", &code);
        text_printf(&got, "%s%u:%u E%04u", got.n ? " " : "", row, col, code);
        if (code < 130) seen[code] = true;
    }
    if (strcmp(got.data, want) != 0) {
        fail(line, "other errors", text, want, got.data);
        puts(printed(&r, DIAG_PLAIN));
    }
    arena_free(r.arena);
}

#define ERRORS(text, want) expect_errors(__LINE__, text, strlen(text), want)
/* One statement inside a block: it is in line 2, from column 1. */
#define WRONG(text, want) ERRORS("fn f(x) -> y {\n" text "\n}\nfn g(x) = x x\n", want " 4:13 E0110")

static void test_slips(void) {
    WRONG("for l in 2*L { x = 1 }", "2:11 E0101");
    WRONG("for l L { x = a b }", "2:7 E0101 2:17 E0110");
    WRONG("if l = 0 { y == x } else { y = 2 x }", "2:6 E0111 2:14 E0111 2:34 E0110");
    WRONG("y = a b + c", "2:7 E0110");
    WRONG("y = (a)(b)", "2:8 E0110");
    WRONG("y = f(a b)", "2:9 E0110");
    WRONG("y = max(v) x", "2:12 E0110");
    WRONG("q = select(0 <= i < K, a, b)", "2:19 E0112");
    WRONG("y[i] = sum(j) W[i,j]", "2:11 E0113");
    WRONG("s = sum[i+1] x[i]", "2:10 E0113");
    WRONG("y[i+1] = x[i]", "2:4 E0114");
    WRONG("y[0] = 3", "2:3 E0114");
    WRONG("y = if a > 0 { x } else { 0 }", "2:5 E0115");
    WRONG("y = f(x, )", "2:10 E0115");
    WRONG("state = x + 1", "2:1 E0109");
    WRONG("y = x + state", "2:9 E0109");
    WRONG("sum = x", "2:1 E0109");
    WRONG("y[i,j] = x[i-1 else 0, j] + x[i, j else 0]", "2:21 E0101");
    WRONG("x = 1 y = 2", "2:7 E0101");
    WRONG("f(x)", "2:2 E0101");
    WRONG("x /= 3", "2:3 E0101");
    WRONG("// no comment", "2:1 E0122");
    WRONG("else { y = 1 }", "2:1 E0122");
    WRONG("x = norm(x) as (l)", "2:16 E0124");
    WRONG("freeze (vit)", "2:8 E0125");
    WRONG("(a, b) = x", "2:10 E0128");
    WRONG("y = f(x) as a as b", "2:15 E0127");
    WRONG("y = f(x) lr 2", "2:10 E0116");
    ERRORS("fn f(x) -> y {\n y = x *\n z = 3\n}\n", "2:8 E0115");
    ERRORS("fn f(x) -> y { y = x", "1:21 E0107");
    ERRORS("fn f(x) -> y { y = 1; const D = 3; z = a b }", "1:23 E0122 1:42 E0110");
    ERRORS("D = 64\nparam x[D] = 0\nfn g(x) = x x", "1:1 E0122 2:1 E0122 3:13 E0110");
}

static void test_words(void) {
    WRONG("y = x && y || !z ** 2", "2:7 E0102 2:12 E0102 2:15 E0102 2:18 E0102");
    WRONG("y = a \xc3\x97 b; z = $", "2:7 E0102 2:17 E0102");
    WRONG("z = .5*x + 2x", "2:5 E0103 2:12 E0103");
    WRONG("m = 1e999 + 99999999999999999999", "2:5 E0104 2:13 E0104");
    WRONG("x = norm(x) as \"a", "2:16 E0105");
    WRONG("x = norm(x) as \"a\\tb\"", "2:18 E0106");
    WRONG("x = \xff", "2:5 E0106");
    WRONG("x = norm(x) as b.{l", "2:20 E0107");
    ERRORS("fn f(x) = x\n\\0", "2:1 E0102");
    expect_errors(__LINE__, "fn f(x) = x x\n\0\1\2", 17, "2:1 E0121");
}

static void test_brackets(void) {
    ERRORS("fn f(x) -> y {\n y = relu(linear(x, W)\n z = a b\n}", "2:23 E0107 3:8 E0110");
    ERRORS("fn f(x) -> y {\n y = a[i\n for l in L { z = a b }\n}", "2:9 E0107 3:21 E0110");
    ERRORS("cell a(x[D]) -> y[D {\n y = a b\n}", "1:21 E0107 2:8 E0110");
    ERRORS("fn f(x) -> y {\n if x { y = 1\n}\ncell g(x) -> y { y = x x }", "3:2 E0107 4:24 E0110");
    ERRORS("fn f(x) -> y {\n y = x\nfn g(x) = x x", "2:7 E0107 3:13 E0110");
    ERRORS("fn f(x) = (x\nfn g(x) = x x", "1:13 E0107 2:13 E0110");
    WRONG("w = g(h(x]) + 1)", "2:10 E0108");
    WRONG("w = g(x] + 1", "2:8 E0108");
    WRONG("v = )", "2:5 E0108");
    ERRORS("}\nfn g(x) = x x", "1:1 E0108 2:13 E0110");
}

static void test_declared(void) {
    WRONG("param w[D] = 0  weight_decay", "2:17 E0116");
    WRONG("param w[D] = 0  lr", "2:17 E0126");
    WRONG("param w[D] = 0  lr x", "2:20 E0126");
    WRONG("param w[D] = 0  lr 2 lr 3", "2:22 E0126");
    WRONG("param scale = 1", "2:7 E0118");
    WRONG("param w[D,D]", "2:7 E0123");
    WRONG("param w[D] ~ 3", "2:14 E0128");
    WRONG("state s = 0; state t[D]", "2:7 E0118 2:20 E0123");
    ERRORS("model m(t[T]: int32, z: index) -> y { y = t }", "1:15 E0117 1:25 E0117");
    ERRORS("axis Y % 2.5", "1:10 E0129");
}

/* A text of `before`, n times `piece`, `after`. */
static void expect_big(int line, const char *before, const char *piece, size_t n,
                       const char *after, const char *want) {
    size_t len = strlen(piece);
    char *text = malloc(strlen(before) + n * len + strlen(after) + 1);
    if (!text) exit(77);
    char *at = text + sprintf(text, "%s", before);
    for (size_t i = 0; i < n; i++, at += len) memcpy(at, piece, len);
    at += sprintf(at, "%s", after);
    expect_errors(line, text, (size_t)(at - text), want);
    free(text);
}

#define BIG(before, piece, n, after, want) expect_big(__LINE__, before, piece, n, after, want)

static void test_limits(void) {
    BIG("fn f(x) = ", "x[", 250, "1", "1:512 E0107");
    BIG("fn f(x) = ", "(", 300, "x", "1:267 E0119");
    BIG("fn f(x) -> y ", "{if x ", 300, "", "1:1550 E0119");
    BIG("fn f(x) = ", "x + ", 900, "x", "");
    BIG("fn f(x) = ", "x + ", 50000, "x", "1:4009 E0119");
    BIG("fn f(x) = ", "-", 50000, "x", "1:8003 E0119");
    BIG("fn f(x) = ", "x^", 50000, "x", "1:8003 E0119");
    BIG("fn f(x) = x", "[1]", 50000, "", "1:11 E0119");
    BIG("fn f(x) = x", "\n", 17 << 20, "", "1:1 E0120");
    BIG("fn f(x) = x", "+x", 2 << 20, "", "1:2097158 E0120");
    BIG("", "fn f(x) = x x\n", 3, "", "1:13 E0110 2:13 E0110 3:13 E0110");
    /* Twenty, then no more. */
    Parsed r = parse("t", "$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$", 33);
    if (diag_errors(r.diag) != 20 || !diag_full(r.diag))
        fail(__LINE__, "no limit", "$$$", "20", "another number");
    if (!strstr(printed(&r, DIAG_PLAIN), "too many errors")) fail(__LINE__, "", "", "too many", "");
    arena_free(r.arena);
}

/* ---- how diagnostics look -------------------------------------------------------------------- */

static void expect_print(int line, const char *name, const char *text, DiagStyle style,
                         const char *want) {
    Parsed r = parse(name, text, strlen(text));
    const char *got = printed(&r, style);
    if (strcmp(got, want) != 0) fail(line, "printed otherwise", text, want, got);
    arena_free(r.arena);
}

static void test_printing(void) {
    expect_print(__LINE__, "a.txt", "fn f(x) = x +\n", DIAG_PLAIN,
        "a.txt:1:14: error: an expression is expected after '+', found the end of the text  "
        "[E0115]\n"
        "    1 | fn f(x) = x +\n"
        "      |              ^\n"
        "1 error\n");
    expect_print(__LINE__, "a.txt", "fn f(x) -> y {\r\n\ty = \xc3\xa9 + max(\n}\r\n", DIAG_PLAIN,
        "a.txt:2:6: error: '\xc3\xa9' has no meaning here  [E0102]\n"
        "    2 |     y = \xc3\xa9 + max(\n"
        "      |         ^\n"
        "  help: names are written in the letters a-z and A-Z, digits, _ and .\n"
        "a.txt:2:15: error: ')' is missing here  [E0107]\n"
        "    2 |     y = \xc3\xa9 + max(\n"
        "      |                 ^\n"
        "a.txt:2:14: note: '(' was opened here\n"
        "    2 |     y = \xc3\xa9 + max(\n"
        "      |                ^\n"
        "2 errors\n");
    expect_print(__LINE__, "a.txt", "fn f(x) = decay.rate 2abc\n", DIAG_COLOUR,
        "\033[1ma.txt:1:22:\033[0m \033[1;31merror:\033[0m '2abc' is neither a number nor a name  "
        "[E0103]\n"
        "    1 | fn f(x) = decay.rate 2abc\n"
        "      |                      \033[1;32m^~~~\033[0m\n"
        "  \033[1;36mhelp:\033[0m a product has its sign: 2*abc; and a name starts with a letter\n"
        "1 error\n");
    expect_print(__LINE__, "a\"\x01\xff", "fn f(x) = (x\n", DIAG_JSON,
        "[\n  {\"file\": \"a\\\"\\u0001\\ufffd\", \"line\": 1, \"column\": 13, \"endColumn\": 14, "
        "\"severity\": \"error\", \"code\": \"E0107\", \"message\": \"')' is missing at the end of "
        "the text\", \"notes\": [{\"file\": \"a\\\"\\u0001\\ufffd\", \"line\": 1, \"column\": 11, "
        "\"endColumn\": 12, \"message\": \"'(' was opened here\"}], \"help\": null}\n]\n");
    expect_print(__LINE__, "a", "\x1b\n", DIAG_PLAIN,
        "a:1:1: error: the control character 0x1b has no meaning here  [E0102]\n"
        "    1 | ?\n      | ^\n1 error\n");
    expect_print(__LINE__, "a", "# nothing\n", DIAG_JSON, "[]\n");
    expect_print(__LINE__, "a", "# nothing\n", DIAG_PLAIN, "");
}

static void test_diag(void) {
    Parsed r = parse("t", "# a\n# b\n", 8);
    uint32_t mark = diag_mark(r.diag);
    diag_report(r.diag, E0101, (Loc){1, 2, 1, 3}, "later %d", 1);
    diag_report(r.diag, E0101, (Loc){1, 1, 3, 9}, "earlier");
    diag_report(r.diag, E0101, (Loc){1, 2, 1, 3}, "later %d", 1);
    diag_report(r.diag, E0101, (Loc){1, 2, 1, 3}, "later %d", 2);
    const char *want = "t:1:3: error: earlier  [E0101]\n    1 | # a\n      |   ^\n"
                       "t:2:1: error: later 1  [E0101]\n    2 | # b\n      | ^~~\n"
                       "t:2:1: error: later 2  [E0101]\n    2 | # b\n      | ^~~\n3 errors\n";
    const char *got = printed(&r, DIAG_PLAIN);
    if (strcmp(got, want) != 0) fail(__LINE__, "order", "", want, got);
    diag_rewind(r.diag, mark);
    if (diag_errors(r.diag) || *printed(&r, DIAG_PLAIN)) fail(__LINE__, "rewind", "", "", "");
    arena_free(r.arena);
    static const struct { const char *code; bool known; } codes[] = {
        {"E0107", true}, {"0107", true}, {"107", true}, {"e0107", true}, {"E0199", false},
        {"", false}, {"E", false}, {"x", false}, {"1e2", false}, {"99999999999", false},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        FILE *f = tmpfile();
        if (!f) exit(77);
        bool known = diag_explain(codes[i].code, f);
        if (known != codes[i].known || known != (ftell(f) > 100))
            fail(__LINE__, "explain", codes[i].code, "", "");
        fclose(f);
    }
}

/* ---- whole texts ----------------------------------------------------------------------------- */

/* Parses without a mistake, and prints the same twice. */
static void expect_good(const char *name, const char *text, size_t n) {
    Parsed r = parse(name, text, n), again = parse(name, text, n);
    if (diag_errors(r.diag)) fail(__LINE__, "errors", name, "none", printed(&r, DIAG_PLAIN));
    if (!*r.tree || strcmp(r.tree, again.tree) != 0) fail(__LINE__, "tree", name, "", r.tree);
    arena_free(r.arena);
    arena_free(again.arena);
}

static char *slurp(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    size_t cap = 1 << 20;
    char *s = malloc(cap);
    *n = s ? fread(s, 1, cap - 1, f) : 0;
    if (s) s[*n] = 0;
    fclose(f);
    return s;
}

/* The indented parts of the sections B.0 to B.8 of the description of the language. */
static void test_described(void) {
    const char *shared = getenv("RWKVC_SHARED");
    char path[4096];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/language.md", shared && *shared ? shared : RWKVC_SHARED);
    char *text = slurp(path, &n), *out = malloc(n + 1);
    if (!text || !out) {
        printf("no %s: the texts described there are not parsed\n", path);
        free(text);
        free(out);
        return;
    }
    char name[16] = "";
    int sections = 0;
    size_t used = 0;
    for (char *line = text; line; ) {
        char *end = strchr(line, '\n');
        bool head = line[0] == '#';
        if ((head || !end) && *name) {
            expect_good(name, out, used);
            sections++;
        }
        if (head) used = 0, name[0] = 0;
        if (strncmp(line, "## B.", 5) == 0) snprintf(name, sizeof name, "%.5s", line + 3);
        if (*name && strncmp(line, "    ", 4) == 0 && end) {
            memcpy(out + used, line + 4, (size_t)(end - line) - 3);
            used += (size_t)(end - line) - 3;
        }
        line = end ? end + 1 : NULL;
    }
    if (sections != 10) fail(__LINE__, "sections", path, "10", "another number");
    free(text);
    free(out);
}

static void test_models(void) {
    static const char *const names[] = {"std", "rwkv7", "rwkv6", "rwkv5", "rwkv4", "retinex"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        size_t n;
        snprintf(path, sizeof path, "models/%s.rwkv", names[i]);
        char *text = slurp(path, &n);
        if (text) expect_good(path, text, n);
        else fail(__LINE__, "no file", path, "", "");
        free(text);
    }
}

static void test_all_seen(void) {
    for (int code = 101; code <= 129; code++) {
        char text[16];
        snprintf(text, sizeof text, "E%04d", code);
        if (!seen[code]) fail(__LINE__, "no test of this error", text, "", "");
    }
}

int main(void) {
    test_expressions();
    test_calls();
    test_statements();
    test_declarations();
    test_slips();
    test_words();
    test_brackets();
    test_declared();
    test_limits();
    test_printing();
    test_diag();
    test_described();
    test_models();
    test_all_seen();
    printf("%d failures\n", failures);
    return failures != 0;
}
