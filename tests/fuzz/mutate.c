/* Mutations of the model texts: whatever a text became, checking it gives a program or a message, soon
 * and in bounded memory; and what is accepted makes graphs for all its entries, or a message says why not.
 *
 * mutate [FIRST [COUNT]]: mutations FIRST .. FIRST+COUNT-1, equal numbers give equal texts.
 * mutate -p NUMBER prints one. mutate -c FILE checks a file as a mutation is checked. */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../dsl/check.h"

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1, SLOWER = 20 };
#else
enum { SANITIZED = 0, SLOWER = 1 };
#endif
enum { MAX_TEXTS = 64, MOST_MEMORY = 1 << 30 };

typedef struct Piece { /* a token with the blanks before it */
    const char *s;
    size_t n;
} Piece;
typedef VEC(Piece) Pieces;

typedef struct TextFile {
    const char *name, *text;
    size_t n;
} TextFile;

typedef struct World {
    Arena *a;
    TextFile texts[2 * MAX_TEXTS]; /* as they are, then with what they use put in */
    uint32_t n;
    uint64_t rng;
} World;

static uint32_t below(World *w, size_t n) {
    w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((w->rng >> 33) % (n ? n : 1));
}

/* ---- the texts ------------------------------------------------------------------------------- */

static const char *read_text(Arena *a, const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    Text t = text_new(a);
    char buffer[4096];
    for (size_t k; (k = fread(buffer, 1, sizeof buffer, f)) > 0;) text_addn(&t, buffer, k);
    fclose(f);
    *n = t.n;
    return t.data ? t.data : "";
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const TextFile *)a)->name, ((const TextFile *)b)->name);
}

static void read_folder(World *w, const char *folder) {
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d)) && w->n < MAX_TEXTS;) {
        size_t len = strlen(e->d_name);
        if (len < 6 || strcmp(e->d_name + len - 5, ".rwkv")) continue;
        TextFile *f = &w->texts[w->n];
        f->name = arena_printf(w->a, "%s/%s", folder, e->d_name);
        f->text = read_text(w->a, f->name, &f->n);
        w->n += f->text != NULL;
    }
    closedir(d);
}

/* The text with the files it uses, unless it replaces constants of theirs, put in before it. */
static void put_in(World *w, Text *out, const char *text, uint32_t depth) {
    for (const char *s = text, *end; *s; s = end) {
        end = strchr(s, '\n') ? strchr(s, '\n') + 1 : s + strlen(s);
        char name[64] = "";
        if (sscanf(s, "use %60[a-z0-9_]", name) != 1 || s[4 + strlen(name)] == '(' || depth > 4) {
            text_addn(out, s, (size_t)(end - s));
            continue;
        }
        size_t n;
        const char *used = read_text(w->a, arena_printf(w->a, "models/%s.rwkv", name), &n);
        put_in(w, out, used ? used : "", depth + 1);
    }
}

static void read_texts(World *w) {
    read_folder(w, "models");
    read_folder(w, "models/variants");
    qsort(w->texts, w->n, sizeof *w->texts, by_name);
    for (uint32_t i = 0, n = w->n; i < n; i++) {
        Text t = text_new(w->a);
        put_in(w, &t, w->texts[i].text, 0);
        w->texts[w->n++] = (TextFile){w->texts[i].name, t.data ? t.data : "", t.n};
    }
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

static void split_pieces(Arena *a, const char *s, size_t n, Pieces *out) {
    static const char *const two[] = {"==", "!=", "<=", ">=", "+=", "-=", "*=", "//", "->"};
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && s[i] == ' ') i++;
        if (i < n && s[i] == '#') {
            while (i < n && s[i] != '\n') i++;
        } else if (i < n && word(s[i])) {
            while (i < n && word(s[i])) i++;
        } else if (i < n) {
            size_t len = 1;
            for (size_t k = 0; k < sizeof two / sizeof *two; k++)
                if (i + 1 < n && s[i] == two[k][0] && s[i + 1] == two[k][1]) len = 2;
            i += len;
        }
        *PUSH(a, out) = (Piece){s + from, i - from};
    }
}

static char first_of(Piece p) {
    size_t i = 0;
    while (i < p.n && p.s[i] == ' ') i++;
    return i < p.n ? p.s[i] : 0;
}

