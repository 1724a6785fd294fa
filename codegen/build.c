/* Small pieces of code: sizes, loops, registers, intrinsics, what memory an access touches. */
#include <string.h>

#include "gpu.h"

LLVMBasicBlockRef emit_entry_begin(Emit *e) {
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    LLVMPositionBuilderBefore(e->b, LLVMGetBasicBlockTerminator(e->entry));
    return back;
}

void emit_entry_end(Emit *e, LLVMBasicBlockRef back) { LLVMPositionBuilderAtEnd(e->b, back); }

V emit_const(Emit *e, int64_t n) { return LLVMConstInt(e->i64, (uint64_t)n, true); }
V emit_f32(Emit *e, double x) { return LLVMConstReal(e->f32, (double)(float)x); }

static uint32_t size_slot(Emit *e, Size s) {
    for (uint32_t i = 0; i < e->code->sizes.n; i++)
        if (e->code->sizes.data[i] == s) return i;
    *PUSH(e->arena, &e->code->sizes) = s;
    *PUSH(e->arena, &e->size_loads) = NULL;
    return e->code->sizes.n - 1;
}

/* Is s how many members a family has that an argument is whole? */
static bool counts_members(const Emit *e, Size s) {
    for (uint32_t i = 0; i < e->k->arg_values.n; i++) {
        BufId id = e->p->buf_of[e->k->arg_values.data[i]];
        if (id == UINT32_MAX) continue;
        const PlanBuf *b = &e->p->bufs.data[id];
        for (uint32_t a = e->k->arg_family.data[i]; a < b->family; a++)
            if (b->dims[a] == s) return true;
    }
    return false;
}

bool emit_known(Emit *e, Size s, int64_t *n) {
    s = size_ground(e->g->sizes, s);
    return size_is_num(e->g->sizes, s, n) && !counts_members(e, s);
}

V emit_size(Emit *e, Size s) {
    int64_t n;
    s = size_ground(e->g->sizes, s);
    if (emit_known(e, s, &n)) return emit_const(e, n);
    uint32_t at = size_slot(e, s);
    if (e->size_loads.data[at]) return e->size_loads.data[at];
    if (e->gpu) return e->size_loads.data[at] = gpu_size_param(e);
    LLVMBasicBlockRef back = emit_entry_begin(e);
    V index = emit_const(e, at);
    V from = LLVMBuildGEP2(e->b, e->i64, e->sizes_p, &index, 1, "");
    e->size_loads.data[at] = LLVMBuildLoad2(e->b, e->i64, from, "n");
    emit_entry_end(e, back);
    return e->size_loads.data[at];
}

V emit_splat(Emit *e, uint32_t width, V scalar) {
    if (width == 1) return scalar;
    LLVMTypeRef t = LLVMTypeOf(scalar), vt = LLVMVectorType(t, width);
    V one =
        LLVMBuildInsertElement(e->b, LLVMGetPoison(vt), scalar, LLVMConstInt(e->i32, 0, false), "");
    return LLVMBuildShuffleVector(e->b, one, LLVMGetPoison(vt),
                                  LLVMConstNull(LLVMVectorType(e->i32, width)), "");
}

/* ---- loops and registers ----------------------------------------------------------------------- */

Loop loop_begin(Emit *e, V from, V to, int64_t step) {
    Loop l = {0};
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
    l.head = LLVMAppendBasicBlockInContext(e->c, e->fn, "for");
    l.body = LLVMAppendBasicBlockInContext(e->c, e->fn, "do");
    l.after = LLVMAppendBasicBlockInContext(e->c, e->fn, "done");
    LLVMBuildBr(e->b, l.head);
    LLVMPositionBuilderAtEnd(e->b, l.head);
    l.i = LLVMBuildPhi(e->b, e->i64, "i");
    LLVMAddIncoming(l.i, &from, &before, 1);
    LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, l.i, to, ""), l.body, l.after);
    LLVMPositionBuilderAtEnd(e->b, l.body);
    l.step = emit_const(e, step);
    emit_fresh(e);
    return l;
}

void loop_end(Emit *e, Loop *l) {
    V next = LLVMBuildNSWAdd(e->b, l->i, l->step, "");
    LLVMBasicBlockRef from = LLVMGetInsertBlock(e->b);
    LLVMAddIncoming(l->i, &next, &from, 1);
    LLVMBuildBr(e->b, l->head);
    LLVMPositionBuilderAtEnd(e->b, l->after);
    emit_fresh(e);
}

