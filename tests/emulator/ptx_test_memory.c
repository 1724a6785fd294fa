/* Loads and stores of every size through every kind of memory, and the parameters of kernels. */
#include "ptx_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 32, BYTES = THREADS * 16 };

typedef struct Size {
    const char *type, *prefix; /* of a register that takes it */
    unsigned bytes;
} Size;

static const Size sizes[] = {
    {"u8", "%rs", 1},  {"b8", "%rs", 1},  {"s8", "%rs", 1},  {"u16", "%rs", 2}, {"s16", "%rs", 2},
    {"b16", "%rs", 2}, {"u32", "%r", 4},  {"s32", "%r", 4},  {"b32", "%r", 4},  {"f32", "%f", 4},
    {"u64", "%rd", 8}, {"s64", "%rd", 8}, {"b64", "%rd", 8}, {"f64", "%fd", 8}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const char head[] =
    ".reg .pred %p<4>; .reg .b16 %rs<9>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .f64 %fd<9>; .reg .b64 %rd<9>;\n"
    ".shared .align 16 .b8 room[512];\n"
    "mov.u32 %r8, %tid.x;\nmul.wide.u32 %rd5, %r8, %STEP;\nld.param.u64 %rd6, [a];\nld.param.u64 %rd7, [b];\n"
    "add.s64 %rd6, %rd6, %rd5;\nadd.s64 %rd7, %rd7, %rd5;\nmov.u64 %rd8, room;\nadd.s64 %rd8, %rd8, %rd5;\n";

static char *put_head(char *to, unsigned step) {
    const char *place = strstr(head, "%STEP");
    return to + sprintf(to, "%.*s%u%s", (int)(place - head), head, step, place + 5);
}

static char *put_access(char *to, const char *name, const Size *s, unsigned count, const char *at,
                        bool is_store) {
    char list[64] = "";
    for (unsigned k = 0; k < count; k++)
        sprintf(list + strlen(list), "%s%s%u", k > 0 ? ", " : "", s->prefix, k);
    const char *vector = count == 4   ? ".v4"
                         : count == 2 ? ".v2"
                                      : "",
               *open = count > 1 ? "{" : "", *close = count > 1 ? "}" : "";
    if (is_store)
        return to +
               sprintf(to, "%s%s.%s [%s], %s%s%s;\n", name, vector, s->type, at, open, list, close);
    return to +
           sprintf(to, "%s%s.%s %s%s%s, [%s];\n", name, vector, s->type, open, list, close, at);
}

/* From one buffer over local memory to another. */
static char *put_copy(char *to, unsigned i, unsigned count, bool is_read_only) {
    const Size *s = &sizes[i];
    unsigned step = s->bytes * count;
    to +=
        sprintf(to, ".visible .entry %c%u_%u(.param .u64 a, .param .u64 b) .reqntid 32, 1, 1\n{\n",
                is_read_only ? 'n' : 'c', i, count);
    to = put_head(to, step);
    to = put_access(to, is_read_only ? "ld.global.nc" : "ld.global", s, count, "%rd6", false);
    to = put_access(to, "st.shared", s, count, "%rd8", true);
    to = put_access(to, "ld.shared", s, count, "%rd8", false);
    to = put_access(to, "st.global", s, count, "%rd7", true);
    return to + sprintf(to, "ret;\n}\n");
}

static int test_copy(PtxRig *r, unsigned i, unsigned count, bool is_read_only, uint8_t *in,
                     uint8_t *out) {
    char name[32];
    uint8_t numbers[BYTES];
    unsigned bytes = sizes[i].bytes * count * THREADS;
    void *arguments[] = {in, out};
    for (unsigned k = 0; k < BYTES; k++) numbers[k] = (uint8_t)(k * 37 + i + (k >> 5));
    emu_copy(r->emu, in, numbers, BYTES);
    emu_fill(r->emu, out, 0, 4, BYTES / 4);
    snprintf(name, sizeof name, "%c%u_%u", is_read_only ? 'n' : 'c', i, count);
    if (ptx_rig_run(r, name, 1, THREADS, arguments, 2) != EMU_OK) {
        printf("%s\n", emu_said(r->emu));
        return 1;
    }
    bool good = memcmp(out, numbers, bytes) == 0 && (bytes == BYTES || out[bytes] == 0);
    if (!good) printf("%s: other bytes\n", name);
    return !good;
}

static int copies(void) {
    char *text = malloc(100000), *to = text;
    int bad = 0;
    for (unsigned i = 0; i < SIZES; i++)
        for (unsigned count = 1; count <= 4 && count * sizes[i].bytes <= 16; count *= 2)
            to = put_copy(put_copy(to, i, count, false), i, count, true);
    PtxRig *r = ptx_rig(text);
    uint8_t *in = emu_alloc(r->emu, BYTES), *out = emu_alloc(r->emu, BYTES);
    for (unsigned i = 0; i < SIZES; i++)
        for (unsigned count = 1; count <= 4 && count * sizes[i].bytes <= 16; count *= 2)
            bad += test_copy(r, i, count, false, in, out) + test_copy(r, i, count, true, in, out);
    ptx_rig_free(r);
    free(text);
    return bad;
}

/* ---- what is not a copy ---------------------------------------------------------------------- */

/* Signs reach as far as the register does; parameters of many sizes; variables by their names; a scope. */
static const char special[] =
    ".visible .global .align 8 .b8 table[8] = {1, 2, 3, 4, 5, 6, 7, 250};\n"
    ".visible .global .align 4 .u32 number = 77;\n"
    ".visible .entry special(.param .u8 p0, .param .u16 p1, .param .u32 p2, .param .u64 p3, .param .f32 p4, "
    ".param .u64 p5)\n.reqntid 1, 1, 1\n{\n"
    ".reg .b16 %rs<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<3>;\n"
    ".shared .align 4 .b8 first[12];\n.shared .align 8 .b8 second[16];\n"
    "ld.param.u64 %rd1, [p5];\n"
    "ld.param.s8 %rs1, [p0];\ncvt.u32.u16 %r1, %rs1;\nst.global.u32 [%rd1], %r1;\n"
    "ld.param.s16 %r1, [p1];\nst.global.u32 [%rd1+4], %r1;\n"
    "ld.param.s32 %rd2, [p2];\nst.global.u64 [%rd1+8], %rd2;\n"
    "ld.param.u32 %r2, [p3+4];\nst.global.u32 [%rd1+16], %r2;\n"
    "ld.param.f32 %f1, [p4];\nst.global.f32 [%rd1+20], %f1;\n"
    "mov.u64 %rd3, table;\nld.global.u8 %r3, [%rd3+7];\nst.global.u32 [%rd1+24], %r3;\n"
    "ld.global.u32 %r4, [number];\nst.global.u32 [%rd1+28], %r4;\n"
    "mov.b32 %r5, 0x1234;\nst.shared.u32 [first+8], %r5;\nmov.u64 %rd4, first+4;\nld.shared.u32 %r6, [%rd4+4];\n"
    "st.global.u32 [%rd1+32], %r6;\n"
    "mov.u64 %rd5, second;\nst.shared.u64 [%rd5+8], %rd1;\nld.shared.u32 %r7, [second+8];\n"
    "st.global.u32 [%rd1+36], %r7;\n"
    "{ .reg .b32 tmp; mov.b64 {tmp, %r8}, %rd1; /* its high half; */ st.global.u32 [%rd1+40], %r8; }\n"
    "mov.b16 %rs2, 0x8001;\nmov.b16 %rs3, 0x7ffe;\nmov.b32 %r1, {%rs2, %rs3};\nst.global.u32 [%rd1+44], %r1;\n"
    "mov.b64 %rd6, {%r1, %r5};\nst.global.u64 [%rd1+48], %rd6;\n"
    "mov.b32 {%rs4, %rs5}, %r1;\nst.global.v2.u16 [%rd1+56], {%rs5, %rs4};\n"
    "mov.b64 {%rs1, %rs2, %rs3, %rs4}, %rd6;\nmov.b64 %rd7, {%rs4, %rs3, %rs2, %rs1};\n"
    "st.global.u64 [%rd1+64], %rd7;\nret;\n}\n";

static int others(void) {
    PtxRig *r = ptx_rig(special);
    uint8_t arguments[40] = {0};
    uint32_t out[18];
    uint8_t *to = emu_alloc(r->emu, sizeof out);
    EmuKernel *k;
    const uint32_t one[3] = {1, 1, 1};
    emu_fill(r->emu, to, 0, 4, 18);
    arguments[0] = 0x85;
    arguments[3] = 0x80;
    memset(arguments + 4, 0xfe, 4);
    memcpy(arguments + 8, "abcdefgh", 8);
    memcpy(arguments + 16, &(float){2.5f}, 4);
    memcpy(arguments + 24, &to, 8);
    bool good = emu_image_kernel(r->image, "special", &k) == EMU_OK &&
                emu_kernel_info(k)->kernarg == 32 && emu_kernel_info(k)->lds == 32 &&
                emu_kernel_info(k)->arguments[5].offset == 24 &&
                emu_launch(r->emu, k, one, one, 0, arguments, 32) == EMU_OK;
    if (!good) {
        printf("special: %s\n", emu_said(r->emu));
        ptx_rig_free(r);
        return 1;
    }
    uint32_t low = (uint32_t)(uintptr_t)to, high = (uint32_t)((uint64_t)(uintptr_t)to >> 32);
    const uint32_t want[18] = {0xff85,     0xffff8000, 0xfefefefe, 0xffffffff, 0x68676665,
                               0x40200000, 250,        77,         0x1234,     low,
                               high,       0x7ffe8001, 0x7ffe8001, 0x1234,     0x80017ffe,
                               0,          0x12340000, 0x80017ffe};
    memcpy(out, to, sizeof out);
    int bad = 0;
    for (unsigned i = 0; i < 18; i++) {
        if (out[i] == want[i]) continue;
        printf("special, word %u: 0x%x, wanted 0x%x\n", i, out[i], want[i]);
        bad++;
    }
    ptx_rig_free(r);
    return bad;
}

int ptx_test_memory(void) { return copies() + others(); }
