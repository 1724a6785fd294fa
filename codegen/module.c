/* One LLVM module a target: kernels in, an object out. */
#include <llvm-c/Analysis.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>

#include "gpu.h"
#include "key.h"

#define ON_FUNCTION ((LLVMAttributeIndex)LLVMAttributeFunctionIndex)

const char emit_declined[] = "declined";

typedef struct Made { /* a function and what it was made from */
    Text key;
    Sizes *sizes;
    KernelCode code;
} Made;

struct Codegen {
    Arena *arena;
    const TargetInfo *t;
    LLVMContextRef c;
    LLVMModuleRef m;
    LLVMTargetMachineRef tm;
    VEC(Made) made;
    const char *error;
    bool optimised;
};

/* ---- beginning and end ---------------------------------------------------------------------------- */

static void initialise(TargetFamily f) {
    switch (f) {
    case FAMILY_AMD:
        LLVMInitializeAMDGPUTargetInfo();
        LLVMInitializeAMDGPUTarget();
        LLVMInitializeAMDGPUTargetMC();
        LLVMInitializeAMDGPUAsmPrinter();
        LLVMInitializeAMDGPUAsmParser(); /* the prelude has a line of assembly */
        break;
    case FAMILY_NVIDIA:
        LLVMInitializeNVPTXTargetInfo();
        LLVMInitializeNVPTXTarget();
        LLVMInitializeNVPTXTargetMC();
        LLVMInitializeNVPTXAsmPrinter();
        break;
    default:
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
    }
}

static void machine_new(Codegen *cg) {
    initialise((TargetFamily)cg->t->family);
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(cg->t->triple, &target, &message)) {
        cg->error = arena_str(cg->arena, message);
        LLVMDisposeMessage(message);
        return;
    }
    LLVMCodeGenOptLevel level =
        cg->t->family == FAMILY_X86 ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelAggressive;
    cg->tm = LLVMCreateTargetMachine(target, cg->t->triple, cg->t->cpu, cg->t->features, level,
                                     LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMSetTarget(cg->m, cg->t->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(cg->tm);
    LLVMSetModuleDataLayout(cg->m, layout);
    LLVMDisposeTargetData(layout);
}

/* An empty one, or what every module for GPUs begins with. */
static LLVMModuleRef module_new(Codegen *cg) {
    const char *text = gpu_prelude(cg->arena, cg->t);
    if (!text) return LLVMModuleCreateWithNameInContext("rwkvc", cg->c);
    LLVMMemoryBufferRef b = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "rwkvc");
    LLVMModuleRef m = NULL;
    char *message = NULL;
    if (!LLVMParseIRInContext(cg->c, b, &m, &message)) return m;
    cg->error = arena_str(cg->arena, message);
    LLVMDisposeMessage(message);
    return LLVMModuleCreateWithNameInContext("rwkvc", cg->c);
}

Codegen *codegen_new(Arena *a, const TargetInfo *t) {
    Codegen *cg = NEW(a, Codegen);
    cg->arena = a;
    cg->t = t;
    cg->c = LLVMContextCreate();
    cg->m = module_new(cg);
    LLVMSetSourceFileName(cg->m, "rwkvc", 5);
    machine_new(cg);
    return cg;
}

void codegen_free(Codegen *cg) {
    if (!cg) return;
    LLVMDisposeModule(cg->m);
    if (cg->tm) LLVMDisposeTargetMachine(cg->tm);
    LLVMContextDispose(cg->c);
}

/* ---- one kernel ------------------------------------------------------------------------------------- */

static const Op *find_launch(const Ops *ops, uint32_t kernel) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind == OP_LAUNCH && o->kernel == kernel) return o;
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++) {
            const Op *in = find_launch(&o->bodies[k], kernel);
            if (in) return in;
        }
    }
    return NULL;
}

static void set_types(Emit *e, LLVMContextRef c) {
    e->c = c;
    e->f32 = LLVMFloatTypeInContext(c);
    e->f64 = LLVMDoubleTypeInContext(c);
    e->f16 = LLVMHalfTypeInContext(c);
    e->bf16 = LLVMBFloatTypeInContext(c);
    e->i1 = LLVMInt1TypeInContext(c);
    e->i16 = LLVMInt16TypeInContext(c);
    e->i32 = LLVMInt32TypeInContext(c);
    e->i64 = LLVMInt64TypeInContext(c);
    e->ptr = LLVMPointerTypeInContext(c, 0);
}

