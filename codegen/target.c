/* The table of targets, and which of them this machine is. */
#include <cpuid.h>
#include <string.h>

#include "codegen.h"

static const TargetInfo targets[] = {
#define TARGET(name, triple, cpu, features, lanes, amx)                                            \
    {name, triple, cpu, features, lanes, amx, FAMILY_X86, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
#define GPU(name, triple, cpu, features, family, wave, local, registers, units, of_unit, granule,  \
            waves, local_all, block_local, blocks)                                                 \
    {name,      triple, cpu,     features, wave,  false,     FAMILY_##family, wave,  local,        \
     registers, units,  of_unit, granule,  waves, local_all, block_local,     blocks},
#include "targets.def"
#undef TARGET
};

/* Bits of CPUID leaf 7 that x86-64-amx needs beyond x86-64-v4. */
static bool has_amx(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    bool tiles = (d >> 24 & 1) && (d >> 22 & 1), fp16 = d >> 23 & 1;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
    return tiles && fp16 && (a >> 5 & 1); /* avx512-bf16 */
}

static const char *native_name(void) {
    __builtin_cpu_init();
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512cd");
    if (!v4) return "x86-64-v3";
    return has_amx() ? "x86-64-amx" : "x86-64-v4";
}

const TargetInfo *target_find(const char *name) {
    if (strcmp(name, "native") == 0) name = native_name();
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strcmp(targets[i].name, name) == 0) return &targets[i];
    return NULL;
}
