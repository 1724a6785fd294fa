/* Whole kernels, compiled: right numbers for every seed and number of workers, dropped barriers and
 * wrong sizes caught, counts that add up. */
#include "assemble.h"
#include "emu.h"
#include "tests/failures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a device with a program ------------------------------------------------------------------- */

typedef struct Device {
    Emu *emu;
    EmuImage *image;
} Device;

typedef struct Code {
    uint8_t *data;
    size_t bytes;
} Code;

static Code compile(const char *processor, const char *path) {
    size_t n;
    Code c;
    uint8_t *text = read_whole(path, &n);
    if (text == NULL) {
        printf("%s cannot be read\n", path);
        exit(1);
    }
    text[n] = '\0';
    c.data = code_from_ir(processor, (char *)text, true, &c.bytes);
    free(text);
    return c;
}

static Device open_device(EmuOptions options, const Code *c) {
    Device d = {emu_create(&options), NULL};
    EmuStatus status = emu_image_load(d.emu, c->data, c->bytes, &d.image);
    CHECK(status == EMU_OK, "%d: %s", status, emu_said(d.emu));
    return d;
}

static EmuStatus launch(const Device *d, const char *name, uint32_t gx, uint32_t gy, uint32_t bx,
                        const void *arguments, size_t bytes) {
    EmuKernel *kernel;
    uint32_t grid[3] = {gx, gy, 1}, block[3] = {bx, 1, 1};
    EmuStatus status = emu_image_kernel(d->image, name, &kernel);
    return status != EMU_OK ? status : emu_launch(d->emu, kernel, grid, block, 0, arguments, bytes);
}

static float *upload(const Device *d, const float *x, size_t n) {
    float *p = emu_alloc(d->emu, n * sizeof *p);
    emu_copy(d->emu, p, x, n * sizeof *x);
    return p;
}

static void numbers(float *x, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int)(seed >> 20) / 1024.0f - 2.0f;
    }
}

/* ---- one program, both processors ---------------------------------------------------------------- */

static void test_saxpy(const Device *d) {
    float x[1000], y[1000];
    numbers(x, 1000, 1);
    numbers(y, 1000, 2);
    struct {
        float *y, *x;
        float a;
        int32_t n;
    } arguments = {upload(d, y, 1000), upload(d, x, 1000), 0.3f, 1000};
    EmuStatus status = launch(d, "saxpy", 4, 1, 256, &arguments, sizeof arguments);
    CHECK(status == EMU_OK, "%s", emu_said(d->emu));
    for (int i = 0; i < 1000; i++) CHECK(arguments.y[i] == fmaf(x[i], 0.3f, y[i]), "%d", i);
    arguments.n = 1001;
    status = launch(d, "saxpy", 4, 1, 256, &arguments, sizeof arguments);
    CHECK(status == EMU_FAULT && strstr(emu_said(d->emu), "offset 4000 of the nearest one"), "%s",
          emu_said(d->emu));
    CHECK(strstr(emu_said(d->emu), "kernel saxpy, group 3 0 0") != NULL, "%s", emu_said(d->emu));
    emu_free(d->emu, arguments.y);
    emu_free(d->emu, arguments.x);
}

/* Two launches that change the same numbers have to wait for each other. */
static void test_beside(const Device *d) {
    float x[256], y[256];
    numbers(x, 256, 8);
    numbers(y, 256, 9);
    struct {
        float *y, *x;
        float a;
        int32_t n;
    } arguments = {upload(d, y, 256), upload(d, x, 256), 2.0f, 256};
    EmuStatus first = launch(d, "saxpy", 1, 1, 256, &arguments, sizeof arguments);
    EmuStatus second = launch(d, "saxpy", 1, 1, 256, &arguments, sizeof arguments);
    CHECK(first == EMU_OK && second == EMU_OK, "%s", emu_said(d->emu));
    emu_beside(d->emu, true);
    EmuStatus third = launch(d, "saxpy", 1, 1, 256, &arguments, sizeof arguments);
    CHECK(third == EMU_FAULT && strstr(emu_said(d->emu), "that another group wrote"), "%s",
          emu_said(d->emu));
    emu_beside(d->emu, false);
    CHECK(launch(d, "saxpy", 1, 1, 256, &arguments, sizeof arguments) == EMU_OK, "%s",
          emu_said(d->emu));
    emu_free(d->emu, arguments.y);
    emu_free(d->emu, arguments.x);
}