/* Where the runtime may put what the argument writes: over the old value of a parameter or a state. */
static BufId written_over(const Plan *p, const PlanArg *a) {
    const PlanBuf *b = &p->bufs.data[a->buf];
    if (b->role != ROLE_OUTPUT) return a->buf;
    BufId over = plan_output_place(p, &p->g->outputs.data[b->index]);
    return over == UINT32_MAX ? a->buf : over;
}

/* Threads of a workgroup must know what their neighbours overwrite (gpu_nest.c). */
static void share_scopes(Emit *e, const Op *o) {
    for (uint32_t i = 0; i < e->k->arg_values.n; i++) {
        if (!e->args[i].writes) continue;
        BufId over = written_over(e->p, &o->args.data[i]);
        for (uint32_t j = 0; j < e->k->arg_values.n; j++)
            if (j != i && o->args.data[j].buf == over) e->args[i].scope = e->args[j].scope;
    }
}

/* Arguments that share a buffer, one of them written, may overlap. */
static bool set_args(Emit *e, uint32_t kernel) {
    Kernel *k = e->k;
    const Op *o = find_launch(&e->p->ops, kernel);
    if (!o) return false;
    e->args = NEWN(e->arena, EmitArg, k->arg_values.n + 1);
    e->arg_of = NEWN(e->arena, uint32_t, e->g->values.n + 1);
    for (uint32_t i = 0; i < k->arg_values.n; i++) {
        EmitArg *a = &e->args[i];
        a->value = k->arg_values.data[i];
        a->dtype = e->p->bufs.data[o->args.data[i].buf].dtype;
        a->drop = k->arg_family.data[i];
        a->writes = k->arg_writes.data[i];
        a->scope = i;
        e->arg_of[a->value] = i + 1;
        for (uint32_t j = 0; j < i; j++)
            if (o->args.data[j].buf == o->args.data[i].buf) a->scope = e->args[j].scope;
    }
    if (e->cg->t->family != FAMILY_X86) share_scopes(e, o);
    e->n_scopes = e->n_fixed_scopes = k->arg_values.n;
    return true;
}

static void set_attribute(Emit *e, LLVMAttributeIndex at, const char *name) {
    unsigned id = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(e->fn, at, LLVMCreateEnumAttribute(e->c, id, 0));
}

