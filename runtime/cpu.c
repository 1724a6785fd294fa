/* What code was compiled for against what this machine has: CPUID, and the registers the system saves. */
#define _GNU_SOURCE /* syscall */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };
enum { XMM_YMM = 0x6, ZMM = 0xe6, TILES = 0x60000 }; /* bits of XCR0 */

typedef struct feature {
    const char *name;
    uint32_t leaf, sub;
    uint8_t reg, bit;
    uint32_t saved; /* the system must save these registers */
} feature;

static const feature features[] = {
    {"sse3", 1, 0, ECX, 0, 0},
    {"ssse3", 1, 0, ECX, 9, 0},
    {"fma", 1, 0, ECX, 12, XMM_YMM},
    {"cx16", 1, 0, ECX, 13, 0},
    {"sse4.1", 1, 0, ECX, 19, 0},
    {"sse4.2", 1, 0, ECX, 20, 0},
    {"movbe", 1, 0, ECX, 22, 0},
    {"popcnt", 1, 0, ECX, 23, 0},
    {"avx", 1, 0, ECX, 28, XMM_YMM},
    {"f16c", 1, 0, ECX, 29, XMM_YMM},
    {"bmi", 7, 0, EBX, 3, 0},
    {"avx2", 7, 0, EBX, 5, XMM_YMM},
    {"bmi2", 7, 0, EBX, 8, 0},
    {"avx512f", 7, 0, EBX, 16, ZMM},
    {"avx512dq", 7, 0, EBX, 17, ZMM},
    {"avx512ifma", 7, 0, EBX, 21, ZMM},
    {"avx512cd", 7, 0, EBX, 28, ZMM},
    {"avx512bw", 7, 0, EBX, 30, ZMM},
    {"avx512vl", 7, 0, EBX, 31, ZMM},
    {"avx512vbmi", 7, 0, ECX, 1, ZMM},
    {"avx512vbmi2", 7, 0, ECX, 6, ZMM},
    {"gfni", 7, 0, ECX, 8, 0},
    {"vaes", 7, 0, ECX, 9, XMM_YMM},
    {"vpclmulqdq", 7, 0, ECX, 10, XMM_YMM},
    {"avx512vnni", 7, 0, ECX, 11, ZMM},
    {"avx512bitalg", 7, 0, ECX, 12, ZMM},
    {"avx512vpopcntdq", 7, 0, ECX, 14, ZMM},
    {"amx-bf16", 7, 0, EDX, 22, TILES},
    {"avx512fp16", 7, 0, EDX, 23, ZMM},
    {"amx-tile", 7, 0, EDX, 24, TILES},
    {"amx-int8", 7, 0, EDX, 25, TILES},
    {"avxvnni", 7, 1, EAX, 4, XMM_YMM},
    {"avx512bf16", 7, 1, EAX, 5, ZMM},
    {"lzcnt", 0x80000001, 0, ECX, 5, 0},
};

#define V2 "cx16 popcnt sse3 sse4.1 sse4.2 ssse3"
#define V3 V2 " avx avx2 bmi bmi2 f16c fma lzcnt movbe"
#define V4 V3 " avx512f avx512bw avx512cd avx512dq avx512vl"

/* Processors as compilers name them. */
static const struct {
    const char *name, *features;
} processors[] = {
    {"x86-64", ""},
    {"x86-64-v2", V2},
    {"x86-64-v3", V3},
    {"x86-64-v4", V4},
    {"sapphirerapids", V4
     " avx512ifma avx512vbmi avx512vbmi2 avx512vnni avx512bitalg avx512vpopcntdq avx512bf16 avx512fp16 "
     "gfni vaes vpclmulqdq avxvnni amx-tile amx-bf16 amx-int8"},
};

static uint64_t saved_registers(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1) == 0) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (uint64_t)high << 32;
}

/* 1: there; 0: not; -1: nothing is known of such a feature. */
static int has_feature(const char *name, size_t n) {
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        const feature *f = &features[i];
        if (strlen(f->name) != n || memcmp(f->name, name, n) != 0) continue;
        unsigned r[4];
        if (!__get_cpuid_count(f->leaf, f->sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX])) return 0;
        return (r[f->reg] >> f->bit & 1) != 0 && (saved_registers() & f->saved) == f->saved;
    }
    return -1;
}

static rw_status check_one(const rw_program *p, const char *name, size_t n, rw_message *m) {
    int has = has_feature(name, n);
    if (has > 0) return RW_OK;
    return rw_fail(
        m, RW_WRONG_TARGET,
        has < 0 ? "%s: it was compiled for %s and needs '%.*s', which this runtime does not know"
                : "%s: it was compiled for %s and needs %.*s, which this machine does not have",
        p->path, p->target, (int)n, name);
}

static rw_status check_need(const rw_program *p, const char *need, rw_message *m) {
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        if (strcmp(processors[i].name, need) != 0) continue;
        for (const char *s = processors[i].features; *s != '\0';) {
            size_t n = strcspn(s, " ");
            rw_status r = check_one(p, s, n, m);
            if (r != RW_OK) return r;
            s += n + (s[n] == ' ');
        }
        return RW_OK;
    }
    return check_one(p, need, strlen(need), m);
}

/* Linux gives a process the tile registers when it asks for them. */
static bool ask_for_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_TILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILEDATA) == 0;
}

rw_status cpu_check(const rw_program *p, rw_message *m) {
    if (strncmp(p->triple, "x86_64", 6) != 0)
        return rw_fail(m, RW_WRONG_TARGET,
                       "%s: it was compiled for %s, and this is an x86-64 machine", p->path,
                       p->target);
    for (uint32_t i = 0; i < p->n_needs; i++) {
        rw_status r = check_need(p, p->needs[i], m);
        if (r != RW_OK) return r;
    }
    if (p->amx && !ask_for_tiles())
        return rw_fail(m, RW_WRONG_TARGET,
                       "%s: the system does not give this process tile registers (AMX)", p->path);
    return RW_OK;
}

#else

rw_status cpu_check(const rw_program *p, rw_message *m) {
    return rw_fail(m, RW_WRONG_TARGET,
                   "%s: it was compiled for %s, and this is another kind of machine", p->path,
                   p->target);
}

#endif
