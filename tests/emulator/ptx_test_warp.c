/* Warps: lanes that part and meet again, that read each other's registers, and products of matrices. */
#include "ptx_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 32 };

/* ---- parting --------------------------------------------------------------------------------- */

/* Each puts a number into %r1, from its own number in %r0 on. */
static const char *const pieces[] = {
    /* one of two ways */
    "and.b32 %r2, %r0, 1;\nsetp.eq.u32 %p1, %r2, 0;\n@%p1 bra EVEN;\nmul.lo.s32 %r1, %r0, 3;\nbra.uni DONE;\n"
    "EVEN:\nadd.s32 %r1, %r0, 100;\nDONE:\n",
    /* the way back stands before */
    "setp.lt.u32 %p1, %r0, 7;\nmov.u32 %r1, 5;\n@!%p1 bra FAR;\nNEAR:\nadd.s32 %r1, %r1, %r0;\nbra.uni DONE;\n"
    "FAR:\nmov.u32 %r1, 50;\nbra.uni NEAR;\nDONE:\n",
    /* loops of other lengths, one in the other */
    "mov.u32 %r1, 0;\nmov.u32 %r2, 0;\nOUTER:\nmov.u32 %r3, 0;\nINNER:\nadd.s32 %r1, %r1, 1;\nadd.s32 %r3, %r3, 1;\n"
    "setp.le.u32 %p1, %r3, %r2;\n@%p1 bra INNER;\nadd.s32 %r2, %r2, 1;\nsetp.le.u32 %p2, %r2, %r0;\n@%p2 bra OUTER;\n",
    /* some have nothing more to do */
    "mov.u32 %r1, 9;\nsetp.ge.u32 %p1, %r0, 20;\n@%p1 bra DONE;\nsetp.ge.u32 %p2, %r0, 10;\n@%p2 bra SOME;\n"
    "add.s32 %r1, %r1, %r0;\nSOME:\nadd.s32 %r1, %r1, 1;\nDONE:\n",
    /* parted they meet: sums of all are exchanged at one place that is come to on two ways */
    "and.b32 %r2, %r0, 1;\nsetp.eq.u32 %p1, %r2, 0;\nmov.u32 %r1, %r0;\n@%p1 bra EVEN;\nadd.s32 %r1, %r1, 64;\n"
    "EVEN:\nshfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;\nadd.s32 %r1, %r1, %r2;\n",
    /* only half of them meet */
    "setp.ge.u32 %p1, %r0, 16;\nmov.u32 %r1, %r0;\n@%p1 bra DONE;\n"
    "shfl.sync.bfly.b32 %r1, %r0, 3, 31, 0xffff;\nDONE:\n",
};

static uint32_t wanted(size_t piece, uint32_t i) {
    switch (piece) {
    case 0: return i % 2 ? 3 * i : i + 100;
    case 1: return i < 7 ? 5 + i : 50 + i;
    case 2: return (i + 1) * (i + 2) / 2;
    case 3: return i >= 20 ? 9 : i >= 10 ? 10 : 10 + i;
    case 4: return i / 2 * 4 + 1 + 64;
    default: return i < 16 ? i ^ 3 : i;
    }
}

/* What stands behind two ways runs once for all lanes. */
static int meets_again(PtxRig *r) {
    EmuKernel *k;
    EmuCounts c;
    emu_image_kernel(r->image, "k", &k);
    emu_kernel_counts(k, &c);
    if (c.instructions == 11) return 0;
    printf("two ways: %llu instructions, wanted 11\n", (unsigned long long)c.instructions);
    return 1;
}

static int run_piece(size_t i, uint64_t seed, uint32_t threads) {
    char text[2000];
    int bad = 0;
    snprintf(
        text, sizeof text,
        ".visible .entry k(.param .u64 a)\n{\n.reg .pred %%p<9>; .reg .b32 %%r<9>; .reg .b64 %%rd<9>;\n"
        "mov.u32 %%r0, %%tid.x;\nld.param.u64 %%rd1, [a];\nmad.wide.u32 %%rd1, %%r0, 4, %%rd1;\n"
        "%s st.global.u32 [%%rd1], %%r1;\n%s;\n}\n",
        pieces[i], seed % 2 ? "exit" : "ret");
    PtxRig *r = ptx_rig(text);
    uint32_t *out = emu_alloc(r->emu, LANES * 4);
    void *arguments[] = {out};
    emu_set_seed(r->emu, seed);
    emu_fill(r->emu, out, 0, 4, LANES);
    if (ptx_rig_run(r, "k", 1, threads, arguments, 1) != EMU_OK) {
        printf("piece %zu, seed %llu: %s\n", i, (unsigned long long)seed, emu_said(r->emu));
        bad++;
    }
    for (uint32_t k = 0; k < LANES && bad == 0; k++) {
        uint32_t want = k < threads ? wanted(i, k) : 0;
        if (out[k] == want) continue;
        printf("piece %zu, seed %llu, lane %u: %u, wanted %u\n", i, (unsigned long long)seed, k,
               out[k], want);
        bad++;
    }
    bad += i == 0 && threads == 32 && seed == 0 && bad == 0 ? meets_again(r) : 0;
    ptx_rig_free(r);
    return bad;
}

