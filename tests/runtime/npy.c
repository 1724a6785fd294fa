/* Arrays in .npy files: every type, both orders of bytes and of dimensions, damaged files. */
#include <math.h>

#include "check.h"
#include "runtime/npy.h"

/* header as text, then data, as version `major` */
static size_t build(uint8_t *out, int major, const char *header, const void *data, size_t n) {
    size_t length = strlen(header), start = major == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)major;
    out[7] = 0;
    out[8] = (uint8_t)length;
    out[9] = (uint8_t)(length >> 8);
    if (major > 1)
        out[10] = out[11] = 0;
    memcpy(out + start, header, length);
    if (n > 0)
        memcpy(out + start + length, data, n);
    return start + length + n;
}

static void expect_refused(const char *header, size_t bytes, const char *why) {
    uint8_t file[1024], zeros[512] = {0};
    rw_message m = {""};
    rw_array a;
    size_t n = build(file, 1, header, zeros, bytes);
    rw_status s = rw_npy_parse("x.npy", file, n, &a, &m);
    CHECK(s == RW_BAD_FILE, "%s: status %d", header, s);
    CHECK(strncmp(m.text, "x.npy: ", 7) == 0 && strstr(m.text, why) != NULL, "%s: %s", header,
          m.text);
    CHECK(a.storage == NULL && a.t.data == NULL, "something is left of %s", header);
    rw_array_free(&a);
}

static void test_refused(void) {
    expect_refused("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, "objects");
    expect_refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4,
                   "structured");
    expect_refused("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, "complex");
    expect_refused("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", 16, "text");
    expect_refused("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", 8, "int64");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 4, "[2]");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, "9 bytes");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", 8, "no number");
    expect_refused("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", 8, "fortran_order");
    expect_refused("{'descr': '<f4', 'fortran_order': False, }", 4, "missing");
    expect_refused("{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }", 4, "twice");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, "after");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': "
                   "(4294967296, 4294967296, 4294967296), }", 4, "[4294967296");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
                   4, "63 bits");
    expect_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4,
                   "more than 8");
    expect_refused("{'other': 1}", 4, "other than");
    expect_refused("", 0, "'{'");
}

static void test_orders(void) {
    const uint8_t big[] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0};
    const int16_t fortran[] = {1, 4, 2, 5, 3, 6}; /* [[1,2,3],[4,5,6]] column by column */
    uint8_t file[512];
    rw_message m = {""};
    rw_array a;
    for (int major = 1; major <= 3; major++) {
        size_t n = build(file, major, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
                         big, sizeof big);
        CHECK(rw_npy_parse("b", file, n, &a, &m) == RW_OK, "%s", m.text);
        const float *f = a.t.data;
        CHECK(f != NULL && f[0] == 1 && f[1] == -2, "big-endian, version %d", major);
        rw_array_free(&a);
        n = build(file, major, "{\"shape\": (2L, 3), 'descr': '<i2','fortran_order':True}  \n",
                  fortran, sizeof fortran);
        CHECK(rw_npy_parse("f", file, n, &a, &m) == RW_OK, "%s", m.text);
        const int16_t *p = a.t.data;
        for (int i = 0; i < 6; i++)
            CHECK(p != NULL && p[i] == i + 1, "Fortran order, element %d", i);
        CHECK(a.t.rank == 2 && a.t.shape[0] == 2 && a.t.shape[1] == 3, "shape");
        CHECK(strcmp(a.t.name, "f") == 0, "its name is its path: %s", a.t.name);
        rw_array_free(&a);
        rw_array_free(&a);
    }
    size_t n = build(file, 4, "{}", NULL, 0);
    CHECK(rw_npy_parse("v", file, n, &a, &m) == RW_BAD_FILE, "version 4");
}

