/* Conversion between formats, and of rwkv.cpp's files back into the official form. */
#include <math.h>

#include "build.h"
#include "check.h"
#include "runtime/convert.h"

static rw_weights *open_sound(const char *path) {
    rw_message m = {""};
    rw_weights *w = NULL;
    CHECK(path != NULL && rw_weights_open(path, &w, &m) == RW_OK, "%s", m.text);
    return w;
}

static void convert_sound(const char *in, const char *out, const rw_convert_options *o) {
    rw_message m = {""};
    CHECK(in != NULL && rw_convert(in, out, o, &m) == RW_OK, "%s", m.text);
}

/* The tensor of this name, of f32 and this shape; NULL after a failure. */
static const float *values(const rw_weights *w, const char *name, int rank, int64_t a, int64_t b,
                           int64_t c) {
    const int64_t shape[3] = {a, b, c};
    char text[128];
    const rw_tensor *t = w != NULL ? rw_weights_find(w, name) : NULL;
    CHECK(t != NULL, "%s is missing", name);
    if (t == NULL) return NULL;
    bool fits = t->dtype == RW_F32 && t->rank == rank &&
                memcmp(t->shape, shape, (size_t)rank * sizeof *shape) == 0;
    CHECK(fits, "%s is %s %s", name, rw_dtype_name(t->dtype),
          rw_tensor_shape(t, text, sizeof text));
    return fits ? t->data : NULL;
}

/* ---- files of rwkv.cpp made by hand -------------------------------------------------------- */

static void put_counted(bytes *f, const char *name, int rank, int64_t a, int64_t b, int64_t c,
                        float first, float step) {
    const int64_t dims[3] = {a, b, c};
    size_t n = 1;
    float x[64];
    for (int i = 0; i < rank; i++) n *= (size_t)dims[i];
    for (size_t i = 0; i < n; i++) x[i] = first + step * (float)i;
    add_ggmf_tensor(f, name, 0, rank, dims, x, 4 * n);
}

static rw_weights *through(bytes *f) {
    spill(in_folder("i.bin"), f->p, f->n);
    convert_sound(in_folder("i.bin"), in_folder("o.pth"), NULL);
    free(f->p);
    return open_sound(in_folder("o.pth"));
}

static void test_v7(void) {
    bytes f = {NULL, 0, 0};
    add_ggmf_header(&f, 101, 0);
    put_counted(&f, "odd.weight", 2, 2, 4, 1, 0, 1);
    put_counted(&f, "blocks.0.att.x_rwkvag", 3, 6, 1, 4, 0, 1);
    put_counted(&f, "blocks.0.att.w1", 2, 3, 4, 1, 0, 1); /* official: [4,3] */
    put_counted(&f, "blocks.0.att.w0", 1, 4, 1, 1, 0, 1);
    put_counted(&f, "blocks.0.att.r_k", 2, 2, 2, 1, 0, 1);
    put_counted(&f, "blocks.0.ffn.x_k", 1, 4, 1, 1, 0, 1);
    rw_weights *w = through(&f);
    const char order[] = "rwkvag";
    for (int i = 0; i < 6; i++) {
        char name[] = "blocks.0.att.x_?";
        name[sizeof name - 2] = order[i];
        const float *x = values(w, name, 3, 1, 1, 4);
        CHECK(x != NULL && x[0] == (float)(4 * i) && x[3] == (float)(4 * i + 3), "%s", name);
    }
    const float *w1 = values(w, "blocks.0.att.w1", 2, 4, 3, 1);
    for (int i = 0; w1 != NULL && i < 12; i++)
        CHECK(w1[i] == (float)(i % 3 * 4 + i / 3), "w1[%d] = %g", i, (double)w1[i]);
    values(w, "blocks.0.att.w0", 3, 1, 1, 4);
    values(w, "blocks.0.ffn.x_k", 3, 1, 1, 4);
    values(w, "blocks.0.att.r_k", 2, 2, 2, 1);
    values(w, "odd.weight", 2, 2, 4, 1);
    CHECK(w != NULL && rw_weights_count(w) == 11, "eleven tensors");
    rw_weights_close(w);
}

