/* Parameters in two types: the f32 master that is set, trained and saved, and the short copy that products
 * read, which updates write beside it. */
#include "calls.h"
#include "runtime/rw.h"
#include "runtime/session.h"

/* types_text.c: headers of the compiler and of the runtime do not go together */
bool types_compile(const char *target, uint8_t dtype, const char *path);

enum { B = 3, T = 11, MATRICES = 6, PARAMS = 8 };

static int32_t tokens[B * T];

static rw_session *session(rw_program *p, const char *const *entries, size_t n) {
    rw_dim dims[] = {{"B", B}, {"T", T}};
    rw_session *s = NULL;
    rw_session_options o = {.dims = dims, .n_dims = 2, .entries = entries, .n_entries = n};
    GOOD(rw_session_create(p, &o, &s, &m));
    GOOD(rw_params_init(s, 5, &m));
    return s;
}

static float call(rw_session *s, const char *name, int step) {
    rw_tensor x = {.name = "token", .dtype = RW_I32, .rank = 2, .shape = {B, T}, .data = tokens};
    float loss = 0;
    x.bytes = sizeof tokens;
    GOOD(rw_put(s, "token", &x, &m));
    GOOD(rw_put(s, "target", &x, &m));
    if (step > 0) {
        GOOD(rw_put_number(s, "lr", 1e-4, &m));
        GOOD(rw_put_number(s, "decay", 0, &m));
        GOOD(rw_put_number(s, "step", step, &m));
    }
    GOOD(rw_call(s, name, &m));
    GOOD(rw_get(s, "loss", RW_F32, &loss, sizeof loss, &m));
    return loss;
}

/* Every copy is its master rounded. Returns how many there are; *finer: numbers of masters that are none of
 * the short type. */
static int check_copies(const rw_session *s, uint8_t dtype, const char *when, size_t *finer) {
    int copies = 0;
    *finer = 0;
    for (uint32_t i = 0; i < s->p->n_params; i++) {
        const session_param *x = &s->params[i];
        const store *copy = &x->by_dtype[dtype], *master = &x->by_dtype[RW_FILE_F32];
        if (!copy->is_used || !master->is_used) continue;
        CHECK(copy->version == x->version && master->version == x->version, "%s: %s is not fresh",
              when, s->p->params[i].members[0].name);
        for (uint32_t k = 0; k < s->p->params[i].n_members; k++, copies++)
            for (size_t n = 0; n < s->p->params[i].count; n++) {
                float f, back;
                uint16_t wanted, got;
                memcpy(&f, master->member[k] + 4 * n, sizeof f);
                memcpy(&got, copy->member[k] + 2 * n, sizeof got);
                rw_f32_to(file_dtype(dtype), &f, &wanted, 1);
                elements_convert(RW_FILE_F32, &back, dtype, &wanted, 1);
                *finer += back != f;
                if (got == wanted) continue;
                CHECK(got == wanted, "%s: %s %zu: %04x for %g", when,
                      s->p->params[i].members[k].name, n, got, (double)f);
                break;
            }
    }
    return copies;
}

/* The loss of entry grad on the parameters of s, in a session that has them from a file. */
static float loss_elsewhere(rw_program *p, const rw_session *s) {
    static const char *const grad[] = {"grad"};
    const char *path = in_folder("copy.safetensors");
    rw_weights *w = NULL;
    GOOD(rw_session_save(s, RW_PARAM, path, NULL, &m));
    GOOD(rw_weights_open(path, &w, &m));
    rw_session *other = session(p, grad, 1);
    GOOD(rw_params_load(other, w, false, &m));
    float loss = call(other, "grad", 0);
    rw_session_destroy(other);
    rw_weights_close(w);
    remove(path);
    return loss;
}

static void test_training(rw_program *p, uint8_t dtype) {
    static const char *const both[] = {"train", "grad"};
    rw_session *s = session(p, both, 2);
    size_t finer = 0;
    float first = 0, loss = 0;
    for (int step = 1; step <= 4; step++) {
        loss = call(s, "train", step);
        first = step == 1 ? loss : first;
        int n = check_copies(s, dtype, "after an update", &finer);
        CHECK(n == MATRICES, "%d copies", n);
        CHECK(finer > 1000, "%zu numbers of masters are finer", finer);
        CHECK(s->n_moves == 0, "%u tensors are moved after an update", s->n_moves);
    }
    CHECK(loss < first, "losses %g .. %g", (double)first, (double)loss);
    float here = call(s, "grad", 0), there = loss_elsewhere(p, s);
    CHECK(memcmp(&here, &there, sizeof here) == 0, "loss %.9g, and from a file %.9g", (double)here,
          (double)there);
    for (size_t i = 0; i < rw_session_count(s, RW_PARAM); i++) {
        rw_tensor t;
        GOOD(rw_session_tensor(s, RW_PARAM, i, &t));
        CHECK(t.dtype == RW_F32, "parameter %s is %s", t.name, rw_dtype_name(t.dtype));
    }
    rw_tensor one; /* set from outside: the copy follows at the next call */
    GOOD(rw_session_find(s, RW_PARAM, "head.weight", &one));
    float *new = calloc(one.bytes, 1);
    one.data = new;
    new[0] = 1.0009765f;
    GOOD(rw_param_set(s, &one, &m));
    call(s, "grad", 0);
    (void)check_copies(s, dtype, "after one was set", &finer);
    free(new);
    rw_session_destroy(s);
}

/* Who only infers has no masters: the short type is what is set. */
static void test_inference(rw_program *p, uint8_t dtype) {
    static const char *const grad[] = {"grad"};
    rw_session *s = session(p, grad, 1);
    int n = 0;
    for (size_t i = 0; i < rw_session_count(s, RW_PARAM); i++) {
        rw_tensor t;
        GOOD(rw_session_tensor(s, RW_PARAM, i, &t));
        n += t.dtype == file_dtype(dtype);
    }
    CHECK(n == MATRICES && rw_session_count(s, RW_PARAM) == PARAMS, "%d of %zu are short", n,
          rw_session_count(s, RW_PARAM));
    rw_session_destroy(s);
}

static void test_target(const char *target, uint8_t dtype) {
    const char *path = in_folder("m.so");
    CHECK(types_compile(target, dtype, path), "%s", target);
    rw_context *c = NULL;
    rw_program *p = NULL;
    GOOD(rw_context_create(&(rw_context_options){.threads = 2}, &c, &m));
    rw_status s = rw_program_load(c, path, &p, &m);
    if (s == RW_WRONG_TARGET)
        printf("%s: %s\n", target, m.text);
    else
        GOOD(s);
    if (s == RW_OK) {
        test_training(p, dtype);
        test_inference(p, dtype);
    }
    rw_program_destroy(p);
    rw_context_destroy(c);
}

int main(void) {
    folder_make();
    for (int i = 0; i < B * T; i++) tokens[i] = (i * 7 + i / 5) % 90;
    for (uint8_t d = RW_FILE_BF16; d <= RW_FILE_F16; d++) {
        test_target("x86-64-v3", d);
        test_target("native", d);
    }
    folder_remove();
    return finish();
}
