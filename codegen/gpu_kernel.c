/* The function of a GPU kernel: parameters, local memory, attributes.
 *
 * How many sizes a kernel is given is known when its code is complete. So the code is built with stand-ins
 * for parameters, calls of functions that do not exist; gpu_end makes the function, moves the code over and
 * puts the parameters in their places. */
#include "gpu.h"

#include <llvm-c/DebugInfo.h> /* the only header that has temporary nodes */

#include <string.h>

#define ON_FUNCTION ((LLVMAttributeIndex)LLVMAttributeFunctionIndex)

/* ---- stand-ins ------------------------------------------------------------------------------------ */

static V stand_in(Emit *e, const char *name, LLVMTypeRef t) {
    LLVMTypeRef ft = LLVMFunctionType(t, NULL, 0, false);
    V f = LLVMGetNamedFunction(e->m, name);
    if (!f) f = LLVMAddFunction(e->m, name, ft);
    LLVMBasicBlockRef back = LLVMGetInsertBlock(e->b);
    V first = LLVMGetFirstInstruction(e->entry);
    if (first)
        LLVMPositionBuilderBefore(e->b, first);
    else
        LLVMPositionBuilderAtEnd(e->b, e->entry);
    V x = LLVMBuildCall2(e->b, ft, f, NULL, 0, "");
    if (back) LLVMPositionBuilderAtEnd(e->b, back);
    return x;
}

static V number_in(Emit *e) { return stand_in(e, "rwkvc.in.number", e->i64); }
static V pointer_in(Emit *e) { return stand_in(e, "rwkvc.in.pointer", e->gpu->global_ptr); }

V gpu_size_param(Emit *e) {
    V x = number_in(e);
    *PUSH(e->arena, &e->gpu->sizes) = x;
    return x;
}

V gpu_call(Emit *e, const char *name, V *args, uint32_t n) {
    V f = LLVMGetNamedFunction(e->m, name);
    return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, args, n, "");
}

void gpu_begin(Emit *e) {
    Gpu *g = e->gpu;
    bool flat = g->t->family == FAMILY_THREADS;
    g->global_ptr = LLVMPointerTypeInContext(e->c, flat ? 0 : 1);
    g->local_ptr = LLVMPointerTypeInContext(e->c, flat ? 0 : 3);
    LLVMTypeRef t = LLVMFunctionType(LLVMVoidTypeInContext(e->c), NULL, 0, false);
    e->fn = LLVMAddFunction(e->m, "rwkvc.unfinished", t);
    e->entry = LLVMAppendBasicBlockInContext(e->c, e->fn, "entry");
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->fn, "body");
    LLVMPositionBuilderAtEnd(e->b, e->entry);
    for (uint32_t i = 0; i < e->k->arg_values.n; i++) e->args[i].ptr = pointer_in(e);
    for (uint32_t i = 0; i < e->k->level && i < MAX_LEVELS; i++) {
        e->lvl[i] = val_int(number_in(e));
        e->pos[i] = val_int(number_in(e));
    }
    e->seed_p = pointer_in(e);
    g->scratch = pointer_in(e);
    e->scratch_p = pointer_in(e);
    g->begin = number_in(e);
    g->thread = gpu_call(e, "rwkvc.thread", NULL, 0);
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
}

/* ---- local memory ----------------------------------------------------------------------------------- */

V gpu_array(Emit *e, LLVMTypeRef t, uint64_t n, const char *name) {
    Gpu *g = e->gpu;
    bool flat = g->t->family == FAMILY_THREADS;
    LLVMTypeRef all = LLVMArrayType2(t, n);
    V x = LLVMAddGlobalInAddressSpace(e->m, all, name, flat ? 0 : 3);
    LLVMSetInitializer(x, flat ? LLVMConstNull(all) : LLVMGetPoison(all));
    LLVMSetAlignment(x, 16);
    /* What other threads do in a call is nothing LLVM could know of memory that nobody else sees. */
    if (!flat) LLVMSetLinkage(x, LLVMInternalLinkage);
    uint64_t each = t == e->i64 ? 8 : t == e->i16 ? 2 : 4;
    g->local_used += (uint32_t)((n * each + 15) / 16 * 16);
    return x;
}