static void test_v6(void) {
    bytes f = {NULL, 0, 0};
    add_ggmf_header(&f, 101, 0);
    put_counted(&f, "blocks.0.att.time_maa_x", 1, 4, 1, 1, 0, 1);
    put_counted(&f, "blocks.0.att.time_maa_w1", 2, 10, 4, 1, 0, 1);
    put_counted(&f, "blocks.0.att.time_maa_w2", 3, 5, 4, 2, 0, 1);
    put_counted(&f, "blocks.0.att.time_decay", 3, 2, 2, 1, -3, 1);
    put_counted(&f, "blocks.0.att.time_decay_w1", 2, 3, 4, 1, 0, 1);
    put_counted(&f, "blocks.0.att.time_faaaa", 3, 2, 2, 1, 0, 1);
    put_counted(&f, "blocks.0.ffn.time_maa_k", 1, 4, 1, 1, 0, 1);
    rw_weights *w = through(&f);
    values(w, "blocks.0.att.time_maa_x", 3, 1, 1, 4);
    values(w, "blocks.0.att.time_maa_w1", 2, 4, 10, 1);
    const float *w2 = values(w, "blocks.0.att.time_maa_w2", 3, 5, 2, 4);
    for (int i = 0; w2 != NULL && i < 40; i++)
        CHECK(w2[i] == (float)(i / 8 * 8 + i % 4 * 2 + i / 4 % 2), "w2[%d] = %g", i, (double)w2[i]);
    const float *d = values(w, "blocks.0.att.time_decay", 3, 1, 1, 4);
    CHECK(d != NULL && d[0] == -3 && d[3] == 0, "v6 keeps its values");
    values(w, "blocks.0.att.time_decay_w1", 2, 4, 3, 1);
    values(w, "blocks.0.att.time_faaaa", 2, 2, 2, 1);
    values(w, "blocks.0.ffn.time_maa_k", 3, 1, 1, 4);
    rw_weights_close(w);
}

static void test_v5(void) {
    for (int minor = 1; minor <= 2; minor++) {
        bytes f = {NULL, 0, 0};
        const int64_t dims[] = {2, minor == 1 ? 1 : 2, 1};
        const float d[] = {0.9f, 0, 1, 0.25f};
        add_ggmf_header(&f, 101, 0);
        put_counted(&f, "blocks.0.att.ln_x.weight", 1, 4, 1, 1, 0, 1);
        if (minor == 2) put_counted(&f, "blocks.0.att.gate.weight", 2, 2, 2, 1, 0, 1);
        add_ggmf_tensor(&f, "blocks.0.att.time_decay", 0, 3, dims, d, minor == 1 ? 8 : 16);
        put_counted(&f, minor == 1 ? "blocks.0.att.time_first" : "blocks.0.att.time_faaaa", 3, 2,
                    minor == 1 ? 1 : 2, 1, 1, 1);
        put_counted(&f, "blocks.0.att.time_mix_k", 1, 4, 1, 1, 0, 1);
        rw_weights *w = through(&f);
        const float *x = values(w, "blocks.0.att.time_decay", minor, 2, 2, 1);
        for (int i = 0; x != NULL && i < 2 * minor; i++) {
            CHECK(isfinite(x[i]), "w[%d] is infinite", i);
            CHECK((float)exp(-exp((double)x[i])) == d[i], "exp(-exp(%g)) is not %g", (double)x[i],
                  (double)d[i]);
        }
        x = values(w, minor == 1 ? "blocks.0.att.time_first" : "blocks.0.att.time_faaaa", minor, 2,
                   2, 1);
        CHECK(x != NULL && x[0] == (minor == 1 ? 0 : 1), "first");
        CHECK(x == NULL || fabsf(x[1] - (minor == 1 ? logf(2) : 2)) < 1e-7f, "%g", (double)x[1]);
        values(w, "blocks.0.att.time_mix_k", 3, 1, 1, 4);
        rw_weights_close(w);
    }
}

static void test_v4(void) {
    bytes f = {NULL, 0, 0};
    const int64_t dims[] = {3};
    const float d[] = {-0.5f, -20, -0.0f}, positive[] = {-1, 0.5f, -1};
    rw_message m = {""};
    add_ggmf_header(&f, 100, 0);
    add_ggmf_tensor(&f, "blocks.0.att.time_decay", 0, 1, dims, d, sizeof d);
    put_counted(&f, "blocks.0.att.time_first", 1, 3, 1, 1, -1, 1);
    put_counted(&f, "blocks.0.att.time_mix_r", 1, 3, 1, 1, 0, 1);
    rw_weights *w = through(&f);
    const float *x = values(w, "blocks.0.att.time_decay", 1, 3, 1, 1);
    CHECK(x != NULL && fabsf(x[0] - logf(0.5f)) < 1e-7f && fabsf(x[1] - logf(20)) < 1e-6f, "decay");
    CHECK(x != NULL && isfinite(x[2]) && expf(x[2]) == 0, "the decay that was rounded to zero");
    x = values(w, "blocks.0.att.time_first", 1, 3, 1, 1);
    CHECK(x != NULL && x[0] == -1, "v4 keeps time_first");
    values(w, "blocks.0.att.time_mix_r", 3, 1, 1, 3);
    rw_weights_close(w);
    f = (bytes){NULL, 0, 0};
    add_ggmf_header(&f, 100, 0);
    add_ggmf_tensor(&f, "blocks.0.att.time_decay", 0, 1, dims, positive, sizeof positive);
    spill(in_folder("i.bin"), f.p, f.n);
    free(f.p);
    rw_status s = rw_convert(in_folder("i.bin"), in_folder("no.pth"), NULL, &m);
    CHECK(s == RW_BAD_FILE && strstr(m.text, "time_decay") != NULL, "%s", m.text);
    CHECK(access(in_folder("no.pth"), F_OK) != 0, "a file was left");
}