static void test_round_trips(void) {
    const int64_t shapes[][3] = {{5, 0, 0}, {0, 3, 0}, {2, 3, 4}, {1, 1, 1}};
    const int ranks[] = {0, 1, 2, 3};
    uint64_t room[64], state = 1;
    for (int i = 0; i < 64; i++)
        room[i] = (uint64_t)dice(&state) << 32 | dice(&state);
    for (int d = 0; d < RW_DTYPES; d++) {
        for (int k = 0; k < 16; k++) {
            rw_tensor t = {.dtype = (rw_dtype)d, .rank = ranks[k / 4], .data = room};
            size_t n;
            memcpy(t.shape, shapes[k % 4], sizeof shapes[0]);
            rw_message m = {""};
            rw_array a = {.storage = NULL};
            CHECK(rw_tensor_count(&t, &n) == RW_OK, "count");
            t.bytes = n * rw_dtype_bytes(t.dtype);
            const char *path = in_folder("a.npy");
            CHECK(rw_npy_save(path, &t, &m) == RW_OK, "%s", m.text);
            CHECK(rw_npy_load(path, &a, &m) == RW_OK, "%s", m.text);
            bool is_wider = d == RW_BF16;
            CHECK(a.t.dtype == (is_wider ? RW_F32 : t.dtype) && a.t.rank == t.rank, "type");
            CHECK(is_wider || (a.t.bytes == t.bytes && memcmp(a.t.data, room, t.bytes) == 0),
                  "%s differs", rw_dtype_name(t.dtype));
            for (size_t i = 0; is_wider && i < n; i++) {
                uint32_t wide = (uint32_t)((uint16_t *)room)[i] << 16;
                CHECK(memcmp((const char *)a.t.data + 4 * i, &wide, 4) == 0, "bf16 %zu", i);
            }
            rw_array_free(&a);
        }
    }
}

static void test_bytes(void) {
    static const char expected[] =
        "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
        "                                                            \n";
    float x[3] = {1, 2, 3};
    rw_tensor t = {.dtype = RW_F32, .rank = 1, .shape = {3}, .data = x, .bytes = sizeof x};
    rw_message m = {""};
    size_t n;
    CHECK(rw_npy_save(in_folder("n.npy"), &t, &m) == RW_OK, "%s", m.text);
    uint8_t *p = slurp(in_folder("n.npy"), &n);
    CHECK(n == 140 && memcmp(p, expected, 128) == 0 && memcmp(p + 128, x, 12) == 0,
          "not numpy's bytes");
    free(p);
    t.bytes = 8;
    CHECK(rw_npy_save(in_folder("n.npy"), &t, &m) == RW_BAD_SHAPE, "bytes and shape disagree");
    CHECK(rw_npy_save(in_folder("no/such/n.npy"), &t, &m) == RW_BAD_SHAPE, "checked first");
    t.bytes = 12;
    CHECK(rw_npy_save(in_folder("no/such/n.npy"), &t, &m) == RW_IO, "no such folder");
}

/* Every prefix of a file is refused; no change of a byte does harm. */
static void test_damage(void) {
    float x[6] = {0};
    uint8_t file[256], changed[256];
    rw_message m;
    rw_array a;
    uint64_t state = 2;
    size_t n = build(file, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", x,
                     sizeof x);
    for (size_t k = 0; k < n; k++) {
        uint8_t *part = malloc(k + 1); /* so that a sanitizer sees reads behind the end */
        memcpy(part, file, k);
        CHECK(rw_npy_parse("p", part, k, &a, &m) == RW_BAD_FILE, "a prefix of %zu bytes", k);
        free(part);
    }
    for (int i = 0; i < 100000; i++) {
        memcpy(changed, file, n);
        for (uint32_t k = dice(&state) % 3 + 1; k > 0; k--)
            changed[dice(&state) % n] = (uint8_t)dice(&state);
        rw_status s = rw_npy_parse("c", changed, n, &a, &m);
        CHECK(s == RW_OK || s == RW_BAD_FILE, "change %d: status %d", i, s);
        rw_array_free(&a);
    }
}

static int test_shared(void) {
    const char *path = shared("ref/reverse_0.ids.npy");
    rw_message m = {""};
    rw_array a = {.storage = NULL};
    if (path == NULL)
        return finish_without_shared();
    CHECK(rw_npy_load(path, &a, &m) == RW_OK, "%s", m.text);
    CHECK(a.t.dtype == RW_I32 && a.t.rank == 1 && a.t.shape[0] == 3, "reverse_0.ids");
    rw_array_free(&a);
    path = shared("ref/retinex12_tiny32.out.npy");
    CHECK(path != NULL && rw_npy_load(path, &a, &m) == RW_OK, "%s", m.text);
    CHECK(a.t.dtype == RW_F32 && a.t.rank == 3 && a.t.shape[1] == 32 && a.t.shape[2] == 40, "tiny32");
    rw_array_free(&a);
    return finish();
}

int main(void) {
    rw_array a;
    rw_message m = {""};
    folder_make();
    test_refused();
    test_orders();
    test_round_trips();
    test_bytes();
    test_damage();
    CHECK(rw_npy_load(in_folder("none.npy"), &a, &m) == RW_IO, "%s", m.text);
    CHECK(rw_npy_load(folder, &a, &m) == RW_IO && strstr(m.text, "folder") != NULL, "%s", m.text);
    folder_remove();
    return test_shared();
}
