/* MFMA (gfx942) and WMMA (gfx11). Products are exact or rounded once with the sum they go to, k from
 * the lowest up: the processors do not say in which order they add. */
#include "matrix.h"
#include "numeric.h"
#include "ops.h"
#include "wave.h"

enum { MAX_M = 32, MAX_BLOCKS = 16, MAX_WORDS = 32 };

#define MATRIX(label, size, depth, count, width, from, to)                                         \
    {#label, size, size, depth, count, width, MT_##from, MT_##to},
const Matrix matrices[] = {
#include "matrix.def"
    {.name = NULL}};
#undef MATRIX

static unsigned bytes_of(uint8_t type) {
    return type == MT_F32 || type == MT_I32 ? 4 : type == MT_I8 ? 1 : 2;
}

static bool is_small(uint8_t type) { return type == MT_F16 || type == MT_BF16; }

unsigned matrix_elements(const Matrix *m) {
    if (m->lanes == 32) return m->k;
    return (unsigned)m->m * m->k * m->blocks / 64;
}

unsigned matrix_in_registers(const Matrix *m) { return matrix_elements(m) * bytes_of(m->in) / 4; }
unsigned matrix_out_registers(const Matrix *m) {
    return (unsigned)m->m * m->n * m->blocks / m->lanes;
}

Element matrix_a(const Matrix *m, unsigned lane, unsigned e) {
    unsigned rest = lane / m->m;
    if (m->lanes == 32) return (Element){0, lane % 16, e};
    if (m->blocks > 1) return (Element){rest, lane % m->m, e};
    return (Element){0, lane % m->m, rest * matrix_elements(m) + e};
}

/* Rows come in fours; with 32 of them the halves of the wave take turns. */
Element matrix_d(const Matrix *m, unsigned lane, unsigned g) {
    unsigned rest = lane / m->n, column = lane % m->n;
    if (m->lanes == 32) return (Element){0, 2 * g + rest, column};
    if (m->n == 4) return (Element){rest, g, column};
    if (m->n == 16) return (Element){g / 4, 4 * rest + g % 4, column};
    return (Element){g / 16, 8 * (g % 16 / 4) + 4 * rest + g % 4, column};
}

/* ---- operands -------------------------------------------------------------------------------- */

enum { MAX_INPUT = 512, MAX_OUTPUT = 2048 };

/* All with the index that follows the lanes last, so that lanes are copied in runs. */
typedef struct Tiles {
    float a[MAX_INPUT]; /* [block][k][row] */
    float b[MAX_INPUT]; /* [block][k][column] */
    union {
        float f[MAX_OUTPUT]; /* [block][row][column] */
        int32_t i[MAX_OUTPUT];
    } c;
} Tiles;

/* Element e of all lanes. */
static void element(const Wave *w, unsigned reg, const Matrix *m, bool is_signed, unsigned e,
                    Lanes *out) {
    unsigned bytes = bytes_of(m->in), per = 4 / bytes, shift = 8 * bytes * (e % per);
    const uint32_t *x = w->v[reg + e / per].u;
    const size_t n = m->lanes;
    switch (m->in) {
    case MT_F16:
        for (size_t i = 0; i < n; i++) out->f[i] = half_to_float((uint16_t)(x[i] >> shift));
        break;
    case MT_BF16:
        for (size_t i = 0; i < n; i++) out->u[i] = x[i] >> shift << 16;
        break;
    case MT_I8:
        for (size_t i = 0; i < n; i++) {
            uint8_t byte = (uint8_t)(x[i] >> shift);
            out->f[i] = is_signed ? (float)(int8_t)byte : (float)byte;
        }
        break;
    default: memcpy(out->u, x, n * sizeof *x);
    }
}

static void load_input(const Wave *w, const Inst *in, const Matrix *m, unsigned source, float *to) {
    bool is_signed = m->lanes == 64 || (in->mod.neg_lo >> source & 1);
    unsigned used = m->lanes == 32 ? 16 : 64; /* the others repeat them */
    for (unsigned e = 0; e < matrix_elements(m); e++) {
        Lanes x;
        element(w, in->src[source].reg, m, is_signed, e, &x);
        for (unsigned first = 0; first < used; first += m->m) {
            Element at = matrix_a(m, first, e);
            memcpy(to + (at.block * m->k + at.column) * m->m, x.f + first, m->m * sizeof *to);
        }
    }
}

static unsigned half_shift(const Inst *in) { return in->mod.op_sel & 4 ? 16 : 0; }

static void load_sums(const Wave *w, const Inst *in, const Matrix *m, Tiles *t) {
    const Slot *c = &in->src[2];
    for (unsigned g = 0; g < matrix_out_registers(m); g++) {
        Lanes x;
        for (size_t i = 0; i < m->lanes; i++) {
            uint32_t u = c->kind == O_VECTOR ? w->v[c->reg + g].u[i] : (uint32_t)c->bits;
            if (m->out == MT_F16) u = bits_of(half_to_float((uint16_t)(u >> half_shift(in))));
            if (m->out == MT_BF16) u = u >> half_shift(in) << 16;
            x.u[i] = u;
        }
        for (unsigned first = 0; first < m->lanes; first += m->n) {
            Element at = matrix_d(m, first, g);
            memcpy(t->c.f + (at.block * m->m + at.row) * m->n, x.f + first, m->n * sizeof *x.f);
        }
    }
}

static void store_sums(Wave *w, const Inst *in, const Matrix *m, const Tiles *t,
                       const Lanes *open) {
    for (unsigned g = 0; g < matrix_out_registers(m); g++) {
        Lanes x;
        unsigned reg = in->dst[0].reg + g;
        for (unsigned first = 0; first < m->lanes; first += m->n) {
            Element at = matrix_d(m, first, g);
            memcpy(x.f + first, t->c.f + (at.block * m->m + at.row) * m->n, m->n * sizeof *x.f);
        }
        for (size_t i = 0; i < m->lanes && is_small(m->out); i++) {
            uint32_t part = m->out == MT_F16 ? float_to_half(x.f[i]) : float_to_bfloat(x.f[i]);
            x.u[i] = (w->v[reg].u[i] & ~(0xffffu << half_shift(in))) | part << half_shift(in);
        }
        vector_set(w, in, reg, &x, open == NULL ? NULL : &open[g], w->full);
    }
}

/* ---- products -------------------------------------------------------------------------------- */

/* n is a constant where this is called, so that a row of sums stays in vector registers. */
static inline void multiply(const float *restrict a, const float *restrict b, float *restrict c,
                            size_t n, size_t depth) {
    for (size_t i = 0; i < n; i++) {
        float sums[32];
        memcpy(sums, c + i * n, n * sizeof *c);
        for (size_t k = 0; k < depth; k++) {
            float x = a[k * n + i];
            for (size_t j = 0; j < n; j++) sums[j] = fmaf(x, b[k * n + j], sums[j]);
        }
        memcpy(c + i * n, sums, n * sizeof *c);
    }
}

static void multiply_floats(const Matrix *m, Tiles *t) {
    for (size_t block = 0; block < m->blocks; block++) {
        const float *a = t->a + block * m->m * m->k, *b = t->b + block * m->k * m->n;
        float *c = t->c.f + block * m->m * m->n;
        if (m->n == 32)
            multiply(a, b, c, 32, m->k);
        else if (m->n == 16)
            multiply(a, b, c, 16, m->k);
        else
            multiply(a, b, c, 4, m->k);
    }
}

static void multiply_ints(const Inst *in, const Matrix *m, Tiles *t) {
    for (size_t i = 0; i < m->m; i++)
        for (size_t j = 0; j < m->n; j++) {
            int64_t sum = t->c.i[i * m->n + j];
            for (size_t k = 0; k < m->k; k++)
                sum += (int32_t)t->a[k * m->m + i] * (int32_t)t->b[k * m->n + j];
            t->c.i[i * m->n + j] = in->mod.clamp ? clamp_int(sum, INT32_MIN, INT32_MAX)
                                                 : (int32_t)(uint32_t)(uint64_t)sum;
        }
}

/* ---- what is not known ----------------------------------------------------------------------- */

static bool any_unknown(const Wave *w, unsigned reg, unsigned count, unsigned lane) {
    for (unsigned k = 0; k < count; k++)
        if (unknown_of(w, reg + k, lane) != 0) return true;
    return false;
}

/* A row of A or a column of B spoils its row or column of D. Of 16-bit results the other half of the
 * register is as known as before. */
static void find_unknown(const Wave *w, const Inst *in, const Matrix *m, Lanes *open) {
    bool rows[MAX_BLOCKS][MAX_M] = {{false}}, columns[MAX_BLOCKS][MAX_M] = {{false}};
    unsigned n = matrix_in_registers(m);
    uint32_t part = is_small(m->out) ? 0xffffu << half_shift(in) : ~0u;
    const Slot *c = &in->src[2];
    for (unsigned lane = 0; lane < m->lanes; lane++) {
        Element at = matrix_a(m, lane, 0);
        if (any_unknown(w, in->src[0].reg, n, lane)) rows[at.block][at.row] = true;
        if (any_unknown(w, in->src[1].reg, n, lane)) columns[at.block][at.row] = true;
    }
    for (unsigned g = 0; g < matrix_out_registers(m); g++)
        for (unsigned lane = 0; lane < m->lanes; lane++) {
            Element at = matrix_d(m, lane, g);
            bool bad = rows[at.block][at.row] || columns[at.block][at.column];
            bad |= c->kind == O_VECTOR && (unknown_of(w, c->reg + g, lane) & part) != 0;
            open[g].u[lane] = (bad ? part : 0) | (unknown_of(w, in->dst[0].reg + g, lane) & ~part);
        }
}

/* ---- the instructions ------------------------------------------------------------------------ */

static bool may_run(Wave *w, const Inst *in, const Matrix *m, bool *is_open) {
    *is_open = vectors_doubtful(w, in) != 0 || is_small(m->out);
    if (w->stop == FAULTED) return false;
    if (!w->is_full) {
        wave_fault(w, in, -1, "a matrix instruction while lanes are switched off");
        return false;
    }
    if (m->lanes == 64) return true;
    for (unsigned s = 0; s < 2; s++)
        for (unsigned k = 0; k < matrix_in_registers(m); k++) {
            const uint32_t *x = w->v[in->src[s].reg + k].u;
            if (memcmp(x, x + 16, 16 * sizeof *x) == 0) continue;
            wave_fault(w, in, -1, "lanes 16 to 31 of v%u differ from lanes 0 to 15",
                       in->src[s].reg + k);
            return false;
        }
    return true;
}

static void exec_matrix(Wave *w, const Inst *in) {
    const Matrix *m = &matrices[in->op->row];
    Tiles t;
    Lanes open[MAX_WORDS];
    bool is_open;
    if (!may_run(w, in, m, &is_open)) return;
    load_input(w, in, m, 0, t.a);
    load_input(w, in, m, 1, t.b);
    load_sums(w, in, m, &t);
    if (m->out == MT_I32)
        multiply_ints(in, m, &t);
    else
        multiply_floats(m, &t);
    if (is_open) find_unknown(w, in, m, open);
    store_sums(w, in, m, &t, is_open ? open : NULL);
    w->group->worker->total.matrix_flops += 2u * m->m * m->n * m->k * m->blocks;
}

#define MATRIX(label, size, depth, count, width, from, to) ROW_##label,
enum Row {
#include "matrix.def"
};
#undef MATRIX

#define MATRIX(label, size, depth, count, width, from, to)                                         \
    {.name = #label, .types = "", .kind = K_MATRIX, .row = ROW_##label, .exec = exec_matrix},
const Op ops_matrix[] = {
#include "matrix.def"
    {.name = NULL}};
