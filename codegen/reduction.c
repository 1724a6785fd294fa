/* Reductions: what they start from and how two partial results become one, the same for every schedule. */
#include "nest.h"

V red_start(Emit *e, Red red, bool ints) {
    if (ints) {
        int64_t n = red == RED_SUM    ? 0
                    : red == RED_PROD ? 1
                    : red == RED_MIN  ? INT64_MAX
                                      : INT64_MIN;
        return emit_const(e, n);
    }
    double inf = 1e300 * 1e300;
    return LLVMConstReal(e->f32, red == RED_SUM    ? 0
                                 : red == RED_PROD ? 1
                                 : red == RED_MIN  ? inf
                                                   : -inf);
}

V red_better(Emit *e, Red red, V a, V b, bool ints) {
    bool min = red == RED_MIN;
    if (ints) return LLVMBuildICmp(e->b, min ? LLVMIntSLT : LLVMIntSGT, b, a, "");
    V more = LLVMBuildFCmp(e->b, min ? LLVMRealOLT : LLVMRealOGT, b, a, "");
    V none = LLVMBuildFCmp(e->b, LLVMRealUNO, b, b, ""),
      had = LLVMBuildFCmp(e->b, LLVMRealORD, a, a, "");
    return LLVMBuildOr(e->b, more, LLVMBuildAnd(e->b, none, had, ""), "");
}

V red_combine(Emit *e, Red red, V a, V b, bool ints) {
    if (red == RED_SUM) return ints ? LLVMBuildAdd(e->b, a, b, "") : LLVMBuildFAdd(e->b, a, b, "");
    if (red == RED_PROD) return ints ? LLVMBuildMul(e->b, a, b, "") : LLVMBuildFMul(e->b, a, b, "");
    return LLVMBuildSelect(e->b, red_better(e, red, a, b, ints), b, a, "");
}

void red_places(Emit *e, bool ints, V *a, V *ia, V b, V ib) {
    V take = red_better(e, RED_MAX, *a, b, ints), back = red_better(e, RED_MAX, b, *a, ints);
    V equal = LLVMBuildNot(e->b, LLVMBuildOr(e->b, take, back, ""), "");
    V first = LLVMBuildICmp(e->b, LLVMIntSLT, ib, *ia, "");
    take = LLVMBuildOr(e->b, take, LLVMBuildAnd(e->b, equal, first, ""), "");
    *a = LLVMBuildSelect(e->b, take, b, *a, "");
    *ia = LLVMBuildSelect(e->b, take, ib, *ia, "");
}

V red_number(Emit *e, At *at, const Node *n, uint32_t rank) {
    Val number = val_const(e, 0);
    for (uint32_t k = 0; k < n->n_extra; k++) {
        number = val_mul(e, at, number, val_int(emit_size(e, n->extra[k])));
        number = val_add(e, at, number, at->idx[rank + k]);
    }
    return emit_int_vec(e, at, number);
}