/* ---- parameters --------------------------------------------------------------------------------------- */

/* The largest number that divides every number of a formula. */
static uint64_t content(Sizes *s, Size a) {
    uint64_t all = 0;
    SizeTerm t;
    for (uint32_t i = 0; i < size_terms(s, a); i++) {
        if (!size_term(s, a, i, &t) || t.den != 1) return 1;
        uint64_t x = (uint64_t)(t.num < 0 ? -t.num : t.num);
        while (x) {
            uint64_t r = all % x;
            all = x;
            x = r;
        }
    }
    return all ? all : 1;
}

uint32_t gpu_multiple(Emit *e, Size s) {
    uint64_t n = content(e->g->sizes, size_ground(e->g->sizes, s));
    return (uint32_t)(n & (~n + 1)) & 0xffff;
}

uint32_t gpu_alignment(Emit *e, uint32_t arg) {
    const EmitArg *a = &e->args[arg];
    const ValueInfo *v = graph_value(e->g, a->value);
    Size n = size_num(e->g->sizes, a->dtype == DT_F32 || a->dtype == DT_I32 ? 4 : 2);
    for (uint32_t i = a->drop; i < v->rank; i++) n = size_mul(e->g->sizes, n, v->dims[i]);
    uint32_t by = n ? gpu_multiple(e, n) : 2;
    return by > 16 || by == 0 ? 16 : by;
}

uint32_t gpu_line_alignment(Emit *e, uint32_t arg, uint32_t width) {
    const EmitArg *a = &e->args[arg];
    const ValueInfo *v = graph_value(e->g, a->value);
    uint32_t each = a->dtype == DT_F32 || a->dtype == DT_I32 ? 4 : 2, by = gpu_alignment(e, arg);
    uint32_t line = v->rank > a->drop ? gpu_multiple(e, v->dims[v->rank - 1]) * each : each;
    if (line && line < by) by = line;
    return by < width * each ? by : width * each;
}

typedef struct Params {
    VEC(V) in; /* stand-ins, in the order of codegen.h */
} Params;

static uint32_t levels_used(const Emit *e) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->k->level && i < MAX_LEVELS; i++)
        if (LLVMGetFirstUse(e->lvl[i].v) || LLVMGetFirstUse(e->pos[i].v)) n = i + 1;
    return n;
}

static void params_of(Emit *e, Params *p) {
    Gpu *g = e->gpu;
    Arena *a = e->arena;
    for (uint32_t i = 0; i < e->k->arg_values.n; i++) *PUSH(a, &p->in) = e->args[i].ptr;
    for (uint32_t i = 0; i < g->sizes.n; i++) *PUSH(a, &p->in) = g->sizes.data[i];
    for (uint32_t i = 0; i < e->code->levels; i++) {
        *PUSH(a, &p->in) = e->lvl[i].v;
        *PUSH(a, &p->in) = e->pos[i].v;
    }
    *PUSH(a, &p->in) = e->seed_p;
    *PUSH(a, &p->in) = g->scratch;
    *PUSH(a, &p->in) = g->begin;
}

static void attribute(Emit *e, V fn, LLVMAttributeIndex at, const char *name, uint64_t n) {
    unsigned id = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, at, LLVMCreateEnumAttribute(e->c, id, n));
}

static void text_attribute(Emit *e, V fn, const char *name, const char *value) {
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->c, name, (unsigned)strlen(name), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, ON_FUNCTION, a);
}

/* An argument that shares its memory with no other one. */
static bool alone(const Emit *e, uint32_t arg) {
    for (uint32_t i = 0; i < e->k->arg_values.n; i++)
        if (i != arg && e->args[i].scope == e->args[arg].scope) return false;
    return true;
}

