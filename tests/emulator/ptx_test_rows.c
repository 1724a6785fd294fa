/* Every instruction that does the same in each lane: ptx_rows.def says what it has to give, in other words than the
 * tables of the emulator do. Random and special numbers, all lanes and those a guard lets through. */
#include "ptx_rig.h"

#include <stdio.h>
#include <xmmintrin.h>

#include "reference.h" /* the last: its names are short */

typedef struct Row {
    const char *name, *types;
    bool is_near; /* one unit in the last place */
} Row;

/* ---- words of the rows ----------------------------------------------------------------------- */

#define PA ((A & 1) != 0)
#define PB ((B & 1) != 0)
#define PC ((CC & 1) != 0)

/* The nearest float, NaN as PTX has it. */
static uint64_t single(double x) { return isnan(x) ? 0x7fffffffu : to_bits((float)x); }
static uint64_t zeroed(uint64_t x) { return (x & 0x7fffffffu) < 0x00800000u ? x & 0x80000000u : x; }
static uint64_t double_bits(double x) { return isnan(x) ? 0x7ff8000000000000u : to_bits64(x); }

static double least(float a, float b) {
    if (isnan(a)) return (double)b;
    if (isnan(b)) return (double)a;
    if (a == 0 && b == 0) return signbit(a) || signbit(b) ? -0.0 : 0.0;
    return a < b ? (double)a : (double)b;
}

static int relation_of(double a, double b) {
    return isnan(a) || isnan(b) ? 3 : (a > b) - (a < b) + 1;
}

static uint64_t high64(uint64_t a, uint64_t b) {
    uint64_t a0 = a & UINT32_MAX, a1 = a >> 32, b0 = b & UINT32_MAX, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & UINT32_MAX);
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

/* The field and, if signed, its highest bit above it; a field beyond the end has the number's. */
static uint64_t extracted(uint64_t x, uint32_t at, uint32_t n, uint32_t bits, bool is_signed) {
    if (n == 0) return 0;
    uint64_t sign = x >> (bits - 1) & 1, r = at < 64 ? bits_between(x, at, n) : 0;
    if (at + n <= bits) sign = x >> (at + n - 1) & 1;
    uint32_t have = at >= bits ? 0 : at + n > bits ? bits - at : n;
    for (uint32_t i = have; is_signed && sign && i < bits; i++) r += pow2(i);
    return r;
}

static uint64_t zeros_above(uint64_t x, unsigned bits) {
    unsigned n = 0;
    while (n < bits && x < pow2(bits - 1 - n)) n++;
    return n;
}

static uint64_t nibbles(uint32_t a, uint32_t b, uint32_t c) {
    uint8_t from[8], to[4];
    uint32_t r;
    memcpy(from, &a, 4);
    memcpy(from + 4, &b, 4);
    for (unsigned i = 0; i < 4; i++) {
        unsigned pick = c / (unsigned)pow2(4 * i) % 16;
        to[i] = pick < 8 ? from[pick] : from[pick - 8] >= 128 ? 255 : 0;
    }
    memcpy(&r, to, 4);
    return r;
}

/* Towards zero, not beyond the ends. */
static uint64_t within(long double x, long double low, long double high, uint64_t none) {
    if (isnan(x)) return none;
    x = truncl(x);
    if (x < low) x = low;
    if (x > high) x = high;
    return x < 0 ? (uint64_t)(int64_t)x : (uint64_t)x;
}

/* Of two equally near the even one. */
static double to_nearest(double x) {
    double down = floor(x), rest = x - down;
    if (isnan(x) || isinf(x)) return x;
    double r = rest < 0.5 || (rest == 0.5 && fmod(down, 2) == 0) ? down : down + 1;
    return copysign(r, x);
}

static uint64_t top_half(double x) {
    float f = (float)x;
    uint32_t u = to_bits(f), rest = u & 0xffff, kept = u >> 16;
    return kept + (rest > 0x8000 || (rest == 0x8000 && (kept & 1)) ? 1 : 0);
}

/* ---- the rows -------------------------------------------------------------------------------- */

