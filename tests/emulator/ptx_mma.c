/* Matrix products of a warp: D = A*B + C with A 16x16, B 16x8, C and D 16x8. Products are exact or rounded once with
 * the sum they go to, k from the lowest up: the processors do not say in which order they add.
 *
 * Where a lane has what is said here as the PTX manual says it: a lane is one of eight groups of four threads. */
#include "numeric.h"
#include "ptx.h"

enum { M = 16, N = 8, K = 16, A_AT = 4, B_AT = 8, C_AT = 10 };

typedef struct Tiles {
    float a[M][K], b[K][N], c[M][N];
    uint32_t open_row, open_column; /* of A, of B: something of it is not known */
} Tiles;

/* Element e of A, of B and of C in a lane. */
static unsigned a_row(unsigned lane, unsigned e) {
    return lane / 4 + (e < 2 || (e >= 4 && e < 6) ? 0 : 8);
}
static unsigned a_column(unsigned lane, unsigned e) {
    return lane % 4 * 2 + (e & 1) + (e < 4 ? 0 : 8);
}
static unsigned b_row(unsigned lane, unsigned e) {
    return lane % 4 * 2 + (e & 1) + (e < 2 ? 0 : 8);
}
static unsigned b_column(unsigned lane) { return lane / 4; }
static unsigned c_row(unsigned lane, unsigned e) { return lane / 4 + (e < 2 ? 0 : 8); }
static unsigned c_column(unsigned lane, unsigned e) { return lane % 4 * 2 + (e & 1); }

/* Two elements a register, the lower one first. */
static inline float factor(uint32_t word, unsigned e, bool is_bfloat) {
    uint16_t bits = (uint16_t)(word >> (e & 1) * 16);
    return is_bfloat ? bfloat_to_float(bits) : half_to_float(bits);
}

static inline void gather_a(const PtxWarp *w, const PtxInst *in, bool is_bfloat, Tiles *t) {
    for (unsigned e = 0; e < 8; e++) {
        const PtxLanes *x = ptx_source(w, in->arg[A_AT + e / 2]);
        uint32_t open = ptx_unknown(w, in->arg[A_AT + e / 2]);
        for (unsigned lane = 0; lane < PTX_LANES; lane++)
            t->a[a_row(lane, e)][a_column(lane, e)] = factor(x->u[lane], e, is_bfloat);
        for (unsigned lane = 0; open != 0 && lane < PTX_LANES; lane++)
            t->open_row |= (open >> lane & 1) << a_row(lane, e);
    }
}

static inline void gather_b(const PtxWarp *w, const PtxInst *in, bool is_bfloat, Tiles *t) {
    for (unsigned e = 0; e < 4; e++) {
        const PtxLanes *x = ptx_source(w, in->arg[B_AT + e / 2]);
        uint32_t open = ptx_unknown(w, in->arg[B_AT + e / 2]);
        for (unsigned lane = 0; lane < PTX_LANES; lane++)
            t->b[b_row(lane, e)][b_column(lane)] = factor(x->u[lane], e, is_bfloat);
        for (unsigned lane = 0; open != 0 && lane < PTX_LANES; lane++)
            t->open_column |= (open >> lane & 1) << b_column(lane);
    }
}

static void gather_c(const PtxWarp *w, const PtxInst *in, Tiles *t) {
    for (unsigned e = 0; e < 4; e++) {
        const PtxLanes *x = ptx_source(w, in->arg[C_AT + e]);
        for (unsigned lane = 0; lane < PTX_LANES; lane++)
            t->c[c_row(lane, e)][c_column(lane, e)] = x->f[lane];
    }
}

/* The lanes whose element e of D is not known: something of its row, its column or of C is not. */
static uint32_t open_of(const PtxWarp *w, const PtxInst *in, const Tiles *t, unsigned e) {
    uint32_t open = ptx_unknown(w, in->arg[C_AT + e]);
    if ((t->open_row | t->open_column) == 0) return open;
    for (unsigned lane = 0; lane < PTX_LANES; lane++)
        open |= ((t->open_row >> c_row(lane, e) | t->open_column >> c_column(lane, e)) & 1u)
                << lane;
    return open;
}

/* Sums of different rows do not wait for each other. */
static void multiply(Tiles *t) {
    for (size_t k = 0; k < K; k++)
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) t->c[i][j] = fmaf(t->a[i][k], t->b[k][j], t->c[i][j]);
}

void ptx_mma(PtxWarp *w, const PtxInst *in) {
    if (w->all != UINT32_MAX || w->ended != 0) {
        ptx_fault(w, in, -1, "lanes 0x%08x of the warp have ended or were never there",
                  ~w->all | w->ended);
        return;
    }
    if (!ptx_together(w, in, UINT32_MAX)) return;
    Tiles t;
    t.open_row = t.open_column = 0;
    if (strstr(in->op->name, ".bf16") != NULL) {
        gather_a(w, in, true, &t);
        gather_b(w, in, true, &t);
    } else {
        gather_a(w, in, false, &t);
        gather_b(w, in, false, &t);
    }
    gather_c(w, in, &t);
    multiply(&t);
    uint32_t open[4]; /* a destination may be a source of the next one */
    for (unsigned e = 0; e < 4; e++) open[e] = open_of(w, in, &t, e);
    for (unsigned e = 0; e < 4; e++) {
        PtxLanes x;
        for (unsigned lane = 0; lane < PTX_LANES; lane++) {
            float y = t.c[c_row(lane, e)][c_column(lane, e)];
            x.u[lane] = is_nan(y) ? 0x7fffffffu : bits_of(y);
        }
        ptx_set(w, in->arg[e], false, &x, open[e]);
    }
    w->common->worker->total.matrix_flops += 2 * M * N * K;
    ptx_part(w);
}
