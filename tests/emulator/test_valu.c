/* Every vector instruction: valu_rows.def says what each has to give, in other words than the tables
 * of the emulator do. Both processors, random and special numbers, all lanes and some. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference.h" /* the last: its names are short */

enum { NINE = 1, ELEVEN = 2, BOTH = 3 };

typedef enum Kind {
    U,
    F,
    F1,
    FT,
    H,
    H1,
    H2,
    HK,
    W,
    WK,
    D,
    Q,
    PH,
    PF,
    PL,
    PU,
    MASK_ONLY,
    EXEC_ONLY
} Kind;

typedef uint64_t (*Value)(const In *x);

typedef struct Row {
    unsigned processors;
    const char *text[2]; /* gfx11's comparisons have other names */
    Kind kind;
    Value value, mask;
} Row;

/* ---- the rows -------------------------------------------------------------------------------- */

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)
#define VALUE_U(e)  (uint32_t)(e)
#define VALUE_W(e)  (uint16_t)(e)
#define VALUE_WK(e) (uint16_t)(e)
#define VALUE_H(e)  (uint16_t)(e)
#define VALUE_H1(e) (uint16_t)(e)
#define VALUE_H2(e) (uint16_t)(e)
#define VALUE_HK(e) (uint16_t)(e)
#define VALUE_PH(e) (uint32_t)(e)
#define VALUE_PL(e) (uint32_t)(e)
#define VALUE_PU(e) (uint32_t)(e)
#define VALUE_F(e)  to_bits((float)(e))
#define VALUE_F1(e) to_bits64((double)(e))
#define VALUE_FT(e) to_bits64((double)(e))
#define VALUE_D(e)  to_bits64(e)
#define VALUE_Q(e)  (e)
#define VALUE_PF(e) (e)

#define T(processors, text, kind, e)                                                               \
    static uint64_t JOIN(value_, __LINE__)(const In *x) {                                          \
        (void)x;                                                                                   \
        return VALUE_##kind(e);                                                                    \
    }
#define T2(processors, text, kind, e, carry)                                                       \
    T(processors, text, kind, e)                                                                   \
    static uint64_t JOIN(mask_, __LINE__)(const In *x) { return (carry) ? 1 : 0; }
#define C(nine, eleven, e)                                                                         \
    static uint64_t JOIN(mask_, __LINE__)(const In *x) {                                           \
        (void)x;                                                                                   \
        return (e) ? 1 : 0;                                                                        \
    }
#include "valu_rows.def"
#undef T
#undef T2
#undef C

#define T(processors, text, kind, e) {processors, {text, text}, kind, JOIN(value_, __LINE__), NULL},
#define T2(processors, text, kind, e, carry)                                                       \
    {processors, {text, text}, kind, JOIN(value_, __LINE__), JOIN(mask_, __LINE__)},
#define C(nine, eleven, e)                                                                         \
    {(eleven) != NULL ? BOTH : NINE, {nine, eleven}, MASK_ONLY, NULL, JOIN(mask_, __LINE__)},      \
        {(eleven) != NULL ? BOTH : NINE, {nine, eleven}, EXEC_ONLY, NULL, JOIN(mask_, __LINE__)},