/* What row `which` gives; the count of rows tells them apart. */
static uint64_t value_of(unsigned which, const In *x) {
    enum { FIRST = __COUNTER__ + 1 };
    switch (which) {
#define R(label, t, e)                                                                             \
    case __COUNTER__ - FIRST:                                                                      \
        return (uint64_t)(e);
#define N R
#include "ptx_rows.def"
#undef R
#undef N
    default: return 0;
    }
}

#define R(label, t, e) {label, t, false},
#define N(label, t, e) {label, t, true},
static const Row rows[] = {
#include "ptx_rows.def"
};
#undef R
#undef N
enum { N_ROWS = sizeof rows / sizeof *rows };

/* ---- their text ------------------------------------------------------------------------------ */

enum { BLOCKS = 24, THREADS = 32, TRIES = BLOCKS * THREADS };

/* Register k of a class: 0 is the destination. */
static const char *register_of(char type, unsigned k, char *room) {
    const char *prefix = type == 'p' ? "%p" : type == 'h' ? "%rs" : type == 'w' ? "%r" : "%rd";
    sprintf(room, "%s%u", prefix, k);
    return room;
}

static char *put_load(char *to, char type, unsigned k) {
    const char *size = type == 'h' ? "u16" : type == 'd' ? "u64" : "u32";
    char room[16];
    unsigned at = 8 * (k == 0 ? 3 : k - 1); /* the destination begins as the fourth number */
    if (type == 'p')
        return to +
               sprintf(
                   to,
                   "ld.global.u32 %%r9, [%%rd8+%u];\nand.b32 %%r9, %%r9, 1;\nsetp.ne.u32 %%p%u, %%r9, 0;\n",
                   at, k);
    return to + sprintf(to, "ld.global.%s %s, [%%rd8+%u];\n", size, register_of(type, k, room), at);
}

static char *put_store(char *to, char type) {
    if (type == 'p')
        return to + sprintf(to, "selp.u32 %%r9, 1, 0, %%p0;\nst.global.u32 [%%rd9], %%r9;\n");
    if (type == 'h') return to + sprintf(to, "st.global.u16 [%%rd9], %%rs0;\n");
    if (type == 'w') return to + sprintf(to, "st.global.u32 [%%rd9], %%r0;\n");
    return to + sprintf(to, "st.global.u64 [%%rd9], %%rd0;\n");
}

static char *put_kernel(char *to, const Row *r, size_t i, bool is_guarded) {
    char room[16];
    to += sprintf(
        to,
        ".visible .entry %c%zu(.param .u64 a, .param .u64 b) .reqntid 32, 1, 1\n{\n"
        ".reg .pred %%p<9>; .reg .b16 %%rs<9>; .reg .b32 %%r<10>; .reg .b64 %%rd<10>;\n"
        "mov.u32 %%r8, %%ctaid.x;\nmov.u32 %%r9, %%tid.x;\nmad.lo.s32 %%r8, %%r8, 32, %%r9;\n"
        "ld.param.u64 %%rd8, [a];\nld.param.u64 %%rd9, [b];\nmad.wide.u32 %%rd8, %%r8, 32, %%rd8;\n"
        "mad.wide.u32 %%rd9, %%r8, 8, %%rd9;\nand.b32 %%r9, %%r8, 5;\nsetp.eq.u32 %%p8, %%r9, 4;\n",
        is_guarded ? 'g' : 'r', i);
    for (unsigned k = 0; k < strlen(r->types); k++)
        if (r->types[k] != '=') to = put_load(to, r->types[k], k == 0 ? 0 : k - 1);
    to += sprintf(to, "%s%s %s", is_guarded ? "@%p8 " : "", r->name,
                  register_of(r->types[0], 0, room));
    for (unsigned k = 2; k < strlen(r->types); k++)
        to += sprintf(to, ", %s", register_of(r->types[k], k - 1, room));
    to += sprintf(to, ";\n");
    to = put_store(to, r->types[0]);
    return to + sprintf(to, "ret;\n}\n");
}

