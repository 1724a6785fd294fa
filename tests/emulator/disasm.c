/* LLVM's disassembler: the only file that knows LLVM. */
#include "wave.h"

#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>

void *disassembler_create(const Processor *p) {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUDisassembler();
    return LLVMCreateDisasmCPUFeatures("amdgcn-amd-amdhsa", p->name, p->features, NULL, 0, NULL,
                                       NULL);
}

void disassembler_destroy(void *d) {
    if (d != NULL) LLVMDisasmDispose(d);
}

size_t disassemble(const Emu *emu, const uint8_t *code, size_t left, uint64_t at, char *out,
                   size_t n) {
    char text[512];
    size_t length = LLVMDisasmInstruction(emu->disassembler, (uint8_t *)(uintptr_t)code, left, at,
                                          text, sizeof text);
    size_t k = 0;
    for (const char *p = text; length > 0 && *p != '\0' && k + 1 < n; p++) {
        char c = *p == '\t' ? ' ' : *p;
        if (c == ' ' && k == 0) continue; /* it begins with a tab */
        out[k++] = c;
    }
    while (k > 0 && out[k - 1] == ' ') k--;
    out[k] = '\0';
    return length;
}