static bool is_number(Piece p) { return first_of(p) >= '0' && first_of(p) <= '9'; }
static bool is_name(Piece p) { return word(first_of(p)) && !is_number(p); }
static bool is_sign(Piece p) {
    return first_of(p) && !word(first_of(p)) && !strchr("\n#", first_of(p));
}

/* A piece of a kind, from a random place on; the number of pieces when there is none. */
static uint32_t find(World *w, const Pieces *p, bool (*kind)(Piece)) {
    uint32_t from = below(w, p->n);
    for (uint32_t i = 0; i < p->n; i++)
        if (kind(p->data[(from + i) % p->n])) return (from + i) % p->n;
    return p->n;
}

static Piece made(World *w, const char *s) {
    char *t = arena_printf(w->a, " %s", s);
    return (Piece){t, strlen(t)};
}

static void insert(World *w, Pieces *p, uint32_t at, Piece x) {
    (void)PUSH(w->a, p);
    memmove(p->data + at + 1, p->data + at, sizeof(Piece) * (p->n - 1 - at));
    p->data[at] = x;
}

static void drop(Pieces *p, uint32_t at, uint32_t n) {
    if (at + n > p->n) n = p->n - at;
    memmove(p->data + at, p->data + at + n, sizeof(Piece) * (p->n - at - n));
    p->n -= n;
}

/* The line around a piece: from .. from+n-1, with its end. */
static uint32_t line_around(const Pieces *p, uint32_t at, uint32_t *n) {
    uint32_t from = at, end = at;
    while (from > 0 && first_of(p->data[from - 1]) != '\n') from--;
    while (end < p->n && first_of(p->data[end]) != '\n') end++;
    *n = (end < p->n ? end + 1 : end) - from;
    return from;
}

/* ---- mutations ------------------------------------------------------------------------------- */

static void new_number(World *w, Pieces *p) {
    static const char *const odd[] = {"0",
                                      "1",
                                      "2",
                                      "3",
                                      "0.5",
                                      "7",
                                      "1e-5",
                                      "64",
                                      "65536",
                                      "65537",
                                      "1000003",
                                      "1e15",
                                      "-1",
                                      "1000000000000000",
                                      "9007199254740992",
                                      "9007199254740993",
                                      "1e308",
                                      "1e309",
                                      "4294967296",
                                      "2147483648",
                                      "1e-320",
                                      "(-1)",
                                      "(1/3)",
                                      "(0*x)",
                                      "(D + 1)",
                                      "(2*D)",
                                      "(L - L)",
                                      "(T)"};
    uint32_t at = find(w, p, is_number);
    if (at < p->n) p->data[at] = made(w, odd[below(w, sizeof odd / sizeof *odd)]);
}

static void new_name(World *w, Pieces *p) {
    uint32_t at = find(w, p, is_name), from = find(w, p, is_name);
    if (at < p->n) p->data[at] = p->data[from];
}

static void new_sign(World *w, Pieces *p) {
    static const char *const odd[] = {"+",  "-",  "*",  "/",    "//",  "%",     "@",      "^", "==",
                                      "!=", "<",  "<=", ">",    ">=",  "and",   "or",     "(", ")",
                                      "[",  "]",  "{",  "}",    ",",   ";",     ":",      "=", "~",
                                      "->", "+=", "*=", "else", "not", "along", "reverse"};
    uint32_t at = find(w, p, is_sign);
    uint32_t most = below(w, 4) ? 14 : sizeof odd / sizeof *odd; /* mostly one that fits */
    if (at < p->n) p->data[at] = made(w, odd[below(w, most)]);
}

/* Every occurrence of one name becomes another and the other way round. */
static void exchange_names(World *w, Pieces *p) {
    uint32_t i = find(w, p, is_name), j = find(w, p, is_name);
    if (i == p->n) return;
    Piece a = p->data[i], b = p->data[j];
    for (uint32_t k = 0; k < p->n; k++) {
        bool is_a = p->data[k].n == a.n && memcmp(p->data[k].s, a.s, a.n) == 0;
        if (is_a)
            p->data[k] = b;
        else if (p->data[k].n == b.n && memcmp(p->data[k].s, b.s, b.n) == 0)
            p->data[k] = a;
    }
}

