/* Short hands of the matrix-product schedule: shared functions of a module, branches, vector memory. */
#include "contract.h"

#include <string.h>

void fun_no_calls(Emit *e, V fn) {
    const char *key = "no-builtins";
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->c, key, (unsigned)strlen(key), "", 0);
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

bool fun_begin(Emit *e, Emit *h, Fun *f, const char *name, const LLVMTypeRef *params, uint32_t n,
               LLVMBasicBlockRef *back) {
    LLVMTypeRef copy[16];
    memcpy(copy, params, n * sizeof *params);
    f->type = LLVMFunctionType(LLVMVoidTypeInContext(e->c), copy, n, false);
    f->fn = LLVMGetNamedFunction(e->m, name);
    if (f->fn) return true;
    f->fn = LLVMAddFunction(e->m, name, f->type);
    LLVMSetLinkage(f->fn, LLVMInternalLinkage);
    static const char *const attributes[] = {"nounwind", "noinline"};
    for (uint32_t i = 0; i < 2; i++) {
        unsigned kind = LLVMGetEnumAttributeKindForName(attributes[i], strlen(attributes[i]));
        LLVMAddAttributeAtIndex(f->fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                LLVMCreateEnumAttribute(e->c, kind, 0));
    }
    fun_no_calls(e, f->fn);
    *back = LLVMGetInsertBlock(e->b);
    *h = *e;
    h->fn = f->fn;
    h->entry = LLVMAppendBasicBlockInContext(e->c, f->fn, "");
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, f->fn, "");
    LLVMPositionBuilderAtEnd(e->b, h->entry);
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
    return false;
}

void fun_end(Emit *h, LLVMBasicBlockRef back) {
    LLVMBuildRetVoid(h->b);
    LLVMPositionBuilderAtEnd(h->b, back);
}

V fun_call(Emit *e, Fun f, V *args, uint32_t n) {
    return LLVMBuildCall2(e->b, f.type, f.fn, args, n, "");
}

V k_elem(Emit *e, LLVMTypeRef t, V ptr, V index) {
    return LLVMBuildGEP2(e->b, t, ptr, &index, 1, "");
}

V k_load(Emit *e, LLVMTypeRef t, V ptr, uint32_t align) {
    V v = LLVMBuildLoad2(e->b, t, ptr, "");
    LLVMSetAlignment(v, align);
    return v;
}

void k_store(Emit *e, V x, V ptr, uint32_t align) {
    LLVMSetAlignment(LLVMBuildStore(e->b, x, ptr), align);
}

V k_load_i64(Emit *e, V ptr, V index) {
    return k_load(e, e->i64, k_elem(e, e->i64, ptr, index), 8);
}

LLVMTypeRef k_vec(LLVMTypeRef t, uint32_t lanes) { return LLVMVectorType(t, lanes); }

V k_lanes_below(Emit *e, uint32_t lanes, V n) {
    V lane[64];
    for (uint32_t i = 0; i < lanes; i++) lane[i] = LLVMConstInt(e->i32, i, false);
    V limit = emit_splat(e, lanes, LLVMBuildTrunc(e->b, n, e->i32, ""));
    return LLVMBuildICmp(e->b, LLVMIntSLT, LLVMConstVector(lane, lanes), limit, "");
}

LLVMTypeRef k_storage(Emit *e, uint8_t dtype) { return dtype == DT_F32 ? e->f32 : e->i16; }
uint32_t k_bytes(uint8_t dtype) { return dtype == DT_F32 ? 4 : 2; }

V k_load_real(Emit *e, V ptr, uint8_t dtype, uint32_t n, V mask) {
    LLVMTypeRef stored = n == 1 ? k_storage(e, dtype) : k_vec(k_storage(e, dtype), n);
    V v;
    if (mask) {
        V args[4] = {ptr, LLVMConstInt(e->i32, k_bytes(dtype), false), mask, LLVMConstNull(stored)};
        LLVMTypeRef over[2] = {stored, e->ptr};
        v = emit_intrinsic(e, "llvm.masked.load", over, 2, args, 4);
    } else {
        v = k_load(e, stored, ptr, k_bytes(dtype));
    }
    if (dtype == DT_F32) return v;
    if (dtype == DT_F16) {
        LLVMTypeRef half = n == 1 ? e->f16 : k_vec(e->f16, n);
        return LLVMBuildFPExt(e->b, LLVMBuildBitCast(e->b, v, half, ""),
                              n == 1 ? e->f32 : k_vec(e->f32, n), "");
    }
    LLVMTypeRef wide = n == 1 ? e->i32 : k_vec(e->i32, n);
    V sixteen = LLVMConstInt(e->i32, 16, false);
    if (n > 1) sixteen = emit_splat(e, n, sixteen);
    V bits = LLVMBuildShl(e->b, LLVMBuildZExt(e->b, v, wide, ""), sixteen, "");
    return LLVMBuildBitCast(e->b, bits, n == 1 ? e->f32 : k_vec(e->f32, n), "");
}

V k_fma(Emit *e, V a, V b, V c) {
    LLVMTypeRef t = LLVMTypeOf(a);
    V args[3] = {a, b, c};
    return emit_intrinsic(e, "llvm.fma", &t, 1, args, 3);
}

void k_prefetch(Emit *e, V ptr, uint32_t level) {
    V read = LLVMConstInt(e->i32, 0, false), near = LLVMConstInt(e->i32, 4 - level, false),
      data = LLVMConstInt(e->i32, 1, false);
    V args[4] = {ptr, read, near, data};
    emit_intrinsic(e, "llvm.prefetch", &e->ptr, 1, args, 4);
}

If if_begin(Emit *e, V cond) {
    If i = {LLVMAppendBasicBlockInContext(e->c, e->fn, ""),
            LLVMAppendBasicBlockInContext(e->c, e->fn, ""), false};
    LLVMBasicBlockRef then = LLVMAppendBasicBlockInContext(e->c, e->fn, "");
    LLVMBuildCondBr(e->b, cond, then, i.other);
    LLVMPositionBuilderAtEnd(e->b, then);
    return i;
}

void if_else(Emit *e, If *i) {
    LLVMBuildBr(e->b, i->after);
    LLVMPositionBuilderAtEnd(e->b, i->other);
    i->has_else = true;
}

void if_end(Emit *e, If *i) {
    LLVMBuildBr(e->b, i->after);
    if (!i->has_else) {
        LLVMPositionBuilderAtEnd(e->b, i->other);
        LLVMBuildBr(e->b, i->after);
    }
    LLVMPositionBuilderAtEnd(e->b, i->after);
}

While while_begin(Emit *e) {
    While w = {LLVMAppendBasicBlockInContext(e->c, e->fn, ""),
               LLVMAppendBasicBlockInContext(e->c, e->fn, "")};
    LLVMBuildBr(e->b, w.head);
    LLVMPositionBuilderAtEnd(e->b, w.head);
    return w;
}

void while_test(Emit *e, const While *w, V cond) {
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->fn, "");
    LLVMBuildCondBr(e->b, cond, body, w->after);
    LLVMPositionBuilderAtEnd(e->b, body);
}

void while_end(Emit *e, const While *w) {
    LLVMBuildBr(e->b, w->head);
    LLVMPositionBuilderAtEnd(e->b, w->after);
}
