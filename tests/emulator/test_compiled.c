/* IR through LLVM's back end and the emulator, against C: what a compiler emits for arithmetic, on
 * both processors. */
#include "assemble.h"
#include "emu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h" /* the last: its names are short */

typedef enum Kind { U, Q, W, Y, BIT, F, FM, FB_RANGE, F1, F2, D, DM, H, HB16, PH, PF } Kind;

static inline uint32_t bfloat_of(float x) {
    uint32_t u = to_bits(x), low = u & 0xffff, high = u >> 16;
    if (isnan(x)) return 0x7fc0;
    return low > 0x8000 || (low == 0x8000 && (high & 1)) ? high + 1 : high;
}

typedef struct Row {
    const char *in, *out, *ir;
    Kind kind;
    uint64_t (*value)(const In *x);
} Row;

/* ---- the rows -------------------------------------------------------------------------------- */

#define JOIN2(a, b)    a##b
#define JOIN(a, b)     JOIN2(a, b)
#define VALUE_U(e)     (uint32_t)(e)
#define VALUE_W(e)     (uint16_t)(e)
#define VALUE_Y(e)     (uint8_t)(e)
#define VALUE_BIT(e)   ((e) ? 1 : 0)
#define VALUE_H(e)     (uint16_t)(e)
#define VALUE_HB16(e)  (uint16_t)(e)
#define VALUE_PH(e)    (uint32_t)(e)
#define VALUE_F(e)     to_bits((float)(e))
#define VALUE_FM(e)    to_bits((float)(e))
#define VALUE_FB_RANGE VALUE_F
#define VALUE_F1(e)    to_bits64((double)(e))
#define VALUE_F2(e)    to_bits64((double)(e))
#define VALUE_D(e)     to_bits64(e)
#define VALUE_DM(e)    to_bits64(e)
#define VALUE_Q(e)     (e)
#define VALUE_PF(e)    (e)