static void mutate_line(World *w, Pieces *p, uint32_t how) {
    uint32_t n, m, from = line_around(p, below(w, p->n), &n),
                   to = line_around(p, below(w, p->n), &m);
    Pieces copy = {0};
    for (uint32_t i = 0; i < n; i++) *PUSH(w->a, &copy) = p->data[from + i];
    if (how != 1) drop(p, from, n); /* 0 deleted, 1 copied, 2 moved */
    if (how == 0) return;
    if (to > p->n) to = p->n;
    for (uint32_t i = 0; i < copy.n; i++) insert(w, p, to + i, copy.data[i]);
}

/* A line, or a few pieces, of another text. */
static void borrow(World *w, Pieces *p) {
    const TextFile *f = &w->texts[below(w, w->n)];
    Pieces other = {0};
    split_pieces(w->a, f->text, f->n, &other);
    if (!other.n) return;
    uint32_t n, m, from = line_around(&other, below(w, other.n), &n),
                   at = line_around(p, below(w, p->n), &m);
    if (below(w, 2)) from = below(w, other.n), n = 1 + below(w, 3), at = below(w, p->n);
    for (uint32_t i = 0; i < n && from + i < other.n; i++)
        insert(w, p, at + i, other.data[from + i]);
}

static void mutate_once(World *w, Pieces *p) {
    if (!p->n) return;
    uint32_t at = below(w, p->n), other = below(w, p->n);
    Piece x = p->data[at];
    switch (below(w, 16)) {
    case 0: drop(p, at, 1 + below(w, 3)); break;
    case 1: insert(w, p, at, x); break;
    case 2: p->data[at] = p->data[other], p->data[other] = x; break;
    case 3:
        if (at + 1 < p->n) p->data[at] = p->data[at + 1], p->data[at + 1] = x;
        break;
    case 4:
    case 5:
    case 6: mutate_line(w, p, below(w, 3)); break;
    case 7:
    case 8:
    case 9: new_number(w, p); break;
    case 10:
    case 11: new_name(w, p); break;
    case 12:
    case 13: new_sign(w, p); break;
    case 14: exchange_names(w, p); break;
    default: borrow(w, p); break;
    }
}

static void spoil_bytes(World *w, Text *t) {
    if (!t->n) return;
    uint32_t how = below(w, 3), at = below(w, t->n);
    if (how == 0) t->data[t->n = at] = 0;
    if (how == 1) t->data[at] = (char)below(w, 256);
    if (how == 2) t->data[at] ^= (char)(1 << below(w, 8));
}

static const TextFile *mutation(World *w, uint64_t number, Text *out) {
    w->rng = number * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < 4; i++) below(w, 2);
    const TextFile *f = &w->texts[below(w, w->n)];
    if (f->n > 12000 && below(w, 4)) f = &w->texts[below(w, w->n)]; /* long ones take long */
    Pieces p = {0};
    split_pieces(w->a, f->text, f->n, &p);
    for (uint32_t k = 1 + below(w, 3); k > 0; k--) mutate_once(w, &p);
    *out = text_new(w->a);
    for (uint32_t i = 0; i < p.n; i++) text_addn(out, p.data[i].s, p.data[i].n);
    if (!out->data) text_add(out, "");
    if (below(w, 12) == 0) spoil_bytes(w, out);
    return f;
}

/* ---- checking -------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(uint64_t number, const char *what, const char *more) {
    printf("mutation %llu: %s%s%s\n", (unsigned long long)number, what, *more ? ": " : "", more);
    fflush(stdout);
    return 1;
}

static int printable(const Diag *d) { /* every message can be printed */
    FILE *f = fopen("/dev/null", "w");
    if (!f) return 0;
    diag_print(d, f, DIAG_PLAIN);
    diag_print(d, f, DIAG_JSON);
    fclose(f);
    return 0;
}

static int soon(uint64_t number, const char *what, double since, Arena *a) {
    double s = seconds() - since;
    char more[64];
    snprintf(more, sizeof more, "%.2f s", s);
    if (s > 1.0 * SLOWER) return fail(number, what, more);
    snprintf(more, sizeof more, "%.0f MiB", (double)arena_used(a) / 1048576);
    return arena_used(a) > MOST_MEMORY ? fail(number, what, more) : 0;
}