/* A model that was cut behind any of its tensors is refused, and says what is missing. */
static void test_cut(void) {
    static const char *const names[] = {"emb.weight",
                                        "blocks.0.ln0.weight",
                                        "blocks.0.ln0.bias",
                                        "blocks.0.att.r_k",
                                        "blocks.0.ffn.value.weight",
                                        "blocks.1.att.v0",
                                        "blocks.1.att.r_k",
                                        "blocks.1.ffn.value.weight",
                                        "ln_out.weight",
                                        "ln_out.bias",
                                        "head.weight"};
    enum { N = sizeof names / sizeof *names, N_LAYER_AT = 16 };
    for (int first = 0; first <= 3; first += 3) { /* the last three may stand first */
        bytes f = {NULL, 0, 0};
        add_ggmf_header(&f, 101, 0);
        f.p[N_LAYER_AT] = 2;
        for (int i = N - first; i < N; i++) put_counted(&f, names[i], 2, 2, 4, 1, 0, 1);
        for (int i = 0; i <= N - first; i++) {
            rw_message m = {""};
            spill(in_folder("i.bin"), f.p, f.n);
            rw_status s = rw_convert(in_folder("i.bin"), in_folder("o.pth"), NULL, &m);
            bool whole = i == N - first || (first > 0 && i == 0); /* a head alone is no model */
            CHECK(s == (whole ? RW_OK : RW_BAD_FILE), "%d tensors: %s %s", i, rw_status_name(s),
                  m.text);
            CHECK(whole || (strstr(m.text, "2 layers is missing") && strstr(m.text, "i.bin")), "%s",
                  m.text);
            if (i < N - first) put_counted(&f, names[i], 2, 2, 4, 1, 0, 1);
        }
        free(f.p);
    }
}

/* ---- options ------------------------------------------------------------------------------- */

static void test_dtypes(void) {
    static const rw_dtype wanted[] = {RW_F64, RW_F32, RW_F16, RW_BF16};
    double x[3] = {1.1, -70000, 1e-7};
    int32_t k[2] = {1, -70000};
    rw_tensor t[2] = {
        {.name = "x", .dtype = RW_F64, .rank = 1, .shape = {3}, .data = x, .bytes = 24},
        {.name = "k", .dtype = RW_I32, .rank = 1, .shape = {2}, .data = k, .bytes = 8}};
    for (int d = RW_CONVERT_KEEP; d <= RW_CONVERT_BF16; d++) {
        rw_convert_options o = {.dtype = (rw_convert_dtype)d};
        rw_message m = {""};
        uint64_t room[3];
        CHECK(rw_weights_save(in_folder("d.pth"), t, 2, NULL, &m) == RW_OK, "%s", m.text);
        rw_status s = rw_convert(in_folder("d.pth"), in_folder("d.safetensors"), &o, &m);
        if (d == RW_CONVERT_F16) {
            CHECK(s == RW_BAD_FILE && strstr(m.text, "range of f16") != NULL, "%s", m.text);
            continue;
        }
        CHECK(s == RW_OK, "%s", m.text);
        rw_weights *w = open_sound(in_folder("d.safetensors"));
        const rw_tensor *y = w != NULL ? rw_weights_find(w, "x") : NULL;
        rw_f64_to(wanted[d], x, room, 3);
        CHECK(y != NULL && y->dtype == wanted[d] && memcmp(y->data, room, y->bytes) == 0, "%d", d);
        y = w != NULL ? rw_weights_find(w, "k") : NULL;
        CHECK(y != NULL && y->dtype == RW_I32 && memcmp(y->data, k, 8) == 0, "integers stay");
        rw_weights_close(w);
    }
    rw_convert_options o = {.dtype = (rw_convert_dtype)9};
    CHECK(rw_convert(in_folder("d.pth"), in_folder("e.pth"), &o, NULL) == RW_BAD_ARG,
          "no such type");
    CHECK(rw_convert(in_folder("d.pth"), in_folder("e.bin"), NULL, NULL) == RW_BAD_ARG, "ending");
    CHECK(rw_convert(in_folder("none.pth"), in_folder("e.pth"), NULL, NULL) == RW_IO, "no input");
}

