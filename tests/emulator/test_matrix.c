/* The matrix instructions: every element of A, B and D lies in exactly one place (two in the inputs
 * of gfx11), where AMD's documents say, and the product is right. */
#include "matrix.h"
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference.h" /* the last: its names are short */
#undef A
#undef B

static int n_bad;

static void wrong(const Matrix *m, const char *what) {
    if (n_bad++ < 40) printf("%s: %s\n", m->name, what);
}

/* ---- layouts --------------------------------------------------------------------------------- */

static void check_bijection(const Matrix *m) {
    unsigned size = m->m, seen_in[16 * 32 * 32] = {0}, seen_out[16 * 32 * 32] = {0};
    unsigned repeats = m->lanes == 32 ? 2 : 1;
    for (unsigned lane = 0; lane < m->lanes; lane++) {
        for (unsigned e = 0; e < matrix_elements(m); e++) {
            Element at = matrix_a(m, lane, e);
            if (at.block >= m->blocks || at.row >= size || at.column >= m->k) {
                wrong(m, "an element of A outside of it");
                return;
            }
            seen_in[(at.block * size + at.row) * m->k + at.column]++;
        }
        for (unsigned g = 0; g < matrix_out_registers(m); g++) {
            Element at = matrix_d(m, lane, g);
            if (at.block >= m->blocks || at.row >= size || at.column >= size) {
                wrong(m, "an element of D outside of it");
                return;
            }
            seen_out[(at.block * size + at.row) * size + at.column]++;
        }
    }
    for (unsigned i = 0; i < (unsigned)m->blocks * size * m->k; i++)
        if (seen_in[i] != repeats) wrong(m, "not every element of A has its place");
    for (unsigned i = 0; i < m->blocks * size * size; i++)
        if (seen_out[i] != 1) wrong(m, "not every element of D has its place");
}

/* The formulas of the documents, written out for the instructions that kernels are made of. */
static void check_formulas(const Matrix *m) {
    bool is_32 = strcmp(m->name, "v_mfma_f32_32x32x8_bf16") == 0,
         is_16 = strcmp(m->name, "v_mfma_f32_16x16x16_bf16") == 0;
    bool is_wmma = strcmp(m->name, "v_wmma_f32_16x16x16_bf16") == 0;
    if (!is_32 && !is_16 && !is_wmma) return;
    for (unsigned l = 0; l < m->lanes; l++) {
        for (unsigned e = 0; e < matrix_elements(m); e++) {
            Element at = matrix_a(m, l, e);
            unsigned i = is_32 ? l % 32 : l % 16, k = is_32   ? 4 * (l / 32) + e
                                                      : is_16 ? 4 * (l / 16) + e
                                                              : e;
            if (at.row != i || at.column != k) wrong(m, "A is laid out otherwise");
        }
        for (unsigned g = 0; g < matrix_out_registers(m); g++) {
            Element at = matrix_d(m, l, g);
            unsigned i = is_32   ? 8 * (g / 4) + 4 * (l / 32) + g % 4
                         : is_16 ? 4 * (l / 16) + g
                                 : 2 * g + l / 16;
            unsigned j = is_32 ? l % 32 : l % 16;
            if (at.row != i || at.column != j) wrong(m, "D is laid out otherwise");
        }
    }
}

/* ---- products -------------------------------------------------------------------------------- */

typedef struct Numbers {
    double a[16][32][32], b[16][32][32], c[16][32][32]; /* [block][i][k], [k][j], [i][j] */
} Numbers;

static uint32_t encoded(uint8_t type, double x) {
    switch (type) {
    case MT_F32: return to_bits((float)x);
    case MT_F16: return half(x);
    case MT_BF16: return to_bits((float)x) >> 16; /* the numbers below need no rounding */
    case MT_I8: return (uint8_t)(int8_t)x;
    default: return (uint32_t)(int32_t)x;
    }
}

static double decoded(uint8_t type, uint32_t x) {
    switch (type) {
    case MT_F32: return (double)from_bits(x);
    case MT_F16: return half_value(x & 0xffff);
    case MT_BF16: return (double)from_bits(x << 16);
    default: return (double)(int32_t)x;
    }
}

static unsigned bits_of_type(uint8_t type) {
    return type == MT_I8 ? 8 : type == MT_F16 || type == MT_BF16 ? 16 : 32;
}

static void fill(Numbers *n, uint64_t *state, const Matrix *m) {
    bool is_int = m->in == MT_I8;
    for (unsigned block = 0; block < m->blocks; block++)
        for (unsigned i = 0; i < 32; i++)
            for (unsigned j = 0; j < 32; j++) {
                int p = (int)(any_bits(state) % 255) - 127, q = (int)(any_bits(state) % 255) - 127;
                n->a[block][i][j] = is_int ? p : p / 64.0;
                n->b[block][i][j] = is_int ? q : q / 64.0;
                n->c[block][i][j] = is_int ? (double)(int)(any_bits(state) % 100000)
                                           : (double)((int)(any_bits(state) % 65) - 32) / 4;
            }
}

