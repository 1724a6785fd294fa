/* Every scalar instruction: salu_rows.def says what each has to give. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference.h" /* the last: its names are short */

enum { NINE = 1, ELEVEN = 2, BOTH = 3 };

#define SCC ((unsigned)x->mask)

static inline uint64_t bits_doubled(uint32_t a) {
    uint64_t r = 0;
    for (unsigned i = 0; i < 64; i++) r += (uint64_t)(a >> i / 2 & 1) << i;
    return r;
}

typedef struct Row {
    unsigned processors;
    const char *text, *eleven; /* eleven: of the rows for EXEC */
    unsigned width;
    uint64_t (*value)(const In *x);
    uint64_t (*flag)(const In *x);
    uint64_t (*exec)(uint64_t a, uint64_t e);
} Row;

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)
#define T(processors, text, width, e, f)                                                           \
    static uint64_t JOIN(value_, __LINE__)(const In *x) {                                          \
        (void)x;                                                                                   \
        return (e);                                                                                \
    }                                                                                              \
    static uint64_t JOIN(flag_, __LINE__)(const In *x) { return (f) ? 1 : 0; }
#define X(nine, eleven, value)                                                                     \
    static uint64_t JOIN(exec_, __LINE__)(uint64_t a, uint64_t e) { return value; }
#include "salu_rows.def"
#undef T
#undef X
#define T(processors, text, width, e, f)                                                           \
    {processors, text, NULL, width, JOIN(value_, __LINE__), JOIN(flag_, __LINE__), NULL},
#define X(nine, eleven, value) {BOTH, nine, eleven, 0, NULL, NULL, JOIN(exec_, __LINE__)},
static const Row rows[] = {
#include "salu_rows.def"
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static bool is_of(const Row *r, bool is_gfx11) {
    return r->processors & (is_gfx11 ? ELEVEN : NINE);
}

/* "gfx9|gfx11 operands" */
static char *put_row(char *to, const Row *r, bool is_gfx11) {
    const char *bar = strchr(r->text, '|'), *text = r->text;
    if (r->exec != NULL)
        return to + (is_gfx11 ? sprintf(to, "s_%s_b32 s8, s2", r->eleven)
                              : sprintf(to, "s_%s_b64 s[8:9], s[2:3]", r->text));
    if (bar == NULL) return to + sprintf(to, "%s", text);
    const char *rest = strchr(bar, ' ');
    if (is_gfx11) return to + sprintf(to, "%s", bar + 1);
    return to + sprintf(to, "%.*s%s", (int)(bar - text), text, rest);
}

static char *assembly(bool is_gfx11) {
    char *text = malloc(N_ROWS * 200), *to = text;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!is_of(&rows[i], is_gfx11)) continue;
        to += sprintf(to, ".globl r%zu\nr%zu:\n", i, i);
        to = put_row(to, &rows[i], is_gfx11);
        to += sprintf(to, "\ns_endpgm\n");
    }
    return text;
}

static int n_bad;

static void wrong(const Row *r, const In *in, const char *what, uint64_t got, uint64_t want) {
    if (++n_bad > 60) return;
    printf("%s: %s 0x%llx instead of 0x%llx\n    a 0x%016llx b 0x%016llx old 0x%016llx scc %d\n",
           r->text, what, (unsigned long long)got, (unsigned long long)want,
           (unsigned long long)in->a, (unsigned long long)in->b, (unsigned long long)in->old,
           in->mask);
}

static void put64(Wave *w, unsigned reg, uint64_t x) {
    rig_scalar(w, reg, (uint32_t)x);
    rig_scalar(w, reg + 1, (uint32_t)(x >> 32));
}

static uint64_t get64(const Wave *w, unsigned reg) {
    return w->s[reg] | (uint64_t)w->s[reg + 1] << 32;
}

static void check_exec(const Row *r, const Wave *w, const In *in, uint64_t e, bool is_gfx11) {
    uint64_t full = is_gfx11 ? UINT32_MAX : UINT64_MAX, want = r->exec(in->a & full, e) & full;
    bool writes = strstr(r->text, "wrexec") != NULL;
    uint64_t saved = get64(w, 8) & full, kept = writes ? want : e;
    if (w->exec != want) wrong(r, in, "EXEC", w->exec, want);
    if (saved != kept) wrong(r, in, "saved", saved, kept);
    if (w->scc != (want != 0)) wrong(r, in, "scc", w->scc, want != 0);
}

static void check(const Row *r, const Wave *w, const In *in) {
    uint64_t got = get64(w, 8), want = r->value(in);
    if (r->width < 64) got = (uint32_t)got, want = (uint32_t)want;
    if (r->width > 0 && got != want) wrong(r, in, "result", got, want);
    if (r->width == 0 && get64(w, 8) != in->old) wrong(r, in, "untouched", get64(w, 8), in->old);
    if (w->scc != (bool)r->flag(in)) wrong(r, in, "scc", w->scc, r->flag(in));
}

static void test_row(Rig *rig, size_t i, bool is_gfx11) {
    char symbol[32];
    const char *why;
    snprintf(symbol, sizeof symbol, "r%zu", i);
    for (uint64_t round = 0; round < 60; round++) {
        uint64_t state = round;
        In in = {any_number(&state),
                 any_number(&state),
                 0,
                 any_number(&state),
                 any_bits(&state) & 1,
                 0,
                 0,
                 0,
                 NULL};
        if (round % 7 == 0) in.b = in.a;
        if (round % 5 == 0) in.b = (in.b & 0x1f) | (uint64_t)(any_bits(&state) % 40) << 16;
        uint64_t e = any_bits(&state) & (is_gfx11 ? UINT32_MAX : UINT64_MAX);
        rig_set(rig, symbol, 1, 0, 0);
        Wave *w = rig_wave(rig);
        put64(w, 2, in.a);
        put64(w, 4, in.b);
        put64(w, 8, in.old);
        w->scc = in.mask;
        w->scc_unknown = false;
        if (rows[i].exec != NULL) rig_exec(w, e);
        if (!rig_run(rig, &why)) {
            printf("%s\n", why);
            n_bad++;
            return;
        }
        if (rows[i].exec != NULL)
            check_exec(&rows[i], w, &in, e, is_gfx11);
        else
            check(&rows[i], w, &in);
    }
}

static void check_all_seen(const char *const *seen, size_t n) {
    const OpIndex *index = ops_index();
    for (size_t k = 0; op_name(index, k) != NULL; k++) {
        const Op *op = op_find(index, op_name(index, k));
        bool found = op->kind != K_SALU;
        for (size_t i = 0; i < n && !found; i++) found = strcmp(seen[i], op->name) == 0;
        /* The narrow and wide forms of EXEC's instructions share their row; each processor has one. */
        if (!found) printf("%s: no test\n", op_name(index, k));
        n_bad += !found;
    }
    ops_index_free(index);
}

int main(void) {
    static const char *seen[4 * N_ROWS];
    size_t n_seen = 0;
    for (int is_gfx11 = 0; is_gfx11 < 2; is_gfx11++) {
        char *text = assembly(is_gfx11);
        Rig *rig = rig_create(is_gfx11 ? "gfx1100" : "gfx942", text);
        free(text);
        for (size_t i = 0; i < N_ROWS; i++) {
            if (!is_of(&rows[i], is_gfx11)) continue;
            test_row(rig, i, is_gfx11);
            if (rig->kernel.code.inst[0].op != NULL)
                seen[n_seen++] = rig->kernel.code.inst[0].op->name;
        }
        rig_free(rig);
    }
    check_all_seen(seen, n_seen);
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
