/* Element types: tables, shapes, and rounding from one type into another. */
#include <math.h>

#include "check.h"
#include "runtime/tensor.h"

static void test_tables(void) {
    for (int d = 0; d < RW_DTYPES; d++) {
        size_t n = rw_dtype_bytes((rw_dtype)d);
        CHECK(n == 1 || n == 2 || n == 4 || n == 8, "type %d has %zu bytes", d, n);
        CHECK(rw_dtype_find(rw_dtype_name((rw_dtype)d)) == (rw_dtype)d, "type %d", d);
    }
    CHECK(rw_dtype_bytes(RW_DTYPES) == 0, "no type has bytes");
    CHECK(strcmp(rw_dtype_name(RW_DTYPES), "?") == 0, "no type has a name");
    CHECK(rw_dtype_find("float") == RW_DTYPES, "no type is called float");
    CHECK(rw_dtype_is_float(RW_BF16) && !rw_dtype_is_float(RW_I32), "families");
}

static void test_shapes(void) {
    char text[64];
    size_t n = 7;
    rw_tensor t = {.dtype = RW_F32, .rank = 0};
    CHECK(rw_tensor_count(&t, &n) == RW_OK && n == 1, "a scalar has %zu elements", n);
    CHECK(strcmp(rw_tensor_shape(&t, text, sizeof text), "[]") == 0, "%s", text);
    t = (rw_tensor){.dtype = RW_F64, .rank = 3, .shape = {2, 0, INT64_MAX}};
    CHECK(rw_tensor_count(&t, &n) == RW_OK && n == 0, "empty: %zu", n);
    t = (rw_tensor){.dtype = RW_F64, .rank = 3, .shape = {INT64_MAX, INT64_MAX, 0}};
    CHECK(rw_tensor_count(&t, &n) == RW_OK && n == 0, "empty whatever comes before: %zu", n);
    t = (rw_tensor){.dtype = RW_F32, .rank = 2, .shape = {3, 4}};
    CHECK(rw_tensor_count(&t, &n) == RW_OK && n == 12, "%zu", n);
    CHECK(strcmp(rw_tensor_shape(&t, text, sizeof text), "[3,4]") == 0, "%s", text);
    CHECK(strcmp(rw_tensor_shape(&t, text, 4), "[3,") == 0, "cut: %s", text);
    t.shape[0] = -1;
    CHECK(rw_tensor_count(&t, &n) == RW_BAD_SHAPE, "a negative dimension");
    t = (rw_tensor){.dtype = RW_U8, .rank = 2, .shape = {(int64_t)1 << 32, (int64_t)1 << 32}};
    CHECK(rw_tensor_count(&t, &n) == RW_BAD_SHAPE, "2^64 elements");
    t = (rw_tensor){.dtype = RW_F64, .rank = 1, .shape = {(int64_t)1 << 61}};
    CHECK(rw_tensor_count(&t, &n) == RW_BAD_SHAPE, "2^64 bytes");
    t = (rw_tensor){.dtype = RW_F32, .rank = 9};
    CHECK(rw_tensor_count(&t, &n) == RW_BAD_SHAPE, "nine dimensions");
    t = (rw_tensor){.dtype = RW_DTYPES, .rank = 1, .shape = {1}};
    CHECK(rw_tensor_count(&t, &n) == RW_BAD_SHAPE, "no element type");
}

/* Each 16-bit pattern becomes a double and comes back as it was (NaNs as quiet ones). */
static void test_all_patterns(void) {
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        double x = rw_f16_to_f64(h), y = rw_bf16_to_f64(h);
        uint16_t f = rw_f64_to_f16(x), b = rw_f64_to_bf16(y);
        if (x != x)
            CHECK(f == ((h & 0x8000) | 0x7e00), "f16 NaN %04x -> %04x", h, f);
        else
            CHECK(f == h, "f16 %04x -> %g -> %04x", h, x, f);
        if (y != y)
            CHECK(b == ((h & 0x8000) | 0x7fc0), "bf16 NaN %04x -> %04x", h, b);
        else
            CHECK(b == h, "bf16 %04x -> %g -> %04x", h, y, b);
    }
}

/* Between neighbours a < b: below the middle is a, above is b, the middle is the even one. */
static void check_between(uint16_t a, double x, double y, uint16_t (*narrow)(double)) {
    double middle = x + (y - x) / 2;
    uint16_t even = (uint16_t)(a + (a & 1));
    CHECK(narrow(middle) == even, "%04x: middle %a -> %04x", a, middle, narrow(middle));
    CHECK(narrow(nextafter(middle, -INFINITY)) == a, "%04x: below the middle", a);
    CHECK(narrow(nextafter(middle, INFINITY)) == a + 1, "%04x: above the middle", a);
    CHECK(narrow(-middle) == (even | 0x8000), "%04x: minus the middle", a);
}