static const Row rows[] = {
#include "valu_rows.def"
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- their text ------------------------------------------------------------------------------ */

static bool is_of(const Row *r, bool is_gfx11) {
    return r->processors & (is_gfx11 ? ELEVEN : NINE);
}

static char *put_word(char *to, const char *word) {
    size_t n = strlen(word);
    memcpy(to, word, n);
    return to + n;
}

/* A template with its places filled and one of "gfx9|gfx11" chosen. */
static char *fill(char *to, const char *p, bool is_gfx11) {
    while (*p != '\0') {
        if (strncmp(p, "{vcc}", 5) == 0) {
            to = put_word(to, is_gfx11 ? "vcc_lo" : "vcc");
            p += 5;
        } else if (strncmp(p, "{m}", 3) == 0) {
            to = put_word(to, is_gfx11 ? "s14" : "s[14:15]");
            p += 3;
        } else if (strncmp(p, "{r}", 3) == 0) {
            to = put_word(to, is_gfx11 ? "s16" : "s[16:17]");
            p += 3;
        } else if (*p == '|' && p[1] == 'v' &&
                   p[2] == '_') { /* an absolute value has no v_ in it */
            size_t n = strcspn(p + 1, " ");
            if (is_gfx11) {
                while (to[-1] != '\n') to--;
                to = put_word(to, "    ");
                memcpy(to, p + 1, n);
                to += n;
            }
            p += 1 + n;
        } else {
            *to++ = *p++;
        }
    }
    return to;
}

static char *fill_row(char *to, const Row *r, bool is_gfx11) {
    char text[300];
    const char *name = r->text[is_gfx11];
    bool is_wide = strstr(name, "64") != NULL;
    const char *a = is_wide ? "v[2:3]" : "v2",
               *b = is_wide && strncmp(name, "class", 5) != 0 ? "v[4:5]" : "v4";
    switch (r->kind) {
    case MASK_ONLY: snprintf(text, sizeof text, "v_cmp_%s {r}, %s, %s", name, a, b); break;
    case EXEC_ONLY:
        snprintf(text, sizeof text, "v_cmpx_%s %s%s, %s\nv_mov_b32 v8, 1", name,
                 is_gfx11 ? "" : "{vcc}, ", a, b);
        break;
    default: snprintf(text, sizeof text, "%s", name); break;
    }
    return fill(to, text, is_gfx11);
}

static char *assembly(bool is_gfx11) {
    char *text = malloc(N_ROWS * 400), *to = text;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!is_of(&rows[i], is_gfx11)) continue;
        to += sprintf(to, ".globl r%zu\nr%zu:\n", i, i);
        to = fill_row(to, &rows[i], is_gfx11);
        to = put_word(to, "\ns_endpgm\n");
    }
    *to = '\0';
    return text;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int n_bad;

static bool nan32(uint32_t x) { return (x & 0x7fffffff) > 0x7f800000; }
static bool nan16(uint32_t x) { return (x & 0x7fff) > 0x7c00; }
static bool same32(uint32_t x, uint32_t y) { return x == y || (nan32(x) && nan32(y)); }
static bool same16(uint32_t x, uint32_t y) {
    return (x & 0xffff) == (y & 0xffff) || (nan16(x) && nan16(y));
}

/* Within so many units in the last place. */
static bool near32(uint32_t x, double want, double units) {
    double got = (double)from_bits(x);
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (isinf((float)want) || want == 0) return got == (double)(float)want;
    int e;
    frexp(want, &e);
    return fabs(got - want) <= units * ldexp(1, e - 24 < -149 ? -149 : e - 24);
}

static bool near16(uint32_t x, uint32_t y, int units) {
    int d = (int)(x & 0x7fff) - (int)(y & 0x7fff);
    bool is_small =
        (x & 0x7fff) <= 0x1000 && (y & 0x7fff) <= 0x1000; /* turns lose their bits near zero */
    return same16(x, y) || ((x ^ y) < 0x8000 && abs(d) <= units) || (units > 1 && is_small);
}

/* The half that a 16-bit result does not write: gfx9 clears it, gfx11 leaves it. */
static bool rest_fits(Kind k, bool is_gfx11, uint32_t x, uint32_t old) {
    if (is_gfx11) return x >> 16 == old >> 16;
    return k == HK || k == WK || x >> 16 == 0;
}

