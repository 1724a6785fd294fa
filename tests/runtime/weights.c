/* Files of weights: what sound ones give, round trips, and the real files of the shared folder. */
#include <math.h>

#include "build.h"
#include "check.h"
#include "runtime/weights.h"

/* ---- helpers ------------------------------------------------------------------------------- */

static rw_weights *open_sound(const char *path) {
    rw_message m = {""};
    rw_weights *w = NULL;
    CHECK(path != NULL && rw_weights_open(path, &w, &m) == RW_OK, "%s", m.text);
    return w;
}

static void check_equal(const rw_tensor *a, const rw_tensor *b) {
    char x[128], y[128];
    CHECK(a != NULL && b != NULL, "a tensor is missing");
    if (a == NULL || b == NULL)
        return;
    CHECK(a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes &&
              memcmp(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]) == 0,
          "%s: %s %s, %s %s", a->name, rw_dtype_name(a->dtype), rw_tensor_shape(a, x, sizeof x),
          rw_dtype_name(b->dtype), rw_tensor_shape(b, y, sizeof y));
    CHECK(a->bytes != b->bytes || a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0,
          "%s: data differ", a->name);
    CHECK((uintptr_t)a->data % rw_dtype_bytes(a->dtype) == 0 || a->bytes == 0, "%s: not aligned",
          a->name);
}

/* Same names in the same order, same tensors. */
static void check_same_files(const char *a, const char *b) {
    rw_weights *x = open_sound(a), *y = open_sound(b);
    if (x != NULL && y != NULL) {
        CHECK(rw_weights_count(x) == rw_weights_count(y), "%s, %s: counts", a, b);
        for (size_t i = 0; i < rw_weights_count(x) && i < rw_weights_count(y); i++) {
            CHECK(strcmp(rw_weights_at(x, i)->name, rw_weights_at(y, i)->name) == 0, "%s: order", b);
            check_equal(rw_weights_at(x, i), rw_weights_at(y, i));
        }
    }
    rw_weights_close(x);
    rw_weights_close(y);
}

static rw_status save_all(const rw_weights *w, const char *path, rw_message *m) {
    size_t n = rw_weights_count(w);
    rw_tensor *t = calloc(n + 1, sizeof *t);
    for (size_t i = 0; i < n; i++)
        t[i] = *rw_weights_at(w, i);
    rw_status s = rw_weights_save(path, t, n, NULL, m);
    free(t);
    return s;
}

/* ---- saving and opening -------------------------------------------------------------------- */

static size_t make_tensors(rw_tensor *t, char (*names)[32], uint64_t *room) {
    const int64_t shapes[][4] = {{3, 5}, {0, 4}, {7}, {1, 2, 1, 4}};
    const int ranks[] = {2, 2, 1, 4};
    size_t n = 0, count;
    for (int d = 0; d < RW_DTYPES; d++) {
        for (int k = 0; k < 5; k++, n++) {
            snprintf(names[n], sizeof names[n], "%s.\xc3\xbc/%d", rw_dtype_name((rw_dtype)d), k);
            t[n] = (rw_tensor){.name = names[n], .dtype = (rw_dtype)d, .data = room};
            t[n].rank = k < 4 ? ranks[k] : 0;
            if (k < 4)
                memcpy(t[n].shape, shapes[k], sizeof shapes[k]);
            CHECK(rw_tensor_count(&t[n], &count) == RW_OK, "count");
            t[n].bytes = count * rw_dtype_bytes(t[n].dtype);
        }
    }
    return n;
}

