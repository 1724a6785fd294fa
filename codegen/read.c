/* Memory: elements of values at subscripts, through their storage types. */
#include "emit_impl.h"
#include "gpu.h"

V mask_all(Emit *e, At *at) {
    if (at->mask && at->tail) return LLVMBuildAnd(e->b, at->mask, at->tail, "");
    return at->mask ? at->mask : at->tail;
}

static LLVMTypeRef of_width(LLVMTypeRef t, uint32_t width) {
    return width == 1 ? t : LLVMVectorType(t, width);
}

static LLVMTypeRef element(Emit *e, uint8_t dtype) {
    switch (dtype) {
    case DT_BF16: return e->i16;
    case DT_F16: return e->f16;
    case DT_I32: return e->i32;
    default: return e->f32;
    }
}

static uint32_t dtype_align(uint8_t dtype) { return dtype == DT_BF16 || dtype == DT_F16 ? 2 : 4; }

static V vector_of(Emit *e, uint32_t width, LLVMTypeRef t, uint64_t n) {
    V c = LLVMConstInt(t, n, false);
    return emit_splat(e, width, c);
}

/* The bits of a bf16 as a float. */
static V widen(Emit *e, V x, uint8_t dtype, uint32_t width) {
    if (dtype == DT_F16) return LLVMBuildFPExt(e->b, x, of_width(e->f32, width), "");
    if (dtype != DT_BF16) return x;
    V i = LLVMBuildZExt(e->b, x, of_width(e->i32, width), "");
    i = LLVMBuildShl(e->b, i, vector_of(e, width, e->i32, 16), "");
    return LLVMBuildBitCast(e->b, i, of_width(e->f32, width), "");
}

/* bf16 by instructions for two, or one, at a time. */
static V narrow_pairs(Emit *e, V x, uint32_t width) {
    if (width == 1)
        return LLVMBuildBitCast(e->b, emit_intrinsic(e, "llvm.nvvm.f2bf16.rn", NULL, 0, &x, 1),
                                e->i16, "");
    V all = LLVMGetPoison(of_width(e->i32, width / 2));
    for (uint32_t i = 0; i < width; i += 2) {
        V high_low[2];
        for (uint32_t k = 0; k < 2; k++)
            high_low[k] =
                LLVMBuildExtractElement(e->b, x, LLVMConstInt(e->i32, i + 1 - k, false), "");
        V two = emit_intrinsic(e, "llvm.nvvm.ff2bf16x2.rn", NULL, 0, high_low, 2);
        two = LLVMBuildBitCast(e->b, two, e->i32, "");
        all = width == 2
                  ? two
                  : LLVMBuildInsertElement(e->b, all, two, LLVMConstInt(e->i32, i / 2, false), "");
    }
    return LLVMBuildBitCast(e->b, all, of_width(e->i16, width), "");
}

/* Nearest, halves to even; what is no number stays none. */
V emit_narrow(Emit *e, V x, uint8_t dtype, uint32_t width) {
    if (dtype == DT_F16) return LLVMBuildFPTrunc(e->b, x, of_width(e->f16, width), "");
    if (dtype != DT_BF16) return x;
    LLVMTypeRef t = of_width(e->i32, width), half = of_width(e->i16, width);
    if (e->has_bf16 && width >= 4)
        return LLVMBuildBitCast(e->b, LLVMBuildFPTrunc(e->b, x, of_width(e->bf16, width), ""), half,
                                "");
    if (e->pairs_bf16 && (width == 1 || width % 2 == 0)) return narrow_pairs(e, x, width);
    V i = LLVMBuildBitCast(e->b, x, t, ""), sixteen = vector_of(e, width, e->i32, 16);
    V even =
        LLVMBuildAnd(e->b, LLVMBuildLShr(e->b, i, sixteen, ""), vector_of(e, width, e->i32, 1), "");
    V up = LLVMBuildAdd(e->b, i, LLVMBuildAdd(e->b, even, vector_of(e, width, e->i32, 0x7fff), ""),
                        "");
    V quiet = LLVMBuildOr(e->b, i, vector_of(e, width, e->i32, 0x400000), "");
    V bad = LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, "");
    V r = LLVMBuildLShr(e->b, LLVMBuildSelect(e->b, bad, quiet, up, ""), sixteen, "");
    return LLVMBuildTrunc(e->b, r, half, "");
}

/* ---- contiguous ---------------------------------------------------------------------------------- */

static V load_raw(Emit *e, V ptr, V offset, uint8_t dtype, uint32_t width, V mask, uint32_t scope) {
    LLVMTypeRef t = element(e, dtype), vt = of_width(t, width);
    V at = LLVMBuildGEP2(e->b, t, ptr, &offset, 1, ""), x;
    if (mask) {
        V a[4] = {at, LLVMConstInt(e->i32, dtype_align(dtype), false), mask, LLVMConstNull(vt)};
        LLVMTypeRef over[2] = {vt, LLVMTypeOf(at)};
        x = emit_intrinsic(e, "llvm.masked.load", over, 2, a, 4);
    } else {
        x = LLVMBuildLoad2(e->b, vt, at, "");
        LLVMSetAlignment(x, dtype_align(dtype));
    }
    emit_scoped(e, x, scope);
    return x;
}