static void param_attributes(Emit *e, V fn) {
    uint32_t n = e->k->arg_values.n;
    for (uint32_t i = 0; i < n; i++) {
        attribute(e, fn, i + 1, "align", gpu_alignment(e, i));
        attribute(e, fn, i + 1, "nocapture", 0);
        if (alone(e, i)) attribute(e, fn, i + 1, "noalias", 0);
        if (!e->args[i].writes) attribute(e, fn, i + 1, "readonly", 0);
    }
    uint32_t seed = n + e->gpu->sizes.n + 2 * e->code->levels + 1;
    attribute(e, fn, seed, "readonly", 0);
    attribute(e, fn, seed, "noalias", 0);
    attribute(e, fn, seed + 1, "align", 16);
    attribute(e, fn, seed + 1, "noalias", 0);
}

static V number_md(Emit *e, uint64_t n) { return LLVMConstInt(e->i32, n, false); }

static void amd_attributes(Emit *e, V fn) {
    uint32_t block = e->gpu->block;
    LLVMSetFunctionCallConv(fn, 91);
    LLVMSetVisibility(fn, LLVMProtectedVisibility);
    text_attribute(e, fn, "amdgpu-flat-work-group-size",
                   arena_printf(e->arena, "%u,%u", block, block));
    text_attribute(e, fn, "uniform-work-group-size", "true");
    LLVMMetadataRef three[3];
    for (uint32_t i = 0; i < 3; i++) three[i] = LLVMValueAsMetadata(number_md(e, i ? 1 : block));
    LLVMGlobalSetMetadata(fn, LLVMGetMDKindIDInContext(e->c, "reqd_work_group_size", 20),
                          LLVMMDNodeInContext2(e->c, three, 3));
}

static void nvidia_annotation(Emit *e, V fn, const char *what, uint32_t n) {
    LLVMMetadataRef all[3] = {LLVMValueAsMetadata(fn),
                              LLVMMDStringInContext2(e->c, what, strlen(what)),
                              LLVMValueAsMetadata(number_md(e, n))};
    LLVMAddNamedMetadataOperand(e->m, "nvvm.annotations",
                                LLVMMetadataAsValue(e->c, LLVMMDNodeInContext2(e->c, all, 3)));
}

static void nvidia_attributes(Emit *e, V fn) {
    LLVMSetFunctionCallConv(fn, 71);
    nvidia_annotation(e, fn, "kernel", 1);
    nvidia_annotation(e, fn, "reqntidx", e->gpu->block);
    nvidia_annotation(e, fn, "reqntidy", 1);
    nvidia_annotation(e, fn, "reqntidz", 1);
    /* Without a bound the assembler spills in loops that it has unrolled by itself. */
    nvidia_annotation(e, fn, "minctasm",
                      e->gpu->dense || e->gpu->block > 256 ? 1 : 512 / e->gpu->block);
}

/* NVIDIA's assembler unrolls whatever has a known number of turns: a product's 24 pieces become 64 KiB of code, which
 * no instruction cache holds, and as many copies of registers. The name of a loop is itself, then what it wants. */