static EmuStatus run_reduce(const Device *d, float *y, const float *x) {
    const void *arguments[2] = {upload(d, y, 8), upload(d, x, 2048)};
    EmuStatus status = launch(d, "reduce", 8, 1, 256, arguments, sizeof arguments);
    memcpy(y, arguments[0], 8 * sizeof *y);
    return status;
}

static void test_reduce(const Device *d, float *first) {
    float x[2048], y[8];
    numbers(x, 2048, 3);
    EmuStatus status = run_reduce(d, y, x);
    CHECK(status == EMU_OK, "%s", emu_said(d->emu));
    for (int g = 0; g < 8; g++) {
        double sum = 0;
        for (int i = 0; i < 256; i++) sum += (double)x[256 * g + i];
        CHECK(fabs((double)y[g] - sum) < 1e-3, "%g, not %g", (double)y[g], sum);
        if (isnan(first[g])) first[g] = y[g];
        CHECK(y[g] == first[g], "another seed, another number");
    }
}

static void test_scratch(const Device *d) {
    static float x[32 * 256], y[256];
    static const float table[4] = {1, 10, 100, 1000};
    numbers(x, 32 * 256, 4);
    numbers(y, 256, 5);
    const void *arguments[2] = {upload(d, y, 256), upload(d, x, 32 * 256)};
    EmuStatus status = launch(d, "scratch", 1, 1, 256, arguments, sizeof arguments);
    CHECK(status == EMU_OK, "%s", emu_said(d->emu));
    const float *got = arguments[0];
    for (int t = 0; t < 256 && status == EMU_OK; t++) {
        float sum = 0;
        for (int m = 0; m < 32; m++) sum = fmaf(x[((m ^ t) & 31) * 256 + t], table[m & 3], sum);
        CHECK(got[t] == sum, "%d: %g, not %g", t, (double)got[t], (double)sum);
    }
}

static void test_sizes(const Device *d) {
    EmuKernel *kernel;
    uint32_t grid[3] = {3, 2, 2}, block[3] = {5, 7, 2}, n = 3 * 2 * 2 * 5 * 7 * 2;
    uint32_t *y = emu_alloc(d->emu, n * sizeof *y);
    EmuStatus status = emu_image_kernel(d->image, "sizes", &kernel);
    if (status == EMU_OK) status = emu_launch(d->emu, kernel, grid, block, 0, &y, sizeof y);
    CHECK(status == EMU_OK, "%s", emu_said(d->emu));
    for (uint32_t i = 0; i < n && status == EMU_OK; i++) CHECK(y[i] == i, "%u: %u", i, y[i]);
    emu_free(d->emu, y);
}

static void test_count(const Device *d) {
    uint32_t x[1024], want[16] = {0};
    for (uint32_t i = 0; i < 1024; i++) {
        x[i] = i * 2654435761u >> 8;
        want[x[i] & 15]++;
    }
    uint32_t *bins = emu_alloc(d->emu, 64), *values = emu_alloc(d->emu, sizeof x);
    emu_fill(d->emu, bins, 0, 4, 16);
    emu_copy(d->emu, values, x, sizeof x);
    const void *arguments[2] = {bins, values};
    EmuStatus status = launch(d, "count", 4, 1, 256, arguments, sizeof arguments);
    CHECK(status == EMU_OK, "%s", emu_said(d->emu));
    CHECK(memcmp(bins, want, sizeof want) == 0, "wrong sums");
    emu_free(d->emu, bins);
    emu_free(d->emu, values);
}