#define X(in, out, ir, kind, e)                                                                    \
    static uint64_t JOIN(value_, __LINE__)(const In *x) { return VALUE_##kind(e); }
#include "compiled_rows.def"
#undef X
#define X(in, out, ir, kind, e) {in, out, ir, kind, JOIN(value_, __LINE__)},
static const Row rows[] = {
#include "compiled_rows.def"
};
enum { N_ROWS = sizeof rows / sizeof *rows, N = 2048 };

static const char declarations[] =
    "declare i32 @llvm.amdgcn.workitem.id.x()\ndeclare i32 @llvm.amdgcn.workgroup.id.x()\n"
    "declare i32 @llvm.ctpop.i32(i32)\ndeclare i64 @llvm.ctpop.i64(i64)\n"
    "declare i32 @llvm.ctlz.i32(i32, i1)\ndeclare i64 @llvm.ctlz.i64(i64, i1)\n"
    "declare i32 @llvm.cttz.i32(i32, i1)\ndeclare i64 @llvm.cttz.i64(i64, i1)\n"
    "declare i32 @llvm.bswap.i32(i32)\ndeclare i64 @llvm.bitreverse.i64(i64)\n"
    "declare i32 @llvm.fshl.i32(i32, i32, i32)\ndeclare i64 @llvm.fshr.i64(i64, i64, i64)\n"
    "declare i32 @llvm.uadd.sat.i32(i32, i32)\ndeclare i32 @llvm.usub.sat.i32(i32, i32)\n"
    "declare i32 @llvm.sadd.sat.i32(i32, i32)\ndeclare i16 @llvm.ssub.sat.i16(i16, i16)\n"
    "declare i32 @llvm.abs.i32(i32, i1)\ndeclare i32 @llvm.smax.i32(i32, i32)\n"
    "declare i32 @llvm.smin.i32(i32, i32)\ndeclare i32 @llvm.umax.i32(i32, i32)\n"
    "declare i32 @llvm.umin.i32(i32, i32)\ndeclare {i32, i1} @llvm.umul.with.overflow.i32(i32, i32)\n"
    "declare float @llvm.sqrt.f32(float)\ndeclare float @llvm.fma.f32(float, float, float)\n"
    "declare float @llvm.fabs.f32(float)\ndeclare float @llvm.floor.f32(float)\n"
    "declare float @llvm.ceil.f32(float)\ndeclare float @llvm.trunc.f32(float)\n"
    "declare float @llvm.rint.f32(float)\ndeclare float @llvm.round.f32(float)\n"
    "declare float @llvm.copysign.f32(float, float)\ndeclare float @llvm.minnum.f32(float, float)\n"
    "declare float @llvm.maxnum.f32(float, float)\ndeclare float @llvm.ldexp.f32.i32(float, i32)\n"
    "declare i1 @llvm.is.fpclass.f32(float, i32)\ndeclare i32 @llvm.fptoui.sat.i32.f32(float)\n"
    "declare i32 @llvm.fptosi.sat.i32.f32(float)\ndeclare i32 @llvm.fptosi.sat.i32.f64(double)\n"
    "declare double @llvm.sqrt.f64(double)\ndeclare double @llvm.fma.f64(double, double, double)\n"
    "declare double @llvm.floor.f64(double)\ndeclare double @llvm.maxnum.f64(double, double)\n"
    "declare half @llvm.sqrt.f16(half)\ndeclare half @llvm.fma.f16(half, half, half)\n"
    "declare i16 @llvm.fptosi.sat.i16.f16(half)\n"
    "declare <2 x float> @llvm.fma.v2f32(<2 x float>, <2 x float>, <2 x float>)\n"
    "declare float @llvm.exp2.f32(float)\ndeclare float @llvm.log2.f32(float)\n"
    "declare float @llvm.exp.f32(float)\ndeclare float @llvm.log.f32(float)\n"
    "attributes #0 = { \"amdgpu-flat-work-group-size\"=\"256,256\" }\n";

/* Each row as a kernel: 24 bytes in, 8 out for each work-item. Statements stand on one line in the
 * table, two blanks between them. */
static char *put_statements(char *to, const char *ir) {
    for (; *ir != '\0'; ir++) {
        bool is_break = ir[0] == ' ' && ir[1] == ' ';
        *to++ = is_break ? '\n' : *ir;
        ir += is_break;
    }
    *to = '\0';
    return to;
}

static char *module(void) {
    char *text = malloc(N_ROWS * 2000 + sizeof declarations), *to = text;
    for (size_t i = 0; i < N_ROWS; i++) {
        const Row *r = &rows[i];
        to += sprintf(
            to,
            "define amdgpu_kernel void @k%zu(ptr addrspace(1) noalias %%in, ptr addrspace(1) noalias %%out) #0 {\n"
            "%%t0 = call i32 @llvm.amdgcn.workitem.id.x()\n%%g0 = call i32 @llvm.amdgcn.workgroup.id.x()\n"
            "%%b0 = shl i32 %%g0, 8\n%%i = add i32 %%b0, %%t0\n%%j = mul i32 %%i, 3\n%%j1 = add i32 %%j, 1\n"
            "%%j2 = add i32 %%j, 2\n"
            "%%pa = getelementptr i64, ptr addrspace(1) %%in, i32 %%j\n"
            "%%pb = getelementptr i64, ptr addrspace(1) %%in, i32 %%j1\n"
            "%%pc = getelementptr i64, ptr addrspace(1) %%in, i32 %%j2\n"
            "%%po = getelementptr i64, ptr addrspace(1) %%out, i32 %%i\n"
            "%%a = load %s, ptr addrspace(1) %%pa\n%%b = load %s, ptr addrspace(1) %%pb\n"
            "%%c = load %s, ptr addrspace(1) %%pc\n",
            i, r->in, r->in, r->in);
        to = put_statements(to, r->ir);
        bool is_bit = r->kind == BIT;
        to += sprintf(to, "%s\nstore %s %s, ptr addrspace(1) %%po\nret void\n}\n",
                      is_bit ? "\n%rz = zext i1 %r to i64" : "", is_bit ? "i64" : r->out,
                      is_bit ? "%rz" : "%r");
    }
    strcpy(to, declarations);
    return text;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool nan32(uint32_t x) { return (x & 0x7fffffff) > 0x7f800000; }
static bool same32(uint32_t x, uint32_t y) { return x == y || (nan32(x) && nan32(y)); }
static bool same16(uint32_t x, uint32_t y) {
    return (x & 0xffff) == (y & 0xffff) || ((x & 0x7fff) > 0x7c00 && (y & 0x7fff) > 0x7c00);
}

static bool near32(uint32_t x, double want, double units) {
    double got = (double)from_bits(x);
    int e;
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (isinf((float)want) || want == 0) return got == (double)(float)want;
    frexp(want, &e);
    return fabs(got - want) <= units * ldexp(1, e - 24 < -149 ? -149 : e - 24);
}

static bool fits(const Row *r, uint64_t got, const In *in) {
    uint64_t want = r->value(in);
    uint32_t x = (uint32_t)got, y = (uint32_t)want;
    bool signals_in = signals(from_bits((uint32_t)in->a)) || signals(from_bits((uint32_t)in->b));
    double fb = (double)from_bits((uint32_t)in->b);
    switch (r->kind) {
    case FB_RANGE:
        return !(fabs(fb) < 2147483648.0) || same32(x, y); /* beyond that the IR says nothing */
    case FM: return same32(x, y) || signals_in || ((x | y) & 0x7fffffff) == 0;
    case F: return same32(x, y);
    case F1: return near32(x, from_bits64(want), 1.0);
    case F2: return near32(x, from_bits64(want), 2.0);
    case D: return got == want || (isnan(from_bits64(got)) && isnan(from_bits64(want)));
    case DM:
        return got == want || isnan(from_bits64(in->a)) || isnan(from_bits64(in->b)) ||
               ((got | want) << 1) == 0;
    case H: return same16(x, y);
    case HB16: return (x & 0xffff) == y || ((x & 0x7fff) > 0x7f80 && (y & 0x7fff) > 0x7f80);
    case PH: return same16(x, y) && same16(x >> 16, y >> 16);
    case PF: return same32(x, y) && same32((uint32_t)(got >> 32), (uint32_t)(want >> 32));
    default: return got == want;
    }
}

static int check(const Row *r, const char *processor, const uint64_t *in, const uint64_t *out) {
    int bad = 0;
    for (unsigned i = 0; i < N; i++) {
        In x = {.a = in[3 * i], .b = in[3 * i + 1], .c = in[3 * i + 2], .lane = i};
        if (fits(r, out[i], &x)) continue;
        if (bad++ < 2)
            printf("%s: %s: 0x%llx instead of 0x%llx\n    a 0x%016llx b 0x%016llx c 0x%016llx\n",
                   processor, r->ir, (unsigned long long)out[i], (unsigned long long)r->value(&x),
                   (unsigned long long)x.a, (unsigned long long)x.b, (unsigned long long)x.c);
    }
    return bad;
}

static int test(const char *processor, const char *ir) {
    size_t bytes;
    int bad = 0;
    uint8_t *code = code_from_ir(processor, ir, true, &bytes);
    EmuOptions options = {.processor = processor};
    Emu *emu = emu_create(&options);
    EmuImage *image;
    uint64_t *in = emu_alloc(emu, N * 24), *out = emu_alloc(emu, N * 8), state = 7,
             *values = malloc(N * 24);
    if (emu_image_load(emu, code, bytes, &image) != EMU_OK) {
        printf("%s\n", emu_said(emu));
        return 1;
    }
    for (size_t i = 0; i < 3 * N; i++) values[i] = any_number(&state);
    emu_copy(emu, in, values, N * 24);
    for (size_t i = 0; i < N_ROWS; i++) {
        char name[16];
        EmuKernel *kernel;
        const void *arguments[2] = {in, out};
        const uint32_t grid[3] = {N / 256, 1, 1}, block[3] = {256, 1, 1};
        snprintf(name, sizeof name, "k%zu", i);
        emu_fill(emu, out, 0, 4, 2 * N);
        EmuStatus status = emu_image_kernel(image, name, &kernel);
        if (status == EMU_OK)
            status = emu_launch(emu, kernel, grid, block, 0, arguments, sizeof arguments);
        if (status != EMU_OK) printf("%s: %s\n", rows[i].ir, emu_said(emu));
        bad += status != EMU_OK || check(&rows[i], processor, in, out);
    }
    emu_destroy(emu);
    free(values);
    free(code);
    return bad;
}

int main(void) {
    char *ir = module();
    int bad = test("gfx942", ir) + test("gfx1100", ir);
    free(ir);
    if (bad > 0) printf("%d wrong\n", bad);
    return bad > 0;
}