static V store_raw(Emit *e, V ptr, V offset, uint8_t dtype, V mask, V x, uint32_t scope) {
    V at = LLVMBuildGEP2(e->b, element(e, dtype), ptr, &offset, 1, ""), s;
    if (mask) {
        V a[4] = {x, at, LLVMConstInt(e->i32, dtype_align(dtype), false), mask};
        LLVMTypeRef over[2] = {LLVMTypeOf(x), LLVMTypeOf(at)};
        s = emit_intrinsic(e, "llvm.masked.store", over, 2, a, 4);
    } else {
        s = LLVMBuildStore(e->b, x, at);
        LLVMSetAlignment(s, dtype_align(dtype));
    }
    emit_scoped(e, s, scope);
    return s;
}

V emit_load_f32(Emit *e, V ptr, V offset, uint8_t dtype, uint32_t width, V mask, uint32_t scope) {
    return widen(e, load_raw(e, ptr, offset, dtype, width, mask, scope), dtype, width);
}

void emit_store_f32(Emit *e, V ptr, V offset, uint8_t dtype, uint32_t width, V mask, V x,
                    uint32_t scope) {
    store_raw(e, ptr, offset, dtype, mask, emit_narrow(e, x, dtype, width), scope);
}

/* ---- anywhere ------------------------------------------------------------------------------------- */

static V addresses(Emit *e, V ptr, V offsets, uint8_t dtype) {
    return LLVMBuildGEP2(e->b, element(e, dtype), ptr, &offsets, 1, "");
}

static V gather(Emit *e, At *at, V ptr, V offsets, uint8_t dtype, uint32_t scope) {
    LLVMTypeRef vt = LLVMVectorType(element(e, dtype), at->width);
    V where = addresses(e, ptr, offsets, dtype), mask = mask_all(e, at);
    if (!mask) mask = LLVMConstAllOnes(LLVMVectorType(e->i1, at->width));
    V a[4] = {where, LLVMConstInt(e->i32, dtype_align(dtype), false), mask, LLVMConstNull(vt)};
    LLVMTypeRef over[2] = {vt, LLVMTypeOf(where)};
    V x = emit_intrinsic(e, "llvm.masked.gather", over, 2, a, 4);
    emit_scoped(e, x, scope);
    return x;
}

static void scatter(Emit *e, At *at, V ptr, V offsets, uint8_t dtype, V x, uint32_t scope) {
    V where = addresses(e, ptr, offsets, dtype), mask = mask_all(e, at);
    if (!mask) mask = LLVMConstAllOnes(LLVMVectorType(e->i1, at->width));
    V a[4] = {x, where, LLVMConstInt(e->i32, dtype_align(dtype), false), mask};
    LLVMTypeRef over[2] = {LLVMTypeOf(x), LLVMTypeOf(where)};
    emit_scoped(e, emit_intrinsic(e, "llvm.masked.scatter", over, 2, a, 4), scope);
}

/* One element for all lanes; where no lane wants it, the first of the buffer. */
static V load_one(Emit *e, At *at, V ptr, V offset, uint8_t dtype, uint32_t scope) {
    if (at->mask) {
        LLVMTypeRef t = LLVMTypeOf(at->mask);
        V any = at->width == 1 ? at->mask
                               : emit_intrinsic(e, "llvm.vector.reduce.or", &t, 1, &at->mask, 1);
        offset = LLVMBuildSelect(e->b, any, offset, emit_const(e, 0), "");
    }
    return load_raw(e, ptr, offset, dtype, 1, NULL, scope);
}

static Val as_value(Emit *e, V x, uint8_t dtype, uint32_t width) {
    if (dtype != DT_I32) return val_real(e, widen(e, x, dtype, width));
    x = LLVMBuildSExt(e->b, x, of_width(e->i64, width), "");
    return width == 1 ? val_int(x) : (Val){.v = x, .kind = VAL_IVEC, .vec = true, .align = 1};
}

static Val read_at(Emit *e, At *at, V ptr, Val offset, uint8_t dtype, uint32_t scope) {
    if (offset.kind == VAL_INT && (!offset.stride || at->width == 1))
        return as_value(e, load_one(e, at, ptr, offset.v, dtype, scope), dtype, 1);
    V x;
    if (offset.kind == VAL_INT && offset.stride == 1) {
        x = load_raw(e, ptr, offset.v, dtype, at->width, at->mask ? mask_all(e, at) : NULL, scope);
        if (at->align && !at->mask) LLVMSetAlignment(x, at->align);
    } else
        x = gather(e, at, ptr, emit_int_vec(e, at, offset), dtype, scope);
    return as_value(e, x, dtype, at->width);
}

static V as_stored(Emit *e, At *at, Val x, uint8_t dtype) {
    if (dtype != DT_I32) return emit_narrow(e, emit_real_vec(e, at, x), dtype, at->width);
    if (x.kind == VAL_REAL) x = val_int(LLVMGetUndef(e->i64)); /* never: types agree */
    return LLVMBuildTrunc(e->b, emit_int_vec(e, at, x), of_width(e->i32, at->width), "");
}