static int parting(void) {
    int bad = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        for (uint64_t seed = 0; seed < 12; seed++)
            bad += run_piece(i, seed, 32) + (i < 4 ? run_piece(i, seed, 13) : 0);
    return bad;
}

/* ---- other lanes' registers ------------------------------------------------------------------ */

/* By the manual: of which lane, b away, in segments that c cuts off. */
static int32_t lane_of(const char *mode, int32_t lane, int32_t b, int32_t c) {
    int32_t clamp = c % 32, segment = c / 256 % 32, by = b % 32;
    int32_t most = (lane & segment) | (clamp & (31 - segment)), least = lane & segment;
    int32_t from = strcmp(mode, "up") == 0     ? lane - by
                   : strcmp(mode, "down") == 0 ? lane + by
                   : strcmp(mode, "bfly") == 0 ? lane ^ by
                                               : least | (by & (31 - segment));
    if (strcmp(mode, "up") == 0) return from >= most ? from : lane;
    return from <= most ? from : lane;
}

static int shuffle(const char *mode, int32_t c) {
    char text[2000];
    int bad = 0;
    snprintf(
        text, sizeof text,
        ".visible .entry k(.param .u64 a)\n{\n.reg .b32 %%r<9>; .reg .b64 %%rd<9>;\nmov.u32 %%r0, %%laneid;\n"
        "ld.param.u64 %%rd1, [a];\nmad.wide.u32 %%rd1, %%r0, 128, %%rd1;\nmov.u32 %%r1, 0;\nmov.u32 %%r4, %d;\n"
        "mul.lo.s32 %%r2, %%r0, 7;\n",
        c);
    char *to = text + strlen(text);
    for (unsigned b = 0; b < 32; b++) {
        to += sprintf(to, "shfl.sync.%s.b32 %%r3, %%r2, %u, %%r4, 0xffffffff;\n", mode, b);
        to += sprintf(to, "st.global.u32 [%%rd1+%u], %%r3;\n", 4 * b);
        if (b == 15) break; /* the text has room for so many */
    }
    strcpy(to, "ret;\n}\n");
    PtxRig *r = ptx_rig(text);
    uint32_t *out = emu_alloc(r->emu, LANES * 128);
    void *arguments[] = {out};
    if (ptx_rig_run(r, "k", 1, 32, arguments, 1) != EMU_OK) {
        printf("shfl %s: %s\n", mode, emu_said(r->emu));
        bad++;
    }
    for (int32_t lane = 0; lane < LANES && bad == 0; lane++)
        for (int32_t b = 0; b < 16 && bad == 0; b++) {
            uint32_t want = 7 * (uint32_t)lane_of(mode, lane, b, c), got = out[lane * 32 + b];
            if (got == want) continue;
            printf("shfl %s of lane %d, %d, %d: %u, wanted %u\n", mode, lane, b, c, got, want);
            bad++;
        }
    ptx_rig_free(r);
    return bad;
}

int ptx_test_warps(void) {
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    static const int32_t ends[] = {31, 0, 15, 0x1807, 0x1000, 0x181f, 0x1c03};
    int bad = parting();
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) bad += shuffle(modes[i], ends[k]);
    return bad;
}

/* ---- products -------------------------------------------------------------------------------- */