static void test_counts(const Device *d) {
    EmuKernel *kernel;
    EmuCounts c;
    emu_image_kernel(d->image, "saxpy", &kernel);
    emu_kernel_counts(kernel, &c);
    unsigned waves = 256 / emu_wave_size(d->emu);
    CHECK(c.launches == 2 && c.waves >= 4 * waves && c.waves <= 8 * waves, "%d launches, %d waves",
          (int)c.launches, (int)c.waves);
    CHECK(c.bytes_loaded >= 2 * 4000 && c.bytes_stored >= 4000, "%d bytes", (int)c.bytes_loaded);
    CHECK(c.instructions == c.vector + c.scalar + c.global + c.matrix + c.local + c.scratch,
          "they do not add up");
    emu_image_kernel(d->image, "reduce", &kernel);
    emu_kernel_counts(kernel, &c);
    CHECK(c.barriers == 4 * c.waves && c.local > 0 && c.lds_cycles > 0, "%d barriers",
          (int)c.barriers);
    char *report = emu_report(d->emu, NULL);
    CHECK(strstr(report, "\nreduce ") != NULL && strstr(report, "\nsaxpy ") != NULL, "%s", report);
    free(report);
}

static bool is_caught(const char *processor, const Code *c, const char *which, uint64_t seed) {
    float x[2048], y[8] = {0};
    Device d =
        open_device((EmuOptions){.processor = processor, .seed = seed, .drop_barrier = which}, c);
    numbers(x, 2048, 3);
    EmuStatus status = run_reduce(&d, y, x);
    CHECK(status == EMU_OK || strstr(emu_said(d.emu), "bits never written"), "%s", emu_said(d.emu));
    emu_destroy(d.emu);
    return status == EMU_FAULT;
}

/* The sum over a block is wrong without any of the barriers that a wave of another size needs: from the first wave
 * to the last or the other way round one comes too early. */
static void test_dropped(const char *processor, const Code *c, unsigned needed) {
    for (unsigned k = 0; k < needed; k++) {
        char which[16];
        snprintf(which, sizeof which, "reduce:%u", k);
        CHECK(is_caught(processor, c, which, 0) || is_caught(processor, c, which, 1),
              "%s, barrier %u", processor, k);
    }
}

static void test_refusals(const Device *d) {
    float x[256] = {0};
    const void *arguments[2] = {upload(d, x, 256), upload(d, x, 256)};
    CHECK(launch(d, "nothing", 1, 1, 256, arguments, 16) == EMU_NOT_FOUND, "%s", emu_said(d->emu));
    CHECK(launch(d, "reduce", 1, 1, 512, arguments, 16) == EMU_BAD_LAUNCH, "%s", emu_said(d->emu));
    CHECK(launch(d, "reduce", 0, 1, 256, arguments, 16) == EMU_BAD_LAUNCH, "%s", emu_said(d->emu));
    CHECK(launch(d, "reduce", 1, 1, 256, arguments, 12) == EMU_BAD_LAUNCH, "%s", emu_said(d->emu));
    EmuKernel *kernel;
    uint32_t one[3] = {1, 1, 1}, block[3] = {256, 1, 1};
    emu_image_kernel(d->image, "reduce", &kernel);
    CHECK(emu_launch(d->emu, kernel, one, block, 65536, arguments, 16) == EMU_BAD_LAUNCH, "%s",
          emu_said(d->emu));
    emu_free(d->emu, (void *)(uintptr_t)arguments[1]);
    CHECK(launch(d, "reduce", 1, 1, 256, arguments, 16) == EMU_FAULT, "memory given back is read");
}

/* Addresses whose kind is not known make flat_* instructions. */
static void test_unknown(const char *processor, const Code *known) {
    size_t bytes;
    uint8_t *data = code_from_ir(processor,
                                 "define amdgpu_kernel void @f(i64 %a) {\n"
                                 "%p = inttoptr i64 %a to ptr\n"
                                 "%x = load i32, ptr %p\nstore i32 7, ptr %p\n"
                                 "%q = getelementptr i32, ptr %p, i32 %x\n"
                                 "store i32 7, ptr %q\nret void\n}\n",
                                 true, &bytes);
    const Code c = {data, bytes};
    Device d = open_device((EmuOptions){.processor = processor}, &c);
    char *said = emu_image_unknown(d.image);
    CHECK(strncmp(said, "f: flat_load_", 13) == 0 && strstr(said, "\nf: flat_store_"), "%s", said);
    unsigned lines = 0;
    for (const char *s = said; *s != '\0'; s++) lines += *s == '\n';
    CHECK(lines == 2, "%s", said);
    emu_destroy(d.emu);
    free(said);
    free(data);
    d = open_device((EmuOptions){.processor = processor}, known);
    said = emu_image_unknown(d.image);
    CHECK(*said == '\0', "%s", said);
    emu_destroy(d.emu);
    free(said);
}

