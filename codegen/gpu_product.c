/* Products of pieces in local memory by fused multiply-adds: 16 x 16 threads, each with squares of sums. */
#include "gpu_contract.h"

enum { SIDE = 16, UNROLL = 4 };

typedef struct Square {       /* of one thread, along one side */
    uint32_t n, groups, each; /* n points in groups of `each` neighbours, the groups far apart */
} Square;

static Square side(uint32_t points) {
    Square q = {.n = points / SIDE};
    q.each = q.n < 4 ? q.n : 4;
    q.groups = q.n / q.each;
    return q;
}

static LLVMTypeRef vector(LLVMTypeRef t, uint32_t n) { return n == 1 ? t : LLVMVectorType(t, n); }

/* This thread's number along the rows and the columns. */
static V thread_row(Emit *e) { return LLVMBuildUDiv(e->b, e->gpu->thread, n32(e, SIDE), ""); }
static V thread_col(Emit *e) { return LLVMBuildAnd(e->b, e->gpu->thread, n32(e, SIDE - 1), ""); }

/* First point of group g of the thread at i. */
static V point_of(Emit *e, const Square *q, V i, uint32_t g) {
    V at = LLVMBuildMul(e->b, i, n32(e, q->each), "");
    return add32(e, at, (uint64_t)g * SIDE * q->each);
}

void product_begin(GpuContract *c) {
    Emit *e = c->e;
    c->sum_type = vector(e->f32, side(c->t.cols).each);
    for (uint32_t i = 0; i < side(c->t.rows).n * side(c->t.cols).groups; i++)
        c->sum[i] = emit_var(e, c->sum_type, LLVMConstNull(c->sum_type));
}

static V piece(Emit *e, const Stage *s, const Square *q, V i, uint32_t g, V term) {
    V at = LLVMBuildMul(e->b, term, n32(e, s->line), "");
    at = LLVMBuildAdd(e->b, at, point_of(e, q, i, g), "");
    V x = LLVMBuildLoad2(e->b, vector(e->f32, q->each),
                         LLVMBuildGEP2(e->b, e->f32, s->to, &at, 1, ""), "");
    LLVMSetAlignment(x, 4 * q->each);
    return x;
}

static void one_term(GpuContract *c, V term) {
    Emit *e = c->e;
    Square r = side(c->t.rows), l = side(c->t.cols);
    V b[8];
    for (uint32_t g = 0; g < l.groups; g++) b[g] = piece(e, &c->cols, &l, thread_col(e), g, term);
    for (uint32_t g = 0; g < r.groups; g++) {
        V a = piece(e, &c->rows, &r, thread_row(e), g, term);
        for (uint32_t i = 0; i < r.each; i++) {
            V x = r.each == 1 ? a : LLVMBuildExtractElement(e->b, a, n32(e, i), "");
            x = emit_splat(e, l.each, x);
            for (uint32_t h = 0; h < l.groups; h++) {
                V sum = c->sum[(g * r.each + i) * l.groups + h];
                emit_set(e, sum, k_fma(e, x, b[h], emit_get(e, c->sum_type, sum)));
            }
        }
    }
}

void product_add(GpuContract *c) {
    Emit *e = c->e;
    Loop l = loop_begin(e, emit_const(e, 0), emit_const(e, c->t.terms), UNROLL);
    for (uint32_t i = 0; i < UNROLL; i++) one_term(c, add32(e, narrow(e, l.i), i));
    loop_end(e, &l);
}

void product_out(GpuContract *c, V pass, V to) {
    Emit *e = c->e;
    Square r = side(c->t.rows), l = side(c->t.cols);
    V from = LLVMBuildMul(e->b, pass, n32(e, c->t.pass), "");
    for (uint32_t g = 0; g < r.groups; g++) {
        V row = LLVMBuildSub(e->b, point_of(e, &r, thread_row(e), g), from, "");
        If mine = if_begin(e, below(e, row, n32(e, c->t.pass)));
        for (uint32_t i = 0; i < r.each; i++)
            for (uint32_t h = 0; h < l.groups; h++) {
                V at = LLVMBuildMul(e->b, add32(e, row, i), n32(e, c->t.cols + 4), "");
                at = LLVMBuildAdd(e->b, at, point_of(e, &l, thread_col(e), h), "");
                V x = emit_get(e, c->sum_type, c->sum[(g * r.each + i) * l.groups + h]);
                V s = LLVMBuildStore(e->b, x, LLVMBuildGEP2(e->b, e->f32, to, &at, 1, ""));
                LLVMSetAlignment(s, 4 * l.each);
            }
        if_end(e, &mine);
    }
}