static bool fits(const Row *r, bool is_gfx11, uint64_t got, const In *in) {
    uint32_t x = (uint32_t)got, y;
    uint64_t want = r->value(in);
    y = (uint32_t)want;
    switch (r->kind) {
    case U: return x == y;
    case F: return same32(x, y);
    case F1: return near32(x, from_bits64(want), 1.0);
    case FT:
        return fabs((double)from_bits(x) - from_bits64(want)) < 1e-6 ||
               (nan32(x) && isnan(from_bits64(want)));
    case W:
    case WK:
        return (x & 0xffff) == (y & 0xffff) && rest_fits(r->kind, is_gfx11, x, (uint32_t)in->old);
    case H:
    case HK: return same16(x, y) && rest_fits(r->kind, is_gfx11, x, (uint32_t)in->old);
    case H1: return near16(x & 0xffff, y, 1) && rest_fits(r->kind, is_gfx11, x, (uint32_t)in->old);
    case H2: return near16(x & 0xffff, y, 2) && rest_fits(r->kind, is_gfx11, x, (uint32_t)in->old);
    case D: return got == want || (isnan(from_bits64(got)) && isnan(from_bits64(want)));
    case Q: return got == want;
    case PF: return same32(x, y) && same32((uint32_t)(got >> 32), (uint32_t)(want >> 32));
    case PL:
    case PU:
    case PH: return same16(x, y) && same16(x >> 16, y >> 16);
    default: return true;
    }
}