static void set_text_attribute(Emit *e, const char *name, const char *value) {
    LLVMAttributeRef a = LLVMCreateStringAttribute(e->c, name, (unsigned)strlen(name), value,
                                                   (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(e->fn, ON_FUNCTION, a);
}

static V load_at(Emit *e, LLVMTypeRef t, V table, uint64_t i) {
    V index = LLVMConstInt(e->i64, i, false);
    return LLVMBuildLoad2(e->b, t, LLVMBuildGEP2(e->b, t, table, &index, 1, ""), "");
}

/* The function with its parameters, arguments and counters; the builder is left in its empty body. */
static void function_begin(Emit *e, const char *symbol) {
    LLVMTypeRef params[6] = {e->ptr, e->ptr, e->ptr, e->ptr, e->i64, e->i64};
    e->fn = LLVMAddFunction(e->m, symbol,
                            LLVMFunctionType(LLVMVoidTypeInContext(e->c), params, 6, false));
    set_attribute(e, ON_FUNCTION, "nounwind");
    set_text_attribute(e, "no-builtins", "");
    set_text_attribute(e, "prefer-vector-width", e->lanes == 16 ? "512" : "256");
    for (unsigned i = 1; i <= 4; i++) set_attribute(e, i, "noalias");
    V *p[6] = {&e->args_p, &e->sizes_p, &e->levels_p, &e->scratch_p, &e->begin, &e->end};
    for (unsigned i = 0; i < 6; i++) *p[i] = LLVMGetParam(e->fn, i);
    e->entry = LLVMAppendBasicBlockInContext(e->c, e->fn, "entry");
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->fn, "body");
    LLVMPositionBuilderAtEnd(e->b, e->entry);
    for (uint32_t i = 0; i < e->k->arg_values.n; i++)
        e->args[i].ptr = load_at(e, e->ptr, e->args_p, i);
    for (uint32_t i = 0; i < e->k->level && i < MAX_LEVELS; i++) {
        e->lvl[i] = val_int(load_at(e, e->i64, e->levels_p, 2 * i));
        e->pos[i] = val_int(load_at(e, e->i64, e->levels_p, 2 * i + 1));
    }
    LLVMBuildBr(e->b, body);
    LLVMPositionBuilderAtEnd(e->b, body);
}

static void function_end(Emit *e) {
    if (!LLVMGetBasicBlockTerminator(LLVMGetInsertBlock(e->b))) LLVMBuildRetVoid(e->b);
    emit_scopes_done(e);
    if (e->gpu) gpu_end(e, e->code->symbol);
    LLVMDisposeBuilder(e->b);
}

static const char *schedule(Emit *e) {
    switch (e->k->kind) {
    case K_SCAN: return scan_emit(e);
    case K_SCATTER: return e->gpu ? gpu_scatter(e) : scatter_emit(e);
    case K_CONTRACT: {
        if (e->gpu) return gpu_contract(e);
        const char *wrong = contract_emit(e);
        return wrong == emit_declined ? row_emit(e) : wrong;
    }
    default: return row_emit(e);
    }
}

static const char *kernel_add(Codegen *cg, Plan *p, uint32_t i, KernelCode *code) {
    Arena *a = cg->arena;
    Emit *e = NEW(a, Emit);
    *e = (Emit){.cg = cg,
                .arena = a,
                .p = p,
                .g = p->g,
                .k = &p->kernels.data[i],
                .code = code,
                .m = cg->m};
    set_types(e, cg->c);
    e->lanes = cg->t->lanes;
    e->has_bf16 = cg->t->amx;
    e->pairs_bf16 = cg->t->family == FAMILY_NVIDIA;
    e->amx = cg->t->amx;
    if (!set_args(e, i)) return arena_printf(a, "kernel %s is never launched", e->k->name);
    Text key = kernel_key(a, e);
    for (uint32_t k = 0; k < cg->made.n; k++) {
        const Made *m = &cg->made.data[k];
        if (m->sizes != p->g->sizes || m->key.n != key.n ||
            memcmp(m->key.data, key.data, key.n) != 0)
            continue;
        *code = m->code;
        return NULL;
    }
    e->local_of = NEWN(a, uint32_t, e->g->values.n + 1);
    e->memo = memo_new(a, e->g);
    e->b = LLVMCreateBuilderInContext(cg->c);
    code->symbol = arena_printf(a, "k%u_%s", cg->made.n, e->k->name);
    if (cg->t->family == FAMILY_X86) {
        function_begin(e, code->symbol);
    } else {
        e->gpu = NEW(a, Gpu);
        e->gpu->t = cg->t;
        gpu_begin(e);
    }
    const char *wrong = schedule(e);
    function_end(e);
    *PUSH(a, &cg->made) = (Made){key, p->g->sizes, *code};
    return wrong;
}

const char *codegen_add(Codegen *cg, Plan *p, KernelCode *codes) {
    if (cg->error) return cg->error;
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const char *wrong = kernel_add(cg, p, i, &codes[i]);
        if (wrong) return wrong;
    }
    return NULL;
}

void codegen_rates(Codegen *cg, Rates *out) {
    static const RateCode kinds[MOST_RATES] = {{.symbol = "rate_f32", .number = DT_F32},
                                               {.symbol = "rate_bf16", .number = DT_BF16}};
    *out = (Rates){0};
    if (cg->error || (cg->t->family != FAMILY_AMD && cg->t->family != FAMILY_NVIDIA)) return;
    for (uint32_t i = 0; i < MOST_RATES; i++) {
        Emit *e = NEW(cg->arena, Emit);
        *e = (Emit){.cg = cg, .arena = cg->arena, .m = cg->m};
        set_types(e, cg->c);
        e->b = LLVMCreateBuilderInContext(cg->c);
        e->gpu = NEW(cg->arena, Gpu);
        e->gpu->t = cg->t;
        out->of[out->n] = kinds[i];
        if (gpu_rate(e, &out->of[out->n])) out->n++;
        LLVMDisposeBuilder(e->b);
    }
}

/* ---- out ------------------------------------------------------------------------------------------------ */

static const char *check(Codegen *cg) {
    char *message = NULL;
    const char *wrong = NULL;
    if (LLVMVerifyModule(cg->m, LLVMReturnStatusAction, &message))
        wrong = arena_str(cg->arena, message);
    LLVMDisposeMessage(message);
    return wrong;
}