static void test_round_trips(void) {
    enum { N = 5 * RW_DTYPES };
    static const char *const meta[] = {"step", "12", "text", "a \"quoted\" \xe4\xb8\xad", NULL};
    const char *const endings[] = {"w.safetensors", "w.pth"};
    rw_tensor t[N];
    char names[N][32];
    uint64_t room[16], state = 3;
    size_t size[2];
    for (int i = 0; i < 16; i++)
        room[i] = (uint64_t)dice(&state) << 32 | dice(&state);
    size_t n = make_tensors(t, names, room);
    for (int e = 0; e < 2; e++) {
        rw_message m = {""};
        const char *path = in_folder(endings[e]);
        CHECK(rw_weights_save(path, t, n, meta, &m) == RW_OK, "%s", m.text);
        uint8_t *first = slurp(path, &size[0]);
        CHECK(rw_weights_save(path, t, n, meta, &m) == RW_OK, "%s", m.text);
        uint8_t *again = slurp(path, &size[1]);
        CHECK(size[0] == size[1] && memcmp(first, again, size[0]) == 0, "%s: not the same bytes",
              path);
        free(first);
        free(again);
        rw_weights *w = open_sound(path);
        if (w == NULL)
            continue;
        CHECK(strcmp(rw_weights_kind(w), e == 0 ? "safetensors" : "pth") == 0, "kind");
        CHECK(rw_weights_count(w) == n, "%zu tensors", rw_weights_count(w));
        for (size_t i = 0; i < n; i++) {
            check_equal(rw_weights_at(w, i), &t[i]);
            CHECK(rw_weights_find(w, t[i].name) == rw_weights_at(w, i), "%s", t[i].name);
        }
        CHECK(rw_weights_find(w, "nothing") == NULL && rw_weights_at(w, n) == NULL, "absent");
        for (int k = 0; k < 4; k += 2)
            CHECK(rw_weights_meta(w, meta[k]) != NULL &&
                      strcmp(rw_weights_meta(w, meta[k]), meta[k + 1]) == 0, "meta %s", meta[k]);
        CHECK(rw_weights_meta(w, "other") == NULL, "absent");
        rw_weights_close(w);
    }
    check_same_files(in_folder("w.safetensors"), in_folder("w.pth"));
}

static void test_no_tensors(void) {
    rw_message m = {""};
    const char *const endings[] = {"none.safetensors", "none.pth"};
    for (int e = 0; e < 2; e++) {
        CHECK(rw_weights_save(in_folder(endings[e]), NULL, 0, NULL, &m) == RW_OK, "%s", m.text);
        rw_weights *w = open_sound(in_folder(endings[e]));
        CHECK(w != NULL && rw_weights_count(w) == 0 && rw_weights_find(w, "x") == NULL, "none");
        rw_weights_close(w);
    }
    rw_weights_close(NULL);
}

static void test_bad_saves(void) {
    float x[4] = {0};
    rw_tensor t[2] = {{.name = "a", .dtype = RW_F32, .rank = 1, .shape = {4}, .data = x, .bytes = 16},
                      {.name = "b", .dtype = RW_F32, .rank = 1, .shape = {4}, .data = x, .bytes = 16}};
    rw_message m = {""};
    const char *st = in_folder("bad.safetensors"), *pth = in_folder("bad.pth");
    CHECK(rw_weights_save(in_folder("bad.bin"), t, 2, NULL, &m) == RW_BAD_ARG, "%s", m.text);
    t[1].name = "a";
    CHECK(rw_weights_save(st, t, 2, NULL, &m) == RW_BAD_ARG && strstr(m.text, "'a'"), "%s", m.text);
    t[1].name = "";
    CHECK(rw_weights_save(pth, t, 2, NULL, &m) == RW_BAD_ARG, "%s", m.text);
    t[1].name = "\xff";
    CHECK(rw_weights_save(pth, t, 2, NULL, &m) == RW_BAD_ARG, "%s", m.text);
    t[1].name = "__metadata__";
    CHECK(rw_weights_save(st, t, 2, NULL, &m) == RW_BAD_ARG, "%s", m.text);
    t[1].name = "b";
    t[1].bytes = 12;
    CHECK(rw_weights_save(st, t, 2, NULL, &m) == RW_BAD_SHAPE, "%s", m.text);
    t[1].bytes = 16;
    t[1].data = NULL;
    CHECK(rw_weights_save(st, t, 2, NULL, &m) == RW_BAD_SHAPE, "%s", m.text);
    CHECK(access(st, F_OK) != 0 && access(pth, F_OK) != 0, "a file was left");
}