static void report(const Row *r, bool is_gfx11, const In *in, const char *what, uint64_t got,
                   uint64_t want) {
    static const Row *last;
    static int of_row;
    of_row = r == last ? of_row + 1 : 0;
    last = r;
    if (++n_bad > 200 || of_row > 1) return;
    printf(
        "%s: %s: lane %u: %s 0x%llx instead of 0x%llx\n    a 0x%016llx b 0x%016llx c 0x%016llx old 0x%016llx\n",
        is_gfx11 ? "gfx1100" : "gfx942", r->text[is_gfx11], in->lane, what, (unsigned long long)got,
        (unsigned long long)want, (unsigned long long)in->a, (unsigned long long)in->b,
        (unsigned long long)in->c, (unsigned long long)in->old);
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct Inputs {
    uint32_t v[8][MAX_LANES]; /* v2 to v9 */
    uint64_t mask, vcc;
    uint32_t s12, s13;
} Inputs;

static void set(Wave *w, const Inputs *x, uint64_t exec) {
    for (unsigned k = 0; k < 8; k++) rig_vector(w, k + 2, x->v[k]);
    const uint64_t masks[3] = {x->mask, 0, x->vcc};
    const unsigned regs[3] = {14, 16, S_VCC};
    for (unsigned k = 0; k < 3; k++) {
        rig_scalar(w, regs[k], (uint32_t)masks[k]);
        rig_scalar(w, regs[k] + 1, (uint32_t)(masks[k] >> 32));
    }
    rig_scalar(w, 12, x->s12);
    rig_scalar(w, 13, x->s13);
    rig_exec(w, exec);
}

static uint64_t pair(const Inputs *x, unsigned k, unsigned lane) {
    return x->v[k][lane] | (uint64_t)x->v[k + 1][lane] << 32;
}

static void check_lane(const Row *r, const Wave *w, const Inputs *x, unsigned lane, uint64_t exec,
                       bool is_gfx11) {
    In in = {pair(x, 0, lane),
             pair(x, 2, lane),
             pair(x, 4, lane),
             pair(x, 6, lane),
             x->mask >> lane & 1,
             x->vcc >> lane & 1,
             lane,
             x->s12,
             x->v[0]};
    uint64_t got = w->v[8].u[lane] | (uint64_t)w->v[9].u[lane] << 32;
    bool is_active = exec >> lane & 1;
    if (r->kind == EXEC_ONLY) {
        bool want = is_active && r->mask(&in);
        if ((uint32_t)got != (want ? 1 : (uint32_t)in.old))
            report(r, is_gfx11, &in, "EXEC", got, want);
        return;
    }
    if (r->value != NULL && is_active && !fits(r, is_gfx11, got, &in))
        report(r, is_gfx11, &in, "result", got, r->value(&in));
    if (r->value != NULL && !is_active && got != in.old)
        report(r, is_gfx11, &in, "inactive lane", got, in.old);
    if (r->mask == NULL) return;
    bool is_vcc = strstr(r->text[is_gfx11], "{vcc}") != NULL;
    uint64_t mask = is_vcc ? w->s[S_VCC] | (uint64_t)w->s[S_VCC + 1] << 32
                           : w->s[16] | (uint64_t)w->s[17] << 32;
    bool want = is_active && r->mask(&in);
    if ((mask >> lane & 1) != want) report(r, is_gfx11, &in, "mask bit", mask >> lane & 1, want);
}

static bool uses_lanes(const Row *r, bool is_gfx11) {
    return strstr(r->text[is_gfx11], "_dpp") != NULL ||
           strstr(r->text[is_gfx11], "v_swap") != NULL || strchr(r->text[is_gfx11], '\n') != NULL;
}

static void test_row(Rig *rig, size_t i, bool is_gfx11) {
    char symbol[32];
    Inputs x;
    snprintf(symbol, sizeof symbol, "r%zu", i);
    for (unsigned round = 0; round < 12; round++) {
        uint64_t state = 1000 * i + round, full = is_gfx11 ? UINT32_MAX : UINT64_MAX;
        for (unsigned k = 0; k < 8; k += 2)
            for (unsigned lane = 0; lane < MAX_LANES; lane++) {
                uint64_t y = any_number(&state);
                x.v[k][lane] = (uint32_t)y;
                x.v[k + 1][lane] = (uint32_t)(y >> 32);
            }
        x.mask = any_bits(&state) & full;
        x.vcc = any_bits(&state) & full;
        x.s12 = (uint32_t)any_number(&state);
        x.s13 = (uint32_t)any_number(&state);
        uint64_t exec =
            round < 9 || uses_lanes(&rows[i], is_gfx11) ? full : any_bits(&state) & full;
        const char *why;
        rig_set(rig, symbol, 1, 0, 0);
        set(rig_wave(rig), &x, exec);
        if (!rig_run(rig, &why)) {
            printf("%s\n", why);
            n_bad++;
            return;
        }
        for (unsigned lane = 0; lane < (is_gfx11 ? 32 : 64); lane++)
            check_lane(&rows[i], rig_wave(rig), &x, lane, exec, is_gfx11);
    }
}

/* Every row of the emulator's tables of vector instructions was run by one of ours. */
static void check_all_seen(const char *const *seen, size_t n) {
    const OpIndex *index = ops_index();
    for (size_t k = 0; op_name(index, k) != NULL; k++) {
        const Op *op = op_find(index, op_name(index, k));
        if (op->kind != K_VALU) continue;
        bool found = false;
        for (size_t i = 0; i < n && !found; i++) found = strcmp(seen[i], op->name) == 0;
        if (!found) printf("%s: no test\n", op_name(index, k));
        n_bad += !found;
    }
    ops_index_free(index);
}

int main(void) {
    static const char *seen[8 * N_ROWS];
    size_t n_seen = 0;
    for (int is_gfx11 = 0; is_gfx11 < 2; is_gfx11++) {
        char *text = assembly(is_gfx11);
        Rig *rig = rig_create(is_gfx11 ? "gfx1100" : "gfx942", text);
        free(text);
        for (size_t i = 0; i < N_ROWS; i++) {
            if (!is_of(&rows[i], is_gfx11)) continue;
            test_row(rig, i, is_gfx11);
            const Function *f = &rig->kernel.code;
            for (size_t k = 0; k < f->n && n_seen + 2 < sizeof seen / sizeof *seen; k++) {
                if (f->inst[k].op != NULL) seen[n_seen++] = f->inst[k].op->name;
                if (f->inst[k].dual != NULL) seen[n_seen++] = f->inst[k].dual->op->name;
            }
        }
        rig_free(rig);
    }
    check_all_seen(seen, n_seen);
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
