/* Kernels that do nothing but multiply and add, with the instructions that products of the target are made
 * with: what a program's products can reach at most is measured with the very code that they consist of.
 *
 *   void rate_NUMBER(float *out, int64_t turns)
 *
 * Each wave goes through so many turns. Its sums do not depend on each other, as many as hide how long an
 * instruction takes, and a turn has enough of them that the loop costs nothing. */
#include "emit_impl.h"
#include "gpu_contract.h"

enum { RATE_BLOCK = 256, SUMS_MATRIX = 4, SUMS_SINGLE = 16, IN_TURN = 8 };

typedef struct Rate {
    Emit *e;
    const MmaUnit *u; /* NULL: multiply-adds of single numbers */
    LLVMTypeRef type; /* of a sum */
    uint32_t n;
    V a, b, sum[SUMS_SINGLE];
} Rate;

/* Numbers near 1 that are not known when this is compiled; lanes that a unit wants to be alike are. */
static V operand(Rate *r, const char *text, uint32_t bits) {
    Emit *e = r->e;
    V lane = LLVMBuildAnd(e->b, e->gpu->thread, n32(e, 15), "");
    V word = LLVMBuildOr(e->b, lane, n32(e, bits), "");
    if (!r->u || r->u->number == DT_F32) return LLVMBuildBitCast(e->b, word, e->f32, "");
    MmaLayout l;
    mma_layout(text, &l);
    word = LLVMBuildOr(e->b, word, LLVMBuildShl(e->b, word, n32(e, 16), ""), "");
    V words = emit_splat(e, (1u << l.n_elem) / 2, word);
    return LLVMBuildBitCast(e->b, words, LLVMVectorType(e->i16, 1u << l.n_elem), "");
}

static void begin(Rate *r) {
    Emit *e = r->e;
    bool half = r->u && r->u->number == DT_BF16;
    r->n = r->u ? SUMS_MATRIX : SUMS_SINGLE;
    r->type = r->u ? mma_sum_type(e, r->u) : e->f32;
    r->a = operand(r, r->u ? r->u->a : "", half ? 0x3f00 : 0x3f000000);
    r->b = operand(r, r->u ? r->u->b : "", half ? 0x3e80 : 0x3e800000);
    for (uint32_t i = 0; i < r->n; i++) {
        V first = emit_f32(e, 1.0 + i); /* equal ones would be computed once */
        uint32_t held = r->u ? LLVMGetVectorSize(r->type) : 1;
        r->sum[i] = emit_var(e, r->type, emit_splat(e, held, first));
    }
}

static void turn(Rate *r) {
    Emit *e = r->e;
    for (uint32_t k = 0; k < IN_TURN * r->n; k++) {
        V to = r->sum[k % r->n], x = emit_get(e, r->type, to), args[3] = {r->a, r->b, x};
        emit_set(e, to,
                 r->u ? mma_once(e, r->u, r->a, r->b, x)
                      : emit_intrinsic(e, "llvm.fma", &e->f32, 1, args, 3));
    }
}

/* The sums are wanted where their total is a number it never is: they have to be computed. */
static void end(Rate *r, V out) {
    Emit *e = r->e;
    V all = emit_f32(e, 0);
    for (uint32_t i = 0; i < r->n; i++) {
        V x = emit_get(e, r->type, r->sum[i]);
        for (uint32_t k = 0; r->u && k < LLVMGetVectorSize(r->type); k++)
            all = LLVMBuildFAdd(e->b, all, LLVMBuildExtractElement(e->b, x, n32(e, k), ""), "");
        if (!r->u) all = LLVMBuildFAdd(e->b, all, x, "");
    }
    If never = if_begin(e, LLVMBuildFCmp(e->b, LLVMRealOEQ, all, emit_f32(e, -1), ""));
    LLVMSetAlignment(LLVMBuildStore(e->b, all, out), 4);
    if_end(e, &never);
    LLVMBuildRetVoid(e->b);
}

static void body(Rate *r, V turns) {
    Emit *e = r->e;
    begin(r);
    V counter = emit_var(e, e->i64, emit_const(e, 0));
    LLVMBasicBlockRef again = LLVMAppendBasicBlockInContext(e->c, e->fn, "turn"),
                      after = LLVMAppendBasicBlockInContext(e->c, e->fn, "done");
    LLVMBuildBr(e->b, again);
    LLVMPositionBuilderAtEnd(e->b, again);
    turn(r);
    V next = LLVMBuildAdd(e->b, emit_get(e, e->i64, counter), emit_const(e, 1), "");
    emit_set(e, counter, next);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, turns, ""), again, after);
    LLVMPositionBuilderAtEnd(e->b, after);
}

bool gpu_rate(Emit *e, RateCode *code) {
    const TargetInfo *t = e->gpu->t;
    const MmaUnit *u = mma_find(t, code->number, 32, 32);
    if (!u && code->number != DT_F32) return false; /* such products are made of f32 */
    code->block = e->gpu->block = RATE_BLOCK;
    LLVMTypeRef types[2] = {LLVMPointerTypeInContext(e->c, 1), e->i64};
    e->fn = gpu_function(e, code->symbol, types, 2);
    e->entry = LLVMAppendBasicBlockInContext(e->c, e->fn, "entry");
    LLVMBasicBlockRef first = LLVMAppendBasicBlockInContext(e->c, e->fn, "body");
    LLVMPositionBuilderAtEnd(e->b, e->entry);
    e->gpu->thread = gpu_call(e, "rwkvc.thread", NULL, 0);
    LLVMBuildBr(e->b, first);
    LLVMPositionBuilderAtEnd(e->b, first);
    Rate r = {.e = e, .u = u};
    body(&r, LLVMGetParam(e->fn, 1));
    end(&r, LLVMGetParam(e->fn, 0));
    int64_t of_wave = u ? 2 * u->m * u->n * u->k : 2 * (int64_t)t->wave;
    code->operations = of_wave * r.n * IN_TURN * (RATE_BLOCK / t->wave);
    return true;
}