static void store_if(Emit *e, V cond, V ptr, V offset, uint8_t dtype, V x, uint32_t scope) {
    LLVMBasicBlockRef yes = LLVMAppendBasicBlockInContext(e->c, e->fn, "then");
    LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(e->c, e->fn, "join");
    LLVMBuildCondBr(e->b, cond, yes, after);
    LLVMPositionBuilderAtEnd(e->b, yes);
    store_raw(e, ptr, offset, dtype, NULL, x, scope);
    LLVMBuildBr(e->b, after);
    LLVMPositionBuilderAtEnd(e->b, after);
}

static void store_at(Emit *e, At *at, V ptr, Val offset, uint8_t dtype, Val v, uint32_t scope) {
    V x = as_stored(e, at, v, dtype), mask = mask_all(e, at);
    if (at->width == 1 && mask) {
        store_if(e, mask, ptr, offset.v, dtype, x, scope);
    } else if (at->width == 1 || (offset.kind == VAL_INT && offset.stride == 1)) {
        V s = store_raw(e, ptr, offset.v, dtype, mask, x, scope);
        if (at->align && !mask) LLVMSetAlignment(s, at->align);
    } else
        scatter(e, at, ptr, emit_int_vec(e, at, offset), dtype, x, scope);
}

/* ---- values ---------------------------------------------------------------------------------------- */

/* In the entry block; builder calls fold constants. */
V emit_arg_stride(Emit *e, uint32_t arg, uint32_t axis) {
    const ValueInfo *v = graph_value(e->g, e->args[arg].value);
    V *known = &e->args[arg].stride[axis];
    if (*known) return *known;
    V s = emit_const(e, 1);
    for (uint32_t i = v->rank; i-- > axis + 1;) {
        V n = emit_size(e, v->dims[i]);
        LLVMBasicBlockRef back = emit_entry_begin(e);
        s = LLVMBuildMul(e->b, s, n, "");
        emit_entry_end(e, back);
    }
    return *known = s;
}

static Val arg_offset(Emit *e, At *at, uint32_t arg, const Val *subs) {
    const ValueInfo *v = graph_value(e->g, e->args[arg].value);
    Val offset = val_const(e, 0);
    for (uint32_t i = e->args[arg].drop; i < v->rank; i++)
        offset =
            val_add(e, at, offset, val_mul(e, at, subs[i], val_int(emit_arg_stride(e, arg, i))));
    return offset;
}

static Val local_offset(Emit *e, At *at, const EmitLocal *l, const Val *subs) {
    Val offset = val_const(e, 0);
    uint32_t rank = graph_value(e->g, l->value)->rank;
    for (uint32_t i = 0; i < rank; i++)
        if (l->stride[i])
            offset = val_add(e, at, offset, val_mul(e, at, subs[i], val_int(l->stride[i])));
    if (l->lane_offset.kind != VAL_NONE) offset = val_add(e, at, offset, l->lane_offset);
    return offset;
}

static uint8_t local_dtype(const Emit *e, const EmitLocal *l) {
    return e->g->values.data[l->value].type == T_INT ? DT_I32 : DT_F32;
}

Val emit_read(Emit *e, At *at, Value v, const Val *subs) {
    uint32_t l = e->local_of[v], a = e->arg_of[v];
    if (l) {
        EmitLocal *home = &e->locals.data[l - 1];
        if (home->bound.kind != VAL_NONE) return home->bound;
        if (home->ptr) return emit_read_local(e, at, home, subs);
    }
    if (!a) {
        e->error =
            arena_printf(e->arena, "kernel %s reads value %u that is no argument", e->k->name, v);
        return e->g->values.data[v].type == T_INT ? val_const(e, 0) : val_real(e, emit_f32(e, 0));
    }
    return emit_read_arg(e, at, a - 1, subs);
}

Val emit_read_local(Emit *e, At *at, const EmitLocal *l, const Val *subs) {
    at->align = 0;
    return read_at(e, at, l->ptr, local_offset(e, at, l, subs), local_dtype(e, l), l->scope);
}

Val emit_read_arg(Emit *e, At *at, uint32_t arg, const Val *subs) {
    EmitArg *from = &e->args[arg];
    at->align = at->lined ? gpu_line_alignment(e, arg, at->width) : 0;
    return read_at(e, at, from->ptr, arg_offset(e, at, arg, subs), from->dtype, from->scope);
}

void emit_store_arg(Emit *e, At *at, uint32_t arg, const Val *subs, Val x) {
    EmitArg *to = &e->args[arg];
    at->align = at->lined ? gpu_line_alignment(e, arg, at->width) : 0;
    store_at(e, at, to->ptr, arg_offset(e, at, arg, subs), to->dtype, x, to->scope);
}

void emit_store_local(Emit *e, At *at, EmitLocal *l, const Val *subs, Val x) {
    at->align = 0;
    store_at(e, at, l->ptr, local_offset(e, at, l, subs), local_dtype(e, l), x, l->scope);
}