/* ---- files made by hand -------------------------------------------------------------------- */

/* Bytes of a tensor as floats; NULL if it is missing or has another size. */
static const float *floats(const rw_weights *w, const char *name, size_t n) {
    const rw_tensor *t = w != NULL ? rw_weights_find(w, name) : NULL;
    CHECK(t != NULL && t->dtype == RW_F32 && t->bytes == 4 * n, "%s is missing or has other bytes",
          name);
    return t != NULL && t->bytes == 4 * n ? t->data : NULL;
}

static void test_unaligned_safetensors(void) {
    static const char text[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                               "\"b\\u00fc\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}} ";
    float x[2] = {1.5f, -2};
    bytes b = {NULL, 0, 0};
    add_int(&b, sizeof text - 1, 8);
    add_text(&b, text);
    add_int(&b, 7, 1);
    add(&b, x, sizeof x);
    spill(in_folder("u.safetensors"), b.p, b.n);
    rw_weights *w = open_sound(in_folder("u.safetensors"));
    const float *f = floats(w, "b\xc3\xbc", 2);
    CHECK(f != NULL && f[0] == 1.5f && f[1] == -2 && (uintptr_t)f % 4 == 0, "values");
    rw_weights_close(w);
    free(b.p);
}

/* Views over one storage 0, 1, ... 23: transposed, with a step, expanded, tied, empty, scalar. */
static void test_views(void) {
    static const struct {
        const char *name;
        int64_t offset;
        int rank;
        int64_t shape[4], stride[4];
        float first, last;
        size_t n;
    } views[] = {
        {"plain", 0, 2, {4, 6}, {6, 1}, 0, 23, 24},
        {"transposed", 0, 2, {6, 4}, {1, 6}, 0, 23, 24},
        {"part", 7, 2, {2, 2}, {6, 2}, 7, 15, 4},
        {"expanded", 3, 3, {5, 1, 2}, {0, 9, 1}, 3, 4, 10},
        {"ones", 4, 4, {1, 2, 1, 3}, {100, 3, 50, 1}, 4, 9, 6},
        {"scalar", 23, 0, {0}, {0}, 23, 23, 1},
        {"empty", 24, 2, {0, 3}, {3, 1}, 0, 0, 0},
    };
    enum { N = sizeof views / sizeof *views };
    float data[24];
    for (int wide = 0; wide < 2; wide++) {
        bytes p = {NULL, 0, 0};
        archive z = {.is_wide = wide};
        for (int i = 0; i < 24; i++)
            data[i] = (float)i;
        add_text(&p, "\x80\x02}(");
        for (int i = 0; i < N; i++) {
            p_text(&p, views[i].name);
            p_tensor(&p, "0", 24, views[i].offset, views[i].rank, views[i].shape, views[i].stride);
        }
        add_text(&p, "u.");
        make_pth(&z, &p, data, 24);
        spill(in_folder("v.pth"), z.file.p, z.file.n);
        rw_weights *w = open_sound(in_folder("v.pth"));
        for (int i = 0; i < N; i++) {
            const float *f = floats(w, views[i].name, views[i].n);
            CHECK(views[i].n == 0 || (f != NULL && f[0] == views[i].first &&
                                      f[views[i].n - 1] == views[i].last), "%s", views[i].name);
        }
        const float *t = floats(w, "transposed", 24);
        CHECK(t != NULL && t[1] == 6 && t[4] == 1, "transposed");
        rw_weights_close(w);
        reset_archive(&z);
        free(p.p);
    }
}

static void test_nested(void) {
    const int64_t one[] = {1};
    const float data[] = {5};
    bytes p = {NULL, 0, 0};
    archive z = {.n = 0};
    /* {"model": {"w": T, "n": None}, 3: [T, (T,)], "lr": 0.5, "again": the first dict} */
    add_text(&p, "\x80\x02}(");
    p_text(&p, "model");
    add_text(&p, "}q\x09(");
    p_text(&p, "w");
    p_tensor(&p, "0", 1, 0, 1, one, one);
    p_text(&p, "n");
    add_text(&p, "Nu" "K\x03](");
    p_tensor(&p, "0", 1, 0, 1, one, one);
    p_tensor(&p, "0", 1, 0, 1, one, one);
    add_text(&p, "\x85" "e");
    p_text(&p, "lr");
    add_text(&p, "G????????");
    p_text(&p, "again");
    add_text(&p, "h\x09u.");
    make_pth(&z, &p, data, 1);
    spill(in_folder("n.pth"), z.file.p, z.file.n);
    rw_weights *w = open_sound(in_folder("n.pth"));
    const char *const names[] = {"model.w", "3.0", "3.1.0", "again.w"};
    CHECK(w != NULL && rw_weights_count(w) == 4, "four leaves are tensors");
    for (size_t i = 0; w != NULL && i < 4 && i < rw_weights_count(w); i++)
        CHECK(strcmp(rw_weights_at(w, i)->name, names[i]) == 0, "%s", rw_weights_at(w, i)->name);
    rw_weights_close(w);
    reset_archive(&z);
    free(p.p);
}

/* Blocks whose numbers can be told by hand: scale 2, minimum 1; number i has the 4 bits i % 16,
 * fifth bit i % 2. */
static void test_quantised(void) {
    static const struct {
        int type;
        bool has_minimum, has_fifth;
    } kinds[] = {{2, false, false}, {3, true, false}, {7, false, true}, {8, true, true},
                 {9, false, false}};
    const int64_t dims[] = {1, 32};
    bytes f = {NULL, 0, 0};
    add_ggmf_header(&f, 101, 7);
    for (int k = 0; k < 5; k++) {
        bytes b = {NULL, 0, 0};
        char name[8];
        add_int(&b, 0x4000, 2);
        if (kinds[k].has_minimum)
            add_int(&b, 0x3c00, 2);
        if (kinds[k].has_fifth)
            add_int(&b, 0xaaaaaaaau, 4);
        for (int i = 0; i < (kinds[k].type == 9 ? 32 : 16); i++)
            add_int(&b, (uint64_t)(kinds[k].type == 9 ? i - 16 : i | i << 4), 1);
        snprintf(name, sizeof name, "t%d", kinds[k].type);
        add_ggmf_tensor(&f, name, kinds[k].type, 2, dims, b.p, b.n);
        free(b.p);
    }
    spill(in_folder("q.bin"), f.p, f.n);
    rw_weights *w = open_sound(in_folder("q.bin"));
    for (int k = 0; k < 5; k++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", kinds[k].type);
        const float *x = floats(w, name, 32);
        for (int i = 0; x != NULL && i < 32; i++) {
            int q = kinds[k].type == 9 ? i - 16 : i % 16 + (kinds[k].has_fifth ? i % 2 * 16 : 0);
            int zero = kinds[k].type == 9 || kinds[k].has_minimum ? 0 : kinds[k].has_fifth ? 16 : 8;
            float expected = (float)(2 * (q - zero) + (kinds[k].has_minimum ? 1 : 0));
            CHECK(x[i] == expected, "type %d, %d: %g, expected %g", kinds[k].type, i,
                  (double)x[i], (double)expected);
        }
    }
    CHECK(w != NULL && strcmp(rw_weights_meta(w, "data_type"), "7") == 0, "its header");
    rw_weights_close(w);
    free(f.p);
}

/* ---- the shared files ---------------------------------------------------------------------- */

static void check_count(const char *name, const char *kind, size_t n) {
    rw_weights *w = open_sound(shared(name));
    CHECK(w != NULL && strcmp(rw_weights_kind(w), kind) == 0, "%s", name);
    CHECK(w != NULL && rw_weights_count(w) == n, "%s", name);
    rw_weights_close(w);
}

static void check_odd(void) {
    rw_weights *a = open_sound(shared("ref/odd.pth"));
    rw_weights *b = open_sound(shared("ref/odd.expected.safetensors"));
    CHECK(a != NULL && b != NULL && rw_weights_count(a) == rw_weights_count(b), "counts");
    for (size_t i = 0; a != NULL && b != NULL && i < rw_weights_count(a); i++)
        check_equal(rw_weights_at(a, i), rw_weights_find(b, rw_weights_at(a, i)->name));
    rw_weights_close(a);
    rw_weights_close(b);
}

/* Both files of one model: numbers of the FP16 one are those of the FP32 one, rounded. */
static void check_tiny(void) {
    rw_weights *a = open_sound(shared("tiny-rwkv-7v0-834K-FP32.bin"));
    rw_weights *b = open_sound(shared("tiny-rwkv-7v0-834K-FP16.bin"));
    size_t n_half = 0;
    for (size_t i = 0; a != NULL && b != NULL && i < rw_weights_count(a); i++) {
        const rw_tensor *x = rw_weights_at(a, i), *y = rw_weights_find(b, x->name);
        CHECK(y != NULL, "%s", x->name);
        if (y == NULL || y->dtype == RW_F32) {
            check_equal(x, y);
            continue;
        }
        size_t n = x->bytes / 4;
        uint16_t *half = malloc(2 * n);
        rw_f32_to(RW_F16, x->data, half, n);
        CHECK(y->bytes == 2 * n && memcmp(half, y->data, 2 * n) == 0, "%s", x->name);
        free(half);
        n_half++;
    }
    CHECK(n_half > 50, "%zu in f16", n_half);
    CHECK(a != NULL && strcmp(rw_weights_meta(a, "n_embed"), "64") == 0, "n_embed");
    rw_weights_close(a);
    rw_weights_close(b);
}

static void check_real_round_trip(const char *name) {
    rw_message m = {""};
    const char *path = shared(name);
    const char *const via[] = {"r.safetensors", "r.pth", "s.safetensors"};
    rw_weights *w = open_sound(path);
    if (w == NULL)
        return;
    for (int i = 0; i < 3; i++) {
        CHECK(save_all(w, in_folder(via[i]), &m) == RW_OK, "%s", m.text);
        rw_weights_close(w);
        check_same_files(path, in_folder(via[i]));
        w = open_sound(in_folder(via[i]));
    }
    rw_weights_close(w);
}

static void test_shared(void) {
    check_count("best_model_nfeat_12.pth", "pth", 202);
    check_count("260123_reverse_L2_only_rwkv7.pth", "pth", 99);
    check_count("ref/train_L2D128.warm.bf16.pth", "pth", 72);
    check_count("ref/train_L2D128.init.safetensors", "safetensors", 72);
    check_count("ref/odd.expected.safetensors", "safetensors", 18);
    check_count("ref/odd_nested.pth", "pth", 2);
    check_count("tiny-rwkv-7v0-834K-FP32.bin", "ggmf", 339);
    check_count("tiny-rwkv-5v2-730K-FP32.bin", "ggmf", 270);
    check_count("tiny-rwkv-4v0-660K-FP32.bin", "ggmf", 78);
    check_odd();
    check_tiny();
    check_real_round_trip("best_model_nfeat_12.pth");
    check_real_round_trip("ref/odd.pth");
    check_real_round_trip("ref/odd_nested.pth");
    check_real_round_trip("ref/train_L2D128.warm.bf16.pth");
}

int main(void) {
    bool has_shared = shared("README.md") != NULL;
    folder_make();
    test_round_trips();
    test_no_tensors();
    test_bad_saves();
    test_unaligned_safetensors();
    test_views();
    test_nested();
    test_quantised();
    if (has_shared)
        test_shared();
    folder_remove();
    return has_shared ? finish() : finish_without_shared();
}