/* Vectors are there already: LLVM has to clean up, not to find more. Registers from memory, common and
 * loop-invariant parts, simple address arithmetic; half the time of "default<O2>" and the same speed. */
static const char passes[] =
    "function(sroa<modify-cfg>,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
    "loop-mssa(loop-rotate,licm),early-cse<memssa>,instcombine<no-verify-fixpoint>,loop(indvars),"
    "loop-mssa(licm),simplifycfg)";

static const char gpu_passes[] =
    "always-inline,globaldce,"
    "function(sroa<modify-cfg>,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
    "loop-mssa(loop-rotate,licm),early-cse<memssa>,instcombine<no-verify-fixpoint>,loop(indvars),"
    "loop-mssa(licm),simplifycfg)";

static const char *optimise(Codegen *cg) {
    if (cg->optimised) return NULL;
    const char *wrong = cg->error ? cg->error : check(cg);
    if (wrong) return wrong;
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopVectorization(o, false);
    LLVMPassBuilderOptionsSetSLPVectorization(o, false);
    bool gpu = cg->t->family != FAMILY_X86;
    const char *amd = cg->t->family == FAMILY_AMD ? ",amdgpu-attributor" : "";
    const char *list = gpu ? arena_printf(cg->arena, "%s%s", gpu_passes, amd) : passes;
    LLVMErrorRef error = LLVMRunPasses(cg->m, list, cg->tm, o);
    LLVMDisposePassBuilderOptions(o);
    cg->optimised = true;
    if (!error) return NULL;
    char *message = LLVMGetErrorMessage(error);
    wrong = arena_str(cg->arena, message);
    LLVMDisposeErrorMessage(message);
    return wrong;
}

static void constant(Codegen *cg, const char *name, V value, const char *section) {
    unsigned space = cg->t->family == FAMILY_AMD || cg->t->family == FAMILY_NVIDIA ? 1 : 0;
    V g = LLVMAddGlobalInAddressSpace(cg->m, LLVMTypeOf(value), name, space);
    LLVMSetInitializer(g, value);
    LLVMSetGlobalConstant(g, true);
    LLVMSetAlignment(g, 16);
    if (cg->t->family == FAMILY_AMD) LLVMSetVisibility(g, LLVMProtectedVisibility);
    if (cg->t->family != FAMILY_NVIDIA) LLVMSetSection(g, section);
}

static const char *compile(Codegen *cg, LLVMCodeGenFileType type, LLVMMemoryBufferRef *out) {
    char *message = NULL;
    if (!LLVMTargetMachineEmitToMemoryBuffer(cg->tm, cg->m, type, &message, out)) return NULL;
    const char *wrong = arena_str(cg->arena, message);
    LLVMDisposeMessage(message);
    return wrong;
}

const char *codegen_object(Codegen *cg, const void *blob, size_t n, const void **object,
                           size_t *bytes) {
    const char *wrong = optimise(cg);
    if (wrong) return wrong;
    V data = LLVMConstStringInContext2(cg->c, blob, n, true);
    constant(cg, "rwkvc_manifest", data, ".rwkvc");
    constant(cg, "rwkvc_manifest_size", LLVMConstInt(LLVMInt64TypeInContext(cg->c), n, false),
             ".rwkvc");
    LLVMMemoryBufferRef buffer;
    bool text = cg->t->family == FAMILY_NVIDIA;
    if ((wrong = compile(cg, text ? LLVMAssemblyFile : LLVMObjectFile, &buffer))) return wrong;
    *bytes = LLVMGetBufferSize(buffer);
    *object = arena_copy(cg->arena, LLVMGetBufferStart(buffer), *bytes);
    LLVMDisposeMemoryBuffer(buffer);
    return NULL;
}

void codegen_print_ir(Codegen *cg, Text *out) {
    char *s = LLVMPrintModuleToString(cg->m);
    text_add(out, s);
    LLVMDisposeMessage(s);
}

const char *codegen_asm(Codegen *cg, Text *out) {
    const char *wrong = optimise(cg);
    LLVMMemoryBufferRef buffer;
    if (wrong || (wrong = compile(cg, LLVMAssemblyFile, &buffer))) return wrong;
    text_addn(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
    return NULL;
}
