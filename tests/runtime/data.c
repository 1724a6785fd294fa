/* Token data: the kinds of files, the places of samples. */
#include "check.h"

#include <jansson.h>

#include "runtime/data.h"
#include "runtime/npy.h"

static rw_message m;

static rw_data *opened(const char *path, const char *type) {
    rw_data *d = NULL;
    rw_status s = rw_data_open(path, type, &d, &m);
    CHECK(s == RW_OK, "%s: %s", path, m.text);
    return d;
}

static void refused(const char *path, const char *type, rw_status want, const char *words) {
    rw_data *d = NULL;
    rw_status s = rw_data_open(path, type, &d, &m);
    CHECK(s == want, "%s: status %d, %s", path, s, m.text);
    CHECK(d == NULL && strstr(m.text, words) != NULL, "%s: '%s' lacks '%s'", path, m.text, words);
}

static void raw_files(void) {
    static const uint8_t bytes[] = {1, 0, 255, 255, 3, 0, 0, 128};
    int32_t t[8];
    spill(in_folder("a.txt"), bytes, sizeof bytes);
    rw_data *d = opened(in_folder("a.txt"), NULL);
    CHECK(rw_data_count(d) == 8 && rw_data_row(d) == 0, "%d", (int)rw_data_count(d));
    CHECK(rw_data_find_beyond(d, 256) == 8 && rw_data_find_beyond(d, 255) == 2, "bytes");
    rw_data_close(d);
    d = opened(in_folder("a.txt"), "u16");
    rw_data_read(d, 1, 3, t);
    CHECK(rw_data_count(d) == 4 && t[0] == 65535 && t[1] == 3 && t[2] == 32768, "%d", t[0]);
    CHECK(rw_data_find_beyond(d, 65535) == 1, "%d", (int)rw_data_find_beyond(d, 65535));
    rw_data_close(d);
    spill(in_folder("a.i32"), bytes, sizeof bytes);
    d = opened(in_folder("a.i32"), NULL);
    rw_data_read(d, 0, 2, t);
    CHECK(t[0] == -65535 && rw_data_find_beyond(d, 10) == 0, "%d", t[0]);
    rw_data_close(d);
    refused(in_folder("a.i32"), "f32", RW_BAD_ARG, "u8, u16 or i32");
    spill(in_folder("odd.u16"), bytes, 7);
    refused(in_folder("odd.u16"), NULL, RW_BAD_FILE, "7 bytes");
    spill(in_folder("empty.txt"), bytes, 0);
    refused(in_folder("empty.txt"), NULL, RW_BAD_FILE, "no tokens");
    refused(in_folder("absent"), NULL, RW_IO, "absent");
}

static void arrays(void) {
    int32_t rows[2][3][5], input[4], target[4];
    for (int i = 0; i < 30; i++) (&rows[0][0][0])[i] = i;
    rw_tensor t = {.dtype = RW_I32, .rank = 3, .shape = {2, 3, 5}, .data = rows, .bytes = 120};
    CHECK(rw_npy_save(in_folder("r.npy"), &t, &m) == RW_OK, "%s", m.text);
    rw_data *d = opened(in_folder("r.npy"), NULL);
    CHECK(rw_data_count(d) == 30 && rw_data_row(d) == 5, "%d", (int)rw_data_row(d));
    rw_sampler s;
    CHECK(rw_sampler_init(&s, d, RW_ORDER_SEQUENCE, 4, 0, &m) == RW_OK, "%s", m.text);
    rw_sampler_read(&s, 7, input, target);
    CHECK(input[0] == 5 && input[3] == 8 && target[0] == 6 && target[3] == 9, "%d", input[0]);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_RANDOM, 4, 0, &m) == RW_OK, "%s", m.text);
    for (uint64_t i = 0; i < 50; i++) CHECK(rw_sampler_place(&s, i) % 5 == 0, "%d", (int)i);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_SEQUENCE, 5, 0, &m) == RW_BAD_SHAPE, "%s", m.text);
    CHECK(strstr(m.text, "rows of 5") != NULL, "%s", m.text);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_CUBE, 4, 0, &m) == RW_BAD_ARG, "%s", m.text);
    rw_data_close(d);
    double real[2] = {1, 2};
    t = (rw_tensor){.dtype = RW_F64, .rank = 1, .shape = {2}, .data = real, .bytes = 16};
    CHECK(rw_npy_save(in_folder("f.npy"), &t, &m) == RW_OK, "%s", m.text);
    refused(in_folder("f.npy"), NULL, RW_BAD_FILE, "whole numbers");
}