void gpu_keep_rolled(Emit *e, const Loop *l) {
    static const char wish[] = "llvm.loop.unroll.disable";
    if (e->gpu->t->family != FAMILY_NVIDIA) return;
    LLVMMetadataRef text = LLVMMDStringInContext2(e->c, wish, sizeof wish - 1),
                    self = LLVMTemporaryMDNode(e->c, NULL, 0);
    LLVMMetadataRef both[2] = {self, LLVMMDNodeInContext2(e->c, &text, 1)};
    LLVMMetadataRef name = LLVMMDNodeInContext2(e->c, both, 2);
    LLVMMetadataReplaceAllUsesWith(self, name);
    V back = LLVMGetBasicBlockTerminator(LLVMGetIncomingBlock(l->i, 1));
    LLVMSetMetadata(back, LLVMGetMDKindIDInContext(e->c, "llvm.loop", 9),
                    LLVMMetadataAsValue(e->c, name));
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

V gpu_function(Emit *e, const char *symbol, LLVMTypeRef *types, uint32_t n) {
    V fn = LLVMAddFunction(e->m, symbol,
                           LLVMFunctionType(LLVMVoidTypeInContext(e->c), types, n, false));
    attribute(e, fn, ON_FUNCTION, "nounwind", 0);
    text_attribute(e, fn, "no-builtins", "");
    if (e->gpu->t->family == FAMILY_THREADS) return fn;
    text_attribute(e, fn, "denormal-fp-math-f32", "preserve-sign,preserve-sign");
    if (e->gpu->t->family == FAMILY_AMD) amd_attributes(e, fn);
    if (e->gpu->t->family == FAMILY_NVIDIA) nvidia_attributes(e, fn);
    return fn;
}

static V function_of(Emit *e, const char *symbol, const Params *p) {
    if (e->gpu->t->family == FAMILY_THREADS) return gpu_function(e, symbol, &e->ptr, 1);
    LLVMTypeRef *types = NEWN(e->arena, LLVMTypeRef, p->in.n + 1);
    for (uint32_t i = 0; i < p->in.n; i++) types[i] = LLVMTypeOf(p->in.data[i]);
    V fn = gpu_function(e, symbol, types, p->in.n);
    param_attributes(e, fn);
    return fn;
}

static void move_code(Emit *e, V fn) {
    for (LLVMBasicBlockRef b; (b = LLVMGetFirstBasicBlock(e->fn));) {
        LLVMRemoveBasicBlockFromParent(b);
        LLVMAppendExistingBasicBlock(fn, b);
    }
    LLVMDeleteFunction(e->fn);
    e->fn = fn;
}

static void put_in(V stands, V x) {
    LLVMReplaceAllUsesWith(stands, x);
    LLVMInstructionEraseFromParent(stands);
}

/* Of coroutines: what the one parameter points to. */
static V slot(Emit *e, V table, uint32_t i, LLVMTypeRef t) {
    V index = emit_const(e, i);
    return LLVMBuildLoad2(e->b, t, LLVMBuildGEP2(e->b, e->i64, table, &index, 1, ""), "");
}

/* Workgroups that run at once have their own parts of scratch. */
static void own_scratch(Emit *e) {
    V stands = e->scratch_p, own = e->gpu->scratch;
    if (LLVMGetFirstUse(stands)) {
        V bytes = emit_size(e, e->code->scratch);
        LLVMPositionBuilderBefore(e->b, stands);
        bytes = LLVMBuildAnd(e->b, LLVMBuildAdd(e->b, bytes, emit_const(e, 63), ""),
                             emit_const(e, -64), "");
        V group = LLVMBuildZExt(e->b, gpu_call(e, "rwkvc.group", NULL, 0), e->i64, "");
        V at = LLVMBuildMul(e->b, group, bytes, "");
        own = LLVMBuildGEP2(e->b, LLVMInt8TypeInContext(e->c), own, &at, 1, "");
    }
    put_in(stands, own);
}

void gpu_end(Emit *e, const char *symbol) {
    Gpu *g = e->gpu;
    own_scratch(e);
    Params p = {0};
    e->code->levels = levels_used(e);
    e->code->block = g->block;
    e->code->local = g->local_used;
    params_of(e, &p);
    V fn = function_of(e, symbol, &p);
    move_code(e, fn);
    bool flat = g->t->family == FAMILY_THREADS;
    for (uint32_t i = 0; i < p.in.n; i++) {
        V stands = p.in.data[i];
        LLVMPositionBuilderBefore(e->b, LLVMGetFirstInstruction(e->entry));
        put_in(stands,
               flat ? slot(e, LLVMGetParam(fn, 0), i, LLVMTypeOf(stands)) : LLVMGetParam(fn, i));
    }
    for (uint32_t i = e->code->levels; i < e->k->level && i < MAX_LEVELS; i++) {
        LLVMInstructionEraseFromParent(e->lvl[i].v);
        LLVMInstructionEraseFromParent(e->pos[i].v);
    }
}