static void test_processor(const char *processor, unsigned needed) {
    float first[8];
    Code c = compile(processor, "tests/emulator/kernels/common.ll");
    for (int g = 0; g < 8; g++) first[g] = NAN;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (unsigned threads = 1; threads < 4; threads += 2) {
            Device d = open_device(
                (EmuOptions){.processor = processor, .seed = seed, .threads = threads}, &c);
            test_saxpy(&d);
            test_reduce(&d, first);
            test_scratch(&d);
            test_sizes(&d);
            test_count(&d);
            test_counts(&d);
            test_beside(&d);
            if (seed == 0) test_refusals(&d);
            emu_destroy(d.emu);
        }
    test_dropped(processor, &c, needed);
    test_unknown(processor, &c);
    free(c.data);
}

/* ---- products of matrices -------------------------------------------------------------------------- */

enum { M = 64, N = 96, K = 48 };

static uint16_t bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return (uint16_t)(u >> 16); /* the numbers of the test have few bits */
}

static void test_product(const char *processor, const char *path, uint32_t tile, uint32_t lanes) {
    static float a[M * K], b[N * K];
    static uint16_t ha[M * K], hb[N * K];
    Code c = compile(processor, path);
    Device d = open_device((EmuOptions){.processor = processor, .threads = 2}, &c);
    numbers(a, M * K, 6);
    numbers(b, N * K, 7);
    for (int i = 0; i < M * K; i++) {
        a[i] = (float)(int)(a[i] * 16) / 16;
        ha[i] = bf16(a[i]);
    }
    for (int i = 0; i < N * K; i++) {
        b[i] = (float)(int)(b[i] * 16) / 16;
        hb[i] = bf16(b[i]);
    }
    struct {
        float *out;
        uint16_t *a, *b;
        uint32_t k, ld;
    } arguments = {emu_alloc(d.emu, M * N * 4), emu_alloc(d.emu, sizeof ha),
                   emu_alloc(d.emu, sizeof hb), K, N};
    emu_copy(d.emu, arguments.a, ha, sizeof ha);
    emu_copy(d.emu, arguments.b, hb, sizeof hb);
    EmuStatus status =
        launch(&d, "product", N / tile, M / tile, lanes, &arguments, sizeof arguments);
    CHECK(status == EMU_OK, "%s", emu_said(d.emu));
    for (int i = 0; i < M && status == EMU_OK; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0, got = (double)arguments.out[i * N + j];
            for (int k = 0; k < K; k++) sum += (double)a[i * K + k] * (double)b[j * K + k];
            CHECK(fabs(got - sum) < 1e-4, "%d %d: %g, not %g", i, j, got, sum);
        }
    EmuKernel *kernel;
    EmuCounts counts;
    emu_image_kernel(d.image, "product", &kernel);
    emu_kernel_counts(kernel, &counts);
    CHECK(counts.matrix_flops == (uint64_t)2 * M * N * K, "%d operations",
          (int)counts.matrix_flops);
    emu_destroy(d.emu);
    free(c.data);
}

int main(void) {
    test_processor("gfx942", 2); /* the third is between lanes of one wave */
    test_processor("gfx1100", 3);
    test_product("gfx942", "tests/emulator/kernels/product_gfx942.ll", 32, 64);
    test_product("gfx1100", "tests/emulator/kernels/product_gfx1100.ll", 16, 32);
    if (n_failures > 0) printf("%d failures\n", n_failures);
    return n_failures > 0;
}