static void indices(void) {
    uint8_t index[34] = "MMIDIDX\0\0\1", tokens[6] = {1, 2, 3, 4, 5, 6};
    index[17] = 8;
    spill(in_folder("c.bin"), tokens, 6);
    spill(in_folder("c.idx"), index, sizeof index);
    rw_data *d = opened(in_folder("c.bin"), NULL);
    CHECK(rw_data_dtype(d) == RW_U16 && rw_data_count(d) == 3, "%d", (int)rw_data_count(d));
    rw_data_close(d);
    index[17] = 6;
    spill(in_folder("c.idx"), index, sizeof index);
    refused(in_folder("c.bin"), NULL, RW_BAD_FILE, "type 6");
    index[9] = 2;
    spill(in_folder("c.idx"), index, sizeof index);
    refused(in_folder("c.bin"), NULL, RW_BAD_FILE, "version 2");
    spill(in_folder("c.idx"), index, 10);
    refused(in_folder("c.bin"), NULL, RW_BAD_FILE, "not an index");
}

static void places(void) {
    uint8_t text[1000] = {0};
    spill(in_folder("p.txt"), text, sizeof text);
    rw_data *d = opened(in_folder("p.txt"), NULL);
    rw_sampler s, other;
    int seen_first = 0, seen_last = 0, differ = 0;
    double sum = 0;
    CHECK(rw_sampler_init(&s, d, RW_ORDER_RANDOM, 10, 1, &m) == RW_OK, "%s", m.text);
    CHECK(rw_sampler_init(&other, d, RW_ORDER_RANDOM, 10, 2, &m) == RW_OK, "%s", m.text);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t p = rw_sampler_place(&s, i);
        CHECK(p + 11 <= 1000, "%d", (int)p);
        seen_first |= p == 0;
        seen_last |= p + 11 == 1000;
        differ += p != rw_sampler_place(&other, i);
        sum += (double)p;
    }
    CHECK(seen_first && seen_last && differ > 19000, "%d %d %d", seen_first, seen_last, differ);
    CHECK(sum / 20000 > 485 && sum / 20000 < 504, "mean %g", sum / 20000);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_SEQUENCE, 10, 1, &m) == RW_OK, "%s", m.text);
    CHECK(s.places == 99 && rw_sampler_place(&s, 98) == 980 && rw_sampler_place(&s, 99) == 0,
          "%d places", (int)s.places);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_SEQUENCE, 999, 1, &m) == RW_OK, "%s", m.text);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_SEQUENCE, 1000, 1, &m) == RW_BAD_SHAPE, "%s", m.text);
    CHECK(rw_sampler_init(&s, d, RW_ORDER_CUBE, 999, 1, &m) == RW_BAD_SHAPE, "%s", m.text);
    rw_data_close(d);
    CHECK(rw_cube_prime(1498226207 / 512 - 1) == 2926181, "prime");
    CHECK(rw_cube_prime(332115325534 / 4096 - 1) == 81082817, "prime");
    CHECK(rw_cube_prime(2) == 2 && rw_cube_prime(1) == 0 && rw_cube_prime(4) == 2, "small primes");
}

/* The reference's places of the real data set. */
static bool reference(void) {
    const char *bin = shared("ref/demo.bin"), *list = shared("ref/demo_binidx.json");
    if (bin == NULL || list == NULL) return false;
    rw_data *d = opened(bin, NULL);
    json_t *all = json_load_file(list, 0, NULL), *cases = json_object_get(all, "sampler");
    CHECK((json_int_t)rw_data_count(d) == json_integer_value(json_object_get(all, "n_tokens")), "%d",
          (int)rw_data_count(d));
    for (size_t c = 0; c < json_array_size(cases); c++) {
        json_t *one = json_array_get(cases, c);
        json_t *starts = json_object_get(one, "first_16_sample_starts");
        size_t ctx = (size_t)json_integer_value(json_object_get(one, "ctx_len"));
        rw_sampler s;
        CHECK(rw_sampler_init(&s, d, RW_ORDER_CUBE, ctx, 0, &m) == RW_OK, "%s", m.text);
        CHECK((json_int_t)s.prime == json_integer_value(json_object_get(one, "magic_prime")), "%d",
              (int)s.prime);
        for (size_t i = 0; i < json_array_size(starts); i++) {
            json_int_t want = json_integer_value(json_array_get(starts, i));
            CHECK((json_int_t)rw_sampler_place(&s, i) == want, "ctx %zu, sample %zu", ctx, i);
        }
        json_int_t late = json_integer_value(json_object_get(one, "epoch3_idx5_rank1_of_2"));
        CHECK((json_int_t)rw_sampler_place(&s, 3 * 40320 + 5 * 2 + 1) == late, "ctx %zu", ctx);
    }
    json_decref(all);
    rw_data_close(d);
    return true;
}

int main(void) {
    folder_make();
    raw_files();
    arrays();
    indices();
    places();
    folder_remove();
    return reference() ? finish() : finish_without_shared();
}