static char *text_of_rows(void) {
    char *text = malloc(N_ROWS * 3000), *to = text;
    for (size_t i = 0; i < N_ROWS; i++) {
        to = put_kernel(to, &rows[i], i, false);
        to = put_kernel(to, &rows[i], i, true);
    }
    return text;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* Numbers that the instruction makes something of. */
static void choose(const Row *r, uint64_t *state, uint64_t in[4]) {
    for (unsigned k = 0; k < 4; k++) in[k] = any_number(state);
    bool divides =
        (starts(r->name, "div.") || starts(r->name, "rem.")) && strchr(r->name, 'f') == NULL;
    bool shifts = starts(r->name, "sh") || starts(r->name, "bfe");
    if (divides) in[1] |= 1;
    if (shifts && in[3] % 4 != 0) in[1] %= starts(r->name, "shf") ? UINT64_MAX : 70;
    if (shifts && in[3] % 4 != 0) in[2] %= 70;
    if (starts(r->name, "setp") && in[3] % 4 == 0) in[1] = in[0];
}

static bool is_near(uint32_t got, uint32_t want) {
    bool is_special = (want & 0x7f800000u) == 0x7f800000u || (want & 0x7fffffffu) == 0;
    return got == want || (!is_special && (got == want + 1 || got + 1 == want));
}

static bool fits(const Row *r, uint64_t got, uint64_t want) {
    if (r->types[0] == 'p') return got == (want != 0);
    if (r->types[0] != 'd')
        return r->is_near ? is_near((uint32_t)got, (uint32_t)want) : got == want;
    bool moves = starts(r->name, "mov") || starts(r->name, "selp");
    bool is_real = !moves && strstr(r->name, starts(r->name, "cvt") ? "f64." : "f64") != NULL;
    bool is_nan = isnan(from_bits64(got)) && isnan(from_bits64(want)); /* any will do */
    return got == want || (is_real && is_nan);
}

static uint64_t cut(char type, uint64_t x) {
    return type == 'p' ? x & 1 : type == 'h' ? x & 0xffff : type == 'w' ? x & UINT32_MAX : x;
}

static int compare(const Row *r, unsigned i, bool is_guarded, const uint64_t (*in)[4],
                   const uint64_t *out) {
    for (unsigned t = 0; t < TRIES; t++) {
        In x = {.a = in[t][0], .b = in[t][1], .c = in[t][2], .old = in[t][3]};
        bool is_old = is_guarded && (t & 5) != 4;
        uint64_t want = is_old ? cut(r->types[0], x.old) : value_of(i, &x);
        if (is_old ? out[t] == want : fits(r, out[t], want)) continue;
        printf("%s %s of 0x%llx, 0x%llx, 0x%llx%s: 0x%llx, wanted 0x%llx\n", r->name, r->types,
               (unsigned long long)x.a, (unsigned long long)x.b, (unsigned long long)x.c,
               is_guarded ? ", guarded" : "", (unsigned long long)out[t], (unsigned long long)want);
        return 1;
    }
    return 0;
}

static int test_row(PtxRig *rig, unsigned i, bool is_guarded, void *in, void *out) {
    static uint64_t numbers[TRIES][4];
    uint64_t state = i;
    char name[16];
    void *arguments[] = {in, out};
    for (unsigned t = 0; t < TRIES; t++) choose(&rows[i], &state, numbers[t]);
    emu_copy(rig->emu, in, numbers, sizeof numbers);
    emu_fill(rig->emu, out, 0, 4, TRIES * 2);
    snprintf(name, sizeof name, "%c%u", is_guarded ? 'g' : 'r', i);
    unsigned csr = _mm_getcsr();
    _mm_setcsr(csr | 0x8040); /* whoever launches may have no subnormals: kernels have them */
    EmuStatus s = ptx_rig_run(rig, name, BLOCKS, THREADS, arguments, 2);
    _mm_setcsr(csr);
    if (s == EMU_OK) return compare(&rows[i], i, is_guarded, (const uint64_t(*)[4])numbers, out);
    printf("%s\n", emu_said(rig->emu));
    return 1;
}

int ptx_test_rows(void) {
    char *text = text_of_rows();
    PtxRig *rig = ptx_rig(text);
    int bad = 0;
    void *in = emu_alloc(rig->emu, TRIES * 32), *out = emu_alloc(rig->emu, TRIES * 8);
    for (unsigned i = 0; i < N_ROWS; i++)
        bad += test_row(rig, i, false, in, out) + test_row(rig, i, true, in, out);
    ptx_rig_free(rig);
    free(text);
    return bad;
}