static void test_rounding(void) {
    for (uint16_t a = 0; a < 0x7bff; a++)
        check_between(a, rw_f16_to_f64(a), rw_f16_to_f64((uint16_t)(a + 1)), rw_f64_to_f16);
    for (uint16_t a = 0; a < 0x7f7f; a++)
        check_between(a, rw_bf16_to_f64(a), rw_bf16_to_f64((uint16_t)(a + 1)), rw_f64_to_bf16);
    CHECK(rw_f64_to_f16(65519.99) == 0x7bff, "largest f16");
    CHECK(rw_f64_to_f16(65520) == 0x7c00, "first infinite f16");
    CHECK(rw_f64_to_f16(-1e300) == 0xfc00, "minus infinity");
    CHECK(rw_f64_to_f16(-0x1p-26) == 0x8000, "signed zero");
    CHECK(rw_f64_to_f16(5e-324) == 0 && rw_f64_to_bf16(5e-324) == 0, "subnormal doubles");
    CHECK(rw_f64_to_bf16(1e300) == 0x7f80, "infinite bf16");
    /* twice rounded (by f32) this would be 0x3c01: one rounding gives 0x3c00 */
    CHECK(rw_f64_to_f16(1 + 0x1p-11 - 0x1p-40) == 0x3c00, "one rounding, not two");
}

static void test_f32_and_integers(void) {
    double src[] = {0.5, 1.5, 2.5, -0.5, -1.5, 1e30, -1e30, NAN, 127.5, -128.6, 254.5, 3};
    enum { N = sizeof src / sizeof *src };
    int8_t i8[N], i8_expected[N] = {0, 2, 2, 0, -2, 127, -128, 0, 127, -128, 127, 3};
    uint8_t u8[N], u8_expected[N] = {0, 2, 2, 0, 0, 255, 0, 0, 128, 0, 254, 3};
    int64_t i64[N];
    uint8_t truth[N];
    float f32[N];
    rw_f64_to(RW_I8, src, i8, N);
    rw_f64_to(RW_U8, src, u8, N);
    rw_f64_to(RW_I64, src, i64, N);
    rw_f64_to(RW_BOOL, src, truth, N);
    rw_f64_to(RW_F32, src, f32, N);
    for (int i = 0; i < N; i++) {
        CHECK(i8[i] == i8_expected[i], "%g -> %d", src[i], i8[i]);
        CHECK(u8[i] == u8_expected[i], "%g -> %d", src[i], u8[i]);
        CHECK(truth[i] == 1, "%g is true", src[i]);
        CHECK(i == 7 ? f32[i] != f32[i] : f32[i] == (float)src[i], "%g -> %g", src[i], f32[i]);
    }
    CHECK(i64[5] == INT64_MAX && i64[6] == INT64_MIN && i64[11] == 3, "ends of i64");
    float narrow[] = {1.0f, 0x1.004p0f, 0x1.00cp0f, 0};
    uint16_t half[4];
    rw_f32_to(RW_F16, narrow, half, 4);
    CHECK(half[0] == 0x3c00 && half[1] == 0x3c01 && half[2] == 0x3c03 && half[3] == 0, "f32 -> f16");
    rw_f32_to(RW_BOOL, narrow, truth, 4);
    CHECK(truth[0] == 1 && truth[3] == 0, "f32 -> bool");
}

/* Values every type holds go out and come back by each of the three readers. */
static void test_all_types(void) {
    double src[] = {0, 1, 0, 1, 1}, back[5];
    for (int d = 0; d < RW_DTYPES; d++) {
        uint64_t room[5];
        float f32[5];
        int64_t i64[5];
        rw_message m = {""};
        rw_tensor t = {.name = "t", .dtype = (rw_dtype)d, .rank = 1, .shape = {5}, .data = room,
                       .bytes = 5 * rw_dtype_bytes((rw_dtype)d)};
        rw_f64_to(t.dtype, src, room, 5);
        rw_tensor_to_f64(&t, back);
        rw_tensor_to_f32(&t, f32);
        rw_status s = rw_tensor_to_i64(&t, i64, &m);
        CHECK(s == (rw_dtype_is_float(t.dtype) ? RW_BAD_SHAPE : RW_OK), "%s", rw_dtype_name(t.dtype));
        CHECK(s == RW_OK || strstr(m.text, "t: ") == m.text, "%s", m.text);
        for (int i = 0; i < 5; i++) {
            CHECK(back[i] == src[i], "%s: %g", rw_dtype_name(t.dtype), back[i]);
            CHECK(f32[i] == (float)src[i], "%s: %g", rw_dtype_name(t.dtype), f32[i]);
            CHECK(s != RW_OK || i64[i] == (int64_t)src[i], "%s", rw_dtype_name(t.dtype));
        }
    }
}

static void test_messages(void) {
    rw_message m;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK(rw_fail(&m, RW_IO, "%s", text) == RW_IO && strlen(m.text) == sizeof m.text - 1, "cut");
    CHECK(rw_fail(NULL, RW_DRIVER, "%d", 1) == RW_DRIVER, "no message wanted");
    for (int s = RW_OK; s <= RW_DRIVER; s++)
        CHECK(strcmp(rw_status_name((rw_status)s), "unknown status") != 0, "code %d", s);
}

int main(void) {
    test_tables();
    test_shapes();
    test_all_patterns();
    test_rounding();
    test_f32_and_integers();
    test_all_types();
    test_messages();
    return finish();
}
