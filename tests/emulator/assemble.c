#include "assemble.h"

#include "codegen/codegen.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char triple[] = "amdgcn-amd-amdhsa";
static const char flags[] =
    "!llvm.module.flags = !{!900}\n!900 = !{i32 1, !\"amdhsa_code_object_version\", i32 500}\n";

static void stop(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

uint8_t *read_whole(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    uint8_t *data = malloc((size_t)n + 1);
    *bytes = fread(data, 1, (size_t)n, f);
    fclose(f);
    return data;
}

static uint8_t *linked(const char *object, size_t n, size_t *bytes) {
    Arena *a = arena_new();
    const void *image = NULL;
    const char *why = link_shared(a, object, n, "/tmp/emulator-test", &image, bytes);
    if (why != NULL) stop("link", why);
    uint8_t *data = malloc(*bytes + 1);
    if (data == NULL) stop("link", "no memory");
    memcpy(data, image, *bytes);
    arena_free(a);
    return data;
}

static LLVMTargetMachineRef machine(const char *processor, bool is_optimized) {
    LLVMTargetRef target;
    char *why = NULL;
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    LLVMInitializeAMDGPUAsmParser();
    if (LLVMGetTargetFromTriple(triple, &target, &why)) stop(triple, why);
    return LLVMCreateTargetMachine(target, triple, processor, "",
                                   is_optimized ? LLVMCodeGenLevelAggressive : LLVMCodeGenLevelNone,
                                   LLVMRelocPIC, LLVMCodeModelDefault);
}

static uint8_t *emit(LLVMModuleRef module, LLVMTargetMachineRef tm, bool is_optimized,
                     size_t *bytes) {
    LLVMMemoryBufferRef object;
    char *why = NULL;
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(tm);
    LLVMSetTarget(module, triple);
    LLVMSetModuleDataLayout(module, layout);
    if (LLVMVerifyModule(module, LLVMReturnStatusAction, &why)) stop("IR", why);
    LLVMDisposeMessage(why);
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMErrorRef bad = LLVMRunPasses(module, is_optimized ? "default<O3>" : "default<O0>", tm, o);
    if (bad != NULL) stop("passes", LLVMGetErrorMessage(bad));
    if (LLVMTargetMachineEmitToMemoryBuffer(tm, module, LLVMObjectFile, &why, &object))
        stop("code", why);
    uint8_t *code = linked(LLVMGetBufferStart(object), LLVMGetBufferSize(object), bytes);
    LLVMDisposeMemoryBuffer(object);
    LLVMDisposePassBuilderOptions(o);
    LLVMDisposeTargetData(layout);
    LLVMDisposeModule(module);
    LLVMDisposeTargetMachine(tm);
    return code;
}

static LLVMModuleRef parse(LLVMContextRef context, const char *ir) {
    size_t n = strlen(ir) + sizeof flags;
    char *text = malloc(n), *why = NULL;
    LLVMModuleRef module;
    strcpy(text, ir);
    strcat(text, flags);
    LLVMMemoryBufferRef b = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, n - 1, "test");
    if (LLVMParseIRInContext(context, b, &module, &why)) stop("IR", why);
    free(text);
    return module;
}

uint8_t *code_from_ir(const char *processor, const char *ir, bool is_optimized, size_t *bytes) {
    LLVMContextRef context = LLVMContextCreate();
    uint8_t *code = emit(parse(context, ir), machine(processor, is_optimized), is_optimized, bytes);
    LLVMContextDispose(context);
    return code;
}

uint8_t *code_from_assembly(const char *processor, const char *text, size_t *bytes) {
    LLVMContextRef context = LLVMContextCreate();
    LLVMModuleRef module = parse(context, "");
    LLVMAppendModuleInlineAsm(module, text, strlen(text));
    uint8_t *code = emit(module, machine(processor, false), false, bytes);
    LLVMContextDispose(context);
    return code;
}

static void put64(uint8_t *at, uint64_t x) { memcpy(at, &x, sizeof x); }

uint8_t *bundle(const char *const *processors, uint8_t *const *codes, const size_t *sizes, size_t n,
                size_t *bytes) {
    size_t head = 24 + 8, place = 4096;
    uint8_t *out = calloc(1, 4096 * (2 * n + 2) + (n ? sizes[0] : 0) * 4 + 65536 * n);
    memcpy(out, "__CLANG_OFFLOAD_BUNDLE__", 24);
    put64(out + 24, n + 1);
    static const char host[] = "host-x86_64-unknown-linux-gnu-";
    put64(out + head, place);
    put64(out + head + 8, 0);
    put64(out + head + 16, strlen(host));
    memcpy(out + head + 24, host, strlen(host));
    head += 24 + strlen(host);
    for (size_t i = 0; i < n; i++) {
        char id[64];
        int k = snprintf(id, sizeof id, "hipv4-amdgcn-amd-amdhsa--%s", processors[i]);
        put64(out + head, place);
        put64(out + head + 8, sizes[i]);
        put64(out + head + 16, (uint64_t)k);
        memcpy(out + head + 24, id, (size_t)k);
        head += 24 + (size_t)k;
        memcpy(out + place, codes[i], sizes[i]);
        place = (place + sizes[i] + 4095) & ~(size_t)4095;
    }
    *bytes = place;
    return out;
}