static int check_entries(uint64_t number, Program *p, Diag *d, Arena *a) {
    int bad = 0;
    for (uint32_t i = 0; i < program_entries(p); i++) {
        const char *entry = program_entry(p, i);
        double since = seconds();
        uint32_t errors = diag_errors(d);
        Graph *g = program_graph(p, entry, d);
        bad |= soon(number, entry, since, a);
        if (!g && diag_errors(d) > errors)
            bad |= fail(number, entry, "accepted, and an error when its graph is made");
        if (!g && diag_errors(d) == errors) bad |= fail(number, entry, "no graph and no message");
        const char *why = g ? graph_verify(g) : NULL;
        if (why) bad |= fail(number, entry, why);
    }
    return bad;
}

static int check_one(uint64_t number, const char *name, const char *text, size_t n, bool *accepted,
                     double *took) {
    static const char *const dirs[] = {"models"};
    CheckOptions o = {.include_dirs = dirs, .n_include_dirs = 1};
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    double since = seconds();
    Program *p = check_text(a, d, name, text, n, &o);
    int bad = soon(number, "checking", since, a) | printable(d);
    if (!p && !diag_errors(d)) bad |= fail(number, "refused without a message", "");
    if (p && diag_errors(d)) bad |= fail(number, "accepted with errors", "");
    if (p) bad |= check_entries(number, p, d, a);
    *accepted = p != NULL;
    *took = seconds() - since;
    if (bad && getenv("VERBOSE")) diag_print(d, stdout, DIAG_PLAIN);
    arena_free(a);
    return bad;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static volatile unsigned long long current; /* the mutation being checked, for the last words */

static void last_words(int sig) {
    char line[80];
    int n = snprintf(line, sizeof line, "mutation %llu: signal %d\n", current, sig);
    if (n > 0 && write(STDOUT_FILENO, line, (size_t)n) < 0) _exit(1);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void at_exit(void) {
    if (current) last_words(0);
}

static void watch(void) {
    static const int signals[] = {SIGALRM, SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (!SANITIZED || signals[i] == SIGALRM || signals[i] == SIGABRT)
            signal(signals[i], last_words);
    atexit(at_exit);
    struct rlimit most = {(rlim_t)4 << 30, (rlim_t)4 << 30};
    if (!SANITIZED) setrlimit(RLIMIT_AS, &most);
}

static int check_given(const char *path) {
    Arena *a = arena_new();
    size_t n = 0;
    const char *text = read_text(a, path, &n);
    bool accepted = false;
    double took = 0;
    int bad =
        text ? check_one(0, path, text, n, &accepted, &took) : fail(0, path, "cannot be read");
    printf("%s: %s, %.3f s\n", path, accepted ? "accepted" : "refused", took);
    arena_free(a);
    return bad;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "-c") == 0) return check_given(argv[2]);
    bool print = argc == 3 && strcmp(argv[1], "-p") == 0;
    uint64_t first = print      ? strtoull(argv[2], NULL, 10)
                     : argc > 1 ? strtoull(argv[1], NULL, 10)
                                : 1;
    uint64_t count = print ? 1 : argc > 2 ? strtoull(argv[2], NULL, 10) : 500, bad = 0, taken = 0;
    double longest = 0;
    World w = {.a = arena_new()};
    read_texts(&w);
    if (!w.n) return printf("SKIP: no models/ here\n"), 77;
    if (!print) watch();
    for (uint64_t i = first; i < first + count && bad < 20; i++) {
        Arena *all = w.a;
        Text t;
        w.a = arena_new();
        const TextFile *f = mutation(&w, i, &t);
        bool accepted = false;
        double took = 0;
        if (print) fwrite(t.data, 1, t.n, stdout);
        current = i;
        alarm(print ? 0 : 60 * SLOWER);
        if (!print) bad += (uint64_t)check_one(i, f->name, t.data, t.n, &accepted, &took);
        taken += accepted;
        if (took > longest) longest = took;
        arena_free(w.a);
        w.a = all;
    }
    current = 0;
    if (!print)
        printf("%llu mutations, %llu accepted, %llu wrong; the longest took %.2f s\n",
               (unsigned long long)count, (unsigned long long)taken, (unsigned long long)bad,
               longest);
    arena_free(w.a);
    return bad != 0;
}