/* Row-major A, B by columns, C: each lane takes what the manual gives it, the product is a plain one. */
static const char product[] =
    ".visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c)\n{\n"
    ".reg .b32 %%r<32>; .reg .f32 %%f<9>; .reg .b64 %%rd<9>;\n"
    "mov.u32 %%r0, %%tid.x;\nshr.u32 %%r1, %%r0, 2;\nand.b32 %%r2, %%r0, 3;\n" /* group, thread in the group */
    "ld.param.u64 %%rd1, [a];\nld.param.u64 %%rd2, [b];\nld.param.u64 %%rd3, [c];\n"
    "mad.lo.s32 %%r3, %%r1, 32, 0;\nmad.lo.s32 %%r3, %%r2, 4, %%r3;\n" /* 32 bytes a row, 4 a pair */
    "mad.wide.u32 %%rd1, %%r3, 1, %%rd1;\nmad.wide.u32 %%rd2, %%r3, 1, %%rd2;\n"
    "mad.lo.s32 %%r4, %%r2, 4, %%r3;\n" /* of C 8 */
    "mad.wide.u32 %%rd3, %%r4, 1, %%rd3;\n"
    "ld.global.u32 %%r10, [%%rd1];\nld.global.u32 %%r11, [%%rd1+256];\nld.global.u32 %%r12, [%%rd1+16];\n"
    "ld.global.u32 %%r13, [%%rd1+272];\nld.global.u32 %%r14, [%%rd2];\nld.global.u32 %%r15, [%%rd2+16];\n"
    "ld.global.v2.f32 {%%f1, %%f2}, [%%rd3];\nld.global.v2.f32 {%%f3, %%f4}, [%%rd3+256];\n"
    "mma.sync.aligned.m16n8k16.row.col.f32.%s.%s.f32 {%%f5, %%f6, %%f7, %%f8}, {%%r10, %%r11, %%r12, %%r13}, "
    "{%%r14, %%r15}, {%%f1, %%f2, %%f3, %%f4};\n"
    "st.global.v2.f32 [%%rd3], {%%f5, %%f6};\nst.global.v2.f32 [%%rd3+256], {%%f7, %%f8};\nret;\n}\n";

/* Small whole numbers in both types: any order of additions gives the same. */
static uint16_t small(int x, bool is_bfloat) {
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, 4);
    if (is_bfloat) return (uint16_t)(u >> 16);
    if (x == 0) return 0;
    int e = ilogbf(f);
    double fraction = fabs((double)x) / exp2(e) - 1;
    return (uint16_t)((x < 0 ? 0x8000 : 0) + (e + 15) * 1024 + (int)(fraction * 1024));
}

static int multiply(bool is_bfloat, uint64_t seed) {
    char text[3000];
    uint16_t a[16][16], b[8][16];
    float c[16][8];
    int na[16][16], nb[8][16], bad = 0;
    uint32_t state = 12345;
    const char *type = is_bfloat ? "bf16" : "f16";
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++) {
            state = state * 1664525u + 1013904223u;
            na[i][k] = (int)(state >> 28) - 8;
            a[i][k] = small(na[i][k], is_bfloat);
            if (i < 8) nb[i][k] = (int)(state >> 20 & 15) - 7, b[i][k] = small(nb[i][k], is_bfloat);
            if (k < 8) c[i][k] = (float)(state >> 16 & 15);
        }
    snprintf(text, sizeof text, product, type, type);
    PtxRig *r = ptx_rig(text);
    void *arguments[3] = {emu_alloc(r->emu, sizeof a), emu_alloc(r->emu, sizeof b),
                          emu_alloc(r->emu, sizeof c)};
    emu_copy(r->emu, arguments[0], a, sizeof a);
    emu_copy(r->emu, arguments[1], b, sizeof b);
    emu_copy(r->emu, arguments[2], c, sizeof c);
    emu_set_seed(r->emu, seed);
    if (ptx_rig_run(r, "k", 1, 32, arguments, 3) != EMU_OK)
        printf("mma: %s\n", emu_said(r->emu)), bad++;
    const float *got = arguments[2];
    for (int i = 0; i < 16 && bad == 0; i++)
        for (int j = 0; j < 8 && bad == 0; j++) {
            float want = c[i][j];
            for (int k = 0; k < 16; k++) want += (float)(na[i][k] * nb[j][k]);
            if (got[i * 8 + j] == want) continue;
            printf("mma %s, row %d, column %d: %g, wanted %g\n", type, i, j, (double)got[i * 8 + j],
                   (double)want);
            bad++;
        }
    ptx_rig_free(r);
    return bad;
}

int ptx_test_mma(void) { return multiply(true, 0) + multiply(false, 0) + multiply(true, 3); }