V emit_var(Emit *e, LLVMTypeRef t, V init) {
    LLVMBasicBlockRef back = emit_entry_begin(e);
    LLVMPositionBuilderBefore(e->b, LLVMGetFirstInstruction(e->entry));
    V var = LLVMBuildAlloca(e->b, t, "");
    emit_entry_end(e, back);
    if (init) LLVMBuildStore(e->b, init, var);
    return var;
}

V emit_get(Emit *e, LLVMTypeRef t, V var) { return LLVMBuildLoad2(e->b, t, var, ""); }
void emit_set(Emit *e, V var, V value) { LLVMBuildStore(e->b, value, var); }

V emit_intrinsic(Emit *e, const char *name, LLVMTypeRef *over, uint32_t n_over, V *args,
                 uint32_t n) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    V f = LLVMGetIntrinsicDeclaration(e->m, id, over, n_over);
    return LLVMBuildCall2(e->b, LLVMIntrinsicGetType(e->c, id, over, n_over), f, args, n, "");
}

/* ---- what GPUs do in ways of their own ----------------------------------------------------------- */

static V by_element(Emit *e, const char *name, V x, V y) {
    LLVMTypeRef t = LLVMTypeOf(x);
    V args[2] = {x, y};
    uint32_t n = y ? 2 : 1;
    if (LLVMGetTypeKind(t) != LLVMVectorTypeKind) return gpu_call(e, name, args, n);
    V all = LLVMGetPoison(t);
    for (uint32_t i = 0; i < LLVMGetVectorSize(t); i++) {
        V at = LLVMConstInt(e->i32, i, false);
        args[0] = LLVMBuildExtractElement(e->b, x, at, "");
        if (y) args[1] = LLVMBuildExtractElement(e->b, y, at, "");
        all = LLVMBuildInsertElement(e->b, all, gpu_call(e, name, args, n), at, "");
    }
    return all;
}

V emit_quotient(Emit *e, V x, V y) {
    return e->gpu ? by_element(e, "rwkvc.divide", x, y) : LLVMBuildFDiv(e->b, x, y, "");
}

V emit_root(Emit *e, V x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    return e->gpu ? by_element(e, "rwkvc.sqrt", x, NULL)
                  : emit_intrinsic(e, "llvm.sqrt", &t, 1, &x, 1);
}

/* ---- memory -------------------------------------------------------------------------------------- */

void emit_scoped(Emit *e, V access, uint32_t scope) {
    Access *a = PUSH(e->arena, &e->accesses);
    a->inst = access;
    a->scope = scope;
    if (scope >= e->n_scopes) e->n_scopes = scope + 1;
}

static LLVMMetadataRef text_md(Emit *e, const char *s) {
    return LLVMMDStringInContext2(e->c, s, strlen(s));
}

/* Tells LLVM that different scopes are different memory. */
void emit_scopes_done(Emit *e) {
    uint32_t n = e->n_scopes;
    LLVMMetadataRef name = text_md(e, "kernel"), domain = LLVMMDNodeInContext2(e->c, &name, 1);
    LLVMMetadataRef *scope = NEWN(e->arena, LLVMMetadataRef, n + 1),
                    *rest = NEWN(e->arena, LLVMMetadataRef, n + 1);
    V *is = NEWN(e->arena, V, n + 1), *is_not = NEWN(e->arena, V, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        LLVMMetadataRef parts[2] = {text_md(e, arena_printf(e->arena, "m%u", i)), domain};
        scope[i] = LLVMMDNodeInContext2(e->c, parts, 2);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;
        for (uint32_t j = 0; j < n; j++)
            if (j != i) rest[k++] = scope[j];
        is[i] = LLVMMetadataAsValue(e->c, LLVMMDNodeInContext2(e->c, &scope[i], 1));
        is_not[i] = LLVMMetadataAsValue(e->c, LLVMMDNodeInContext2(e->c, rest, k));
    }
    unsigned a = LLVMGetMDKindIDInContext(e->c, "alias.scope", 11),
             b = LLVMGetMDKindIDInContext(e->c, "noalias", 7);
    for (uint32_t i = 0; i < e->accesses.n; i++) {
        LLVMSetMetadata(e->accesses.data[i].inst, a, is[e->accesses.data[i].scope]);
        if (n > 1) LLVMSetMetadata(e->accesses.data[i].inst, b, is_not[e->accesses.data[i].scope]);
    }
}