static void test_prefixes(void) {
    static const char *const strip[] = {"_forward_module.", "module."};
    static const char *const both[] = {"a.", "b."};
    static const char *const meta[] = {"step", "3", NULL};
    float x = 1;
    rw_tensor t[2] = {
        {.name = "_forward_module.module.a.w", .dtype = RW_F32, .data = &x, .bytes = 4},
        {.name = "module._forward_module.b.w", .dtype = RW_F32, .data = &x, .bytes = 4}};
    rw_convert_options o = {.strip = strip, .n_strip = 2};
    rw_message m = {""};
    CHECK(rw_weights_save(in_folder("p.pth"), t, 2, meta, &m) == RW_OK, "%s", m.text);
    convert_sound(in_folder("p.pth"), in_folder("p.safetensors"), &o);
    rw_weights *w = open_sound(in_folder("p.safetensors"));
    CHECK(w != NULL && rw_weights_find(w, "a.w") != NULL && rw_weights_find(w, "b.w") != NULL,
          "names");
    CHECK(w != NULL && rw_weights_meta(w, "step") != NULL, "what it says beside goes along");
    rw_weights_close(w);
    /* onto itself, and then two tensors with one name */
    o = (rw_convert_options){.strip = both, .n_strip = 1};
    convert_sound(in_folder("p.safetensors"), in_folder("p.safetensors"), &o);
    o.n_strip = 2;
    rw_status s = rw_convert(in_folder("p.safetensors"), in_folder("p.safetensors"), &o, &m);
    CHECK(s == RW_BAD_ARG && strstr(m.text, "'w'") != NULL, "%s", m.text);
    w = open_sound(in_folder("p.safetensors"));
    CHECK(w != NULL && rw_weights_find(w, "w") != NULL && rw_weights_find(w, "b.w") != NULL,
          "stays");
    rw_weights_close(w);
}

/* ---- the shared files ---------------------------------------------------------------------- */

static void test_shared(void) {
    rw_convert_options bf16 = {.dtype = RW_CONVERT_BF16};
    convert_sound(shared("tiny-rwkv-7v0-834K-FP32.bin"), in_folder("7.safetensors"), NULL);
    rw_weights *a = open_sound(shared("tiny-rwkv-7v0-834K-FP32.bin"));
    rw_weights *b = open_sound(in_folder("7.safetensors"));
    CHECK(b != NULL && rw_weights_count(b) == 399, "339 + 12 * 5");
    const float *x = values(a, "blocks.3.att.x_rwkvag", 3, 6, 1, 64);
    const float *y = values(b, "blocks.3.att.x_v", 3, 1, 1, 64);
    CHECK(x != NULL && y != NULL && memcmp(x + 3 * 64, y, 256) == 0, "x_v is the fourth");
    x = values(a, "blocks.3.att.g1", 2, 32, 64, 1);
    y = values(b, "blocks.3.att.g1", 2, 64, 32, 1);
    for (int i = 0; x != NULL && y != NULL && i < 2048; i++)
        CHECK(y[i] == x[i % 32 * 64 + i / 32], "g1[%d]", i);
    rw_weights_close(a);
    rw_weights_close(b);
    convert_sound(shared("tiny-rwkv-5v2-730K-FP32.bin"), in_folder("5.pth"), NULL);
    a = open_sound(shared("tiny-rwkv-5v2-730K-FP32.bin"));
    b = open_sound(in_folder("5.pth"));
    x = values(a, "blocks.7.att.time_decay", 3, 8, 8, 1);
    y = values(b, "blocks.7.att.time_decay", 2, 8, 8, 1);
    for (int i = 0; x != NULL && y != NULL && i < 64; i++)
        CHECK(fabs(exp(-exp((double)y[i])) - (double)x[i]) < 1e-7, "decay %d", i);
    rw_weights_close(a);
    rw_weights_close(b);
    convert_sound(shared("ref/train_L2D128.warm.safetensors"), in_folder("w.pth"), &bf16);
    a = open_sound(shared("ref/train_L2D128.warm.bf16.pth"));
    b = open_sound(in_folder("w.pth"));
    for (size_t i = 0; a != NULL && b != NULL && i < rw_weights_count(a); i++) {
        const rw_tensor *t = rw_weights_at(a, i), *u = rw_weights_find(b, t->name);
        CHECK(u != NULL && u->dtype == RW_BF16 && u->bytes == t->bytes &&
                  memcmp(u->data, t->data, t->bytes) == 0,
              "%s is not as torch rounds it", t->name);
    }
    rw_weights_close(a);
    rw_weights_close(b);
}

int main(void) {
    bool has_shared = shared("README.md") != NULL;
    folder_make();
    test_v7();
    test_v6();
    test_v5();
    test_v4();
    test_cut();
    test_dtypes();
    test_prefixes();
    if (has_shared) test_shared();
    folder_remove();
    return has_shared ? finish() : finish_without_shared();
}