/* Elements into registers: B as A, transposed. */
static void load(const Matrix *m, const Numbers *n, uint32_t a[32][MAX_LANES],
                 uint32_t b[32][MAX_LANES], uint32_t c[32][MAX_LANES]) {
    unsigned bits = bits_of_type(m->in), per = 32 / bits;
    memset(a, 0, 32 * sizeof *a);
    memset(b, 0, 32 * sizeof *b);
    for (unsigned lane = 0; lane < m->lanes; lane++) {
        for (unsigned e = 0; e < matrix_elements(m); e++) {
            Element at = matrix_a(m, lane, e);
            a[e / per][lane] |= encoded(m->in, n->a[at.block][at.row][at.column]) << e % per * bits;
            b[e / per][lane] |= encoded(m->in, n->b[at.block][at.column][at.row]) << e % per * bits;
        }
        for (unsigned g = 0; g < matrix_out_registers(m); g++) {
            Element at = matrix_d(m, lane, g);
            c[g][lane] = encoded(m->out, n->c[at.block][at.row][at.column]) |
                         (bits_of_type(m->out) == 16 ? 0xabcd0000 : 0);
        }
    }
}

static double product(const Matrix *m, const Numbers *n, Element at, bool adds) {
    double sum = adds ? n->c[at.block][at.row][at.column] : 0;
    for (unsigned k = 0; k < m->k; k++)
        sum += n->a[at.block][at.row][k] * n->b[at.block][k][at.column];
    return sum;
}

static void check_product(const Matrix *m, const Wave *w, const Numbers *n, unsigned first,
                          bool adds) {
    bool is_half = bits_of_type(m->out) == 16;
    for (unsigned lane = 0; lane < m->lanes; lane++)
        for (unsigned g = 0; g < matrix_out_registers(m); g++) {
            uint32_t x = w->v[first + g].u[lane];
            double want = product(m, n, matrix_d(m, lane, g), adds), got = decoded(m->out, x);
            double bar = m->out == MT_BF16  ? 0x1p-8 * fabs(want)
                         : m->out == MT_F16 ? 0x1p-11 * fabs(want)
                                            : 0;
            if (fabs(got - want) <= bar) { /* the sums are exact in floats */
                if (is_half && x >> 16 != 0xabcd) wrong(m, "the other half is touched");
                continue;
            }
            if (n_bad++ < 20)
                printf("%s: lane %u register %u: %g instead of %g\n", m->name, lane, g, got, want);
            return;
        }
}

static const char *range(char *to, char file, unsigned first, unsigned n) {
    if (n == 1)
        sprintf(to, "%c%u", file, first);
    else
        sprintf(to, "%c[%u:%u]", file, first, first + n - 1);
    return to;
}

/* Three forms: C in registers, C zero, and with accumulation registers on gfx942. */
static void write_form(char *to, const Matrix *m, unsigned form) {
    char d[24], a[24], b[24], c[24];
    unsigned in = matrix_in_registers(m), out = matrix_out_registers(m);
    char file = form == 2 ? 'a' : 'v';
    bool is_signed = strstr(m->name, "_iu") != NULL;
    range(a, 'v', 2, in);
    range(b, file, 40, in);
    range(d, file, 80, out);
    sprintf(to, "%s %s, %s, %s, %s%s", m->name, d, a, b, form == 1 ? "0" : range(c, file, 80, out),
            is_signed ? " neg_lo:[1,1,0]" : "");
}

static void test_form(Rig *rig, const Matrix *m, const char *symbol, unsigned form) {
    static uint32_t a[32][MAX_LANES], b[32][MAX_LANES], c[32][MAX_LANES];
    static Numbers n;
    uint64_t state = form + 5;
    const char *why;
    unsigned file = form == 2 ? FIRST_AGPR : 0;
    fill(&n, &state, m);
    load(m, &n, a, b, c);
    rig_set(rig, symbol, 1, 0, 0);
    Wave *w = rig_wave(rig);
    for (unsigned k = 0; k < matrix_in_registers(m); k++) {
        rig_vector(w, 2 + k, a[k]);
        rig_vector(w, file + 40 + k, b[k]);
    }
    for (unsigned k = 0; k < matrix_out_registers(m); k++) rig_vector(w, file + 80 + k, c[k]);
    rig_exec(w, w->full);
    if (!rig_run(rig, &why)) {
        printf("%s\n", why);
        n_bad++;
        return;
    }
    check_product(m, w, &n, file + 80, form != 1);
}

static void test(const char *processor, unsigned lanes) {
    char *text = calloc(1, 100000), *to = text;
    for (unsigned i = 0; matrices[i].name != NULL; i++)
        for (unsigned form = 0; form < 3; form++) {
            if (matrices[i].lanes != lanes || (lanes == 32 && form == 2)) continue;
            to += sprintf(to, ".globl m%u_%u\nm%u_%u:\n", i, form, i, form);
            write_form(to, &matrices[i], form);
            to += strlen(to);
            to += sprintf(to, "\ns_endpgm\n");
        }
    Rig *rig = rig_create(processor, text);
    for (unsigned i = 0; matrices[i].name != NULL; i++)
        for (unsigned form = 0; form < 3; form++) {
            char symbol[24];
            snprintf(symbol, sizeof symbol, "m%u_%u", i, form);
            if (matrices[i].lanes != lanes || (lanes == 32 && form == 2)) continue;
            test_form(rig, &matrices[i], symbol, form);
        }
    rig_free(rig);
    free(text);
}

int main(void) {
    for (const Matrix *m = matrices; m->name != NULL; m++) {
        check_bijection(m);
        check_formulas(m);
    }
    test("gfx942", 64);
    test("gfx1100", 32);
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
