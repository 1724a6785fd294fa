/* Sessions: numbers against the same model in plain C, any division into calls and threads, several at once,
 * mistakes, memory that runs out, and no memory taken by calls. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "calls.h"
#include "compiled.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static atomic_long left = -1,
                   live; /* allocations until one fails (-1: none does), and blocks not freed */

static void *counted(void *user, void *old, size_t old_bytes, size_t new_bytes) {
    (void)user;
    (void)old_bytes;
    if (new_bytes == 0) {
        live -= old != NULL;
        free(old);
        return NULL;
    }
    if (left == 0) return NULL;
    if (left > 0) left--;
    live += old == NULL;
    return realloc(old, new_bytes);
}
static const rw_alloc counting = {counted, NULL};

#if !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)
/* The C library's own: what is taken past the hook while `watched`. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
static atomic_bool watched;
static atomic_long taken;
void *malloc(size_t n) {
    taken += watched;
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    taken += watched;
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    taken += watched;
    return __libc_realloc(p, n);
}
#else
static bool watched;
static long taken;
#endif

/* ---- helpers ---------------------------------------------------------------------------------- */

static const char *so_path;

static int32_t tokens[64];

static rw_tensor ints(int64_t b, int64_t t) {
    rw_tensor x = {
        .name = "token", .dtype = RW_I32, .rank = t > 0 ? 2 : 1, .shape = {b, t}, .data = tokens};
    x.bytes = (size_t)(b * (t > 0 ? t : 1)) * sizeof *tokens;
    return x;
}

static rw_session *session(rw_program *p, int64_t b, int64_t t, const char *entry) {
    rw_dim dims[] = {{"B", b}, {"T", t}};
    rw_session *s = NULL;
    rw_session_options o = {
        .dims = dims, .n_dims = 2, .entries = &entry, .n_entries = entry != NULL};
    GOOD(rw_session_create(p, &o, &s, &m));
    if (s != NULL) GOOD(rw_params_init(s, 7, &m));
    return s;
}

static void run(rw_session *s, const char *entry, const int32_t *data, int64_t b, int64_t t) {
    rw_tensor x = ints(b, t);
    x.data = data;
    GOOD(rw_put(s, "token", &x, &m));
    GOOD(rw_call(s, entry, &m));
}

static const float *logits_of(const rw_session *s, size_t *n) {
    rw_tensor t = {0};
    GOOD(rw_session_find(s, RW_OUTPUT, "logits", &t));
    *n = t.bytes / sizeof(float);
    return t.data;
}

static const float *param(const rw_session *s, const char *fmt, int l) {
    char name[64];
    rw_tensor t = {0};
    snprintf(name, sizeof name, fmt, l);
    GOOD(rw_session_find(s, RW_PARAM, name, &t));
    return t.data;
}

/* ---- numbers ------------------------------------------------------------------------------------ */

/* One sample by the text, in double; state as it is left in s. */
static void reference(const rw_session *x, const int32_t *token, int n, double *logits,
                      double s[TINY_L][TINY_D]) {
    for (int l = 0; l < TINY_L; l++)
        for (int d = 0; d < TINY_D; d++) s[l][d] = 0.25;
    for (int t = 0; t < n; t++) {
        double v[TINY_D];
        for (int d = 0; d < TINY_D; d++)
            v[d] = (double)param(x, "emb.weight", 0)[token[t] * TINY_D + d];
        for (int l = 0; l < TINY_L; l++) {
            const float *keep = param(x, "blocks.%d.keep", l),
                        *mix = param(x, "blocks.%d.mix.weight", l);
            for (int d = 0; d < TINY_D; d++) s[l][d] = s[l][d] * (double)keep[d] + v[d];
            for (int d = 0; d < TINY_D; d++) {
                double sum = 0;
                for (int j = 0; j < TINY_D; j++) sum += (double)mix[d * TINY_D + j] * s[l][j];
                v[d] += tanh(sum);
            }
        }
        for (int k = 0; k < TINY_V; k++) {
            const float *w = param(x, "head.weight", 0);
            double sum = (double)param(x, "head.bias", 0)[k];
            for (int d = 0; d < TINY_D; d++) sum += (double)w[k * TINY_D + d] * v[d];
            logits[t * TINY_V + k] = sum;
        }
    }
}

static void test_numbers(rw_program *p) {
    enum { B = 2, T = 9 };
    rw_session *s = session(p, B, T, "forward");
    double want[T * TINY_V], state[TINY_L][TINY_D];
    size_t n;
    if (s == NULL) return;
    run(s, "forward", tokens, B, T);
    for (int b = 0; b < B; b++) {
        reference(s, tokens + b * T, T, want, state);
        const float *got = logits_of(s, &n);
        CHECK(n == B * T * TINY_V, "%zu logits", n);
        for (int i = 0; i < T * TINY_V; i++)
            CHECK(fabs((double)got[b * T * TINY_V + i] - want[i]) < 1e-5, "sample %d, %d: %g, %g",
                  b, i, (double)got[b * T * TINY_V + i], want[i]);
        for (size_t l = 0; l < TINY_L; l++) {
            rw_tensor t;
            GOOD(rw_session_tensor(s, RW_STATE, l, &t));
            CHECK(t.rank == 2 && t.shape[0] == B && t.shape[1] == TINY_D, "state of rank %d",
                  t.rank);
            for (int d = 0; d < TINY_D; d++)
                CHECK(fabs((double)((const float *)t.data)[b * TINY_D + d] - state[l][d]) < 1e-5,
                      "state %zu", l);
        }
    }
    rw_session_destroy(s);
}

/* Whole, in pieces, token by token: the same logits and the same state. */
static void test_pieces(rw_program *p) {
    enum { T = 12 };
    static const int cuts[][5] = {{12}, {5, 7}, {1, 1, 4, 6}, {11, 1}};
    float last[TINY_V], state[TINY_L * TINY_D];
    size_t n;
    rw_tensor t;
    rw_session *s = session(p, 1, T, NULL);
    if (s == NULL) return;
    for (int k = 0; k < 6; k++) {
        GOOD(rw_states_start(s));
        if (k < 4)
            for (int i = 0, at = 0; cuts[k][i] > 0; at += cuts[k][i++])
                run(s, "forward", tokens + at, 1, cuts[k][i]);
        else if (k == 4)
            run(s, "prefill", tokens, 1, T);
        else
            for (int i = 0; i < T; i++) run(s, "step", tokens + i, 1, 0);
        const float *got = logits_of(s, &n);
        GOOD(rw_session_tensor(s, RW_STATE, TINY_L - 1, &t));
        if (k == 0) {
            memcpy(last, got + n - TINY_V, sizeof last);
            memcpy(state, t.data, t.bytes);
        }
        for (size_t i = 0; i < TINY_V; i++)
            CHECK(fabsf(got[n - TINY_V + i] - last[i]) < 1e-5f, "way %d: logit %zu", k, i);
        for (size_t i = 0; i < t.bytes / 4; i++)
            CHECK(fabsf(((const float *)t.data)[i] - state[i]) < 1e-5f, "way %d: state", k);
    }
    rw_session_destroy(s);
}

/* ---- threads -------------------------------------------------------------------------------------- */

/* Three steps of training; *bits: of all parameters. */
static uint64_t trained(unsigned threads, float *loss) {
    rw_context *c = NULL;
    rw_program *p = NULL;
    uint64_t bits = 14695981039346656037u;
    GOOD(rw_context_create(&(rw_context_options){.threads = threads}, &c, &m));
    GOOD(rw_program_load(c, so_path, &p, &m));
    CHECK(rw_context_threads(c) == threads, "%u threads", rw_context_threads(c));
    rw_session *s = session(p, 3, 7, "train");
    rw_tensor x = ints(3, 7);
    GOOD(rw_put(s, "target", &x, &m));
    GOOD(rw_put_number(s, "lr", 0.01, &m));
    GOOD(rw_put_number(s, "decay", 0.1, &m));
    for (int k = 1; k <= 3; k++) {
        GOOD(rw_put_number(s, "step", k, &m));
        run(s, "train", tokens, 3, 7);
        GOOD(rw_get(s, "loss", RW_F32, &loss[k - 1], sizeof *loss, &m));
    }
    for (size_t i = 0; i < rw_session_count(s, RW_PARAM); i++) {
        rw_tensor t;
        GOOD(rw_session_tensor(s, RW_PARAM, i, &t));
        for (size_t k = 0; k < t.bytes; k++)
            bits = (bits ^ ((const uint8_t *)t.data)[k]) * 1099511628211u;
    }
    rw_session_destroy(s);
    rw_program_destroy(p);
    rw_context_destroy(c);
    return bits;
}

static void test_threads(void) {
    float one[3], many[3];
    uint64_t bits = trained(1, one);
    CHECK(one[2] < one[1] && one[1] < one[0], "losses %g %g %g", (double)one[0], (double)one[1],
          (double)one[2]);
    for (unsigned n = 2; n <= 7; n++)
        CHECK(trained(n, many) == bits && memcmp(one, many, sizeof one) == 0,
              "%u threads give other bits", n);
}

typedef struct own {
    rw_program *p;
    int32_t token[8];
    float logits[TINY_V];
} own;

static void *decode(void *user) {
    own *x = user;
    rw_dim dims[] = {{"B", 1}, {"T", 1}};
    rw_session_options o = {
        .dims = dims, .n_dims = 2, .entries = (const char *const[]){"step"}, .n_entries = 1};
    rw_session *s = NULL;
    bool good =
        rw_session_create(x->p, &o, &s, NULL) == RW_OK && rw_params_init(s, 7, NULL) == RW_OK;
    for (int k = 0; k < 200 && good; k++) {
        rw_tensor t = ints(1, 0);
        t.data = &x->token[k % 8];
        good = rw_put(s, "token", &t, NULL) == RW_OK && rw_call(s, "step", NULL) == RW_OK;
    }
    good = good && rw_get(s, "logits", RW_F32, x->logits, sizeof x->logits, NULL) == RW_OK;
    rw_session_destroy(s);
    return good ? x : NULL;
}

/* Sessions of one program in threads of their own, at once, and one after another. */
static void test_together(rw_program *p) {
    own x[3], y[3];
    pthread_t thread[3];
    void *good;
    for (int i = 0; i < 3; i++) {
        x[i].p = p;
        for (int k = 0; k < 8; k++) x[i].token[k] = tokens[8 * i + k];
        y[i] = x[i];
        CHECK(decode(&x[i]) != NULL, "session %d", i);
    }
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&thread[i], NULL, decode, &y[i]) == 0, "no thread");
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], &good);
        CHECK(good != NULL && memcmp(x[i].logits, y[i].logits, sizeof x[i].logits) == 0,
              "session %d", i);
    }
    CHECK(memcmp(x[0].logits, x[1].logits, sizeof x[0].logits) != 0, "all sessions give the same");
}

/* ---- states and files --------------------------------------------------------------------------------- */

static void test_states(rw_program *p) {
    float a[TINY_V], b[TINY_V];
    char path[300];
    rw_weights *w = NULL;
    rw_session *s = session(p, 2, 6, NULL), *q = session(p, 2, 6, NULL);
    snprintf(path, sizeof path, "%s/state.safetensors", folder);
    CHECK(rw_session_count(s, RW_STATE) == 0, "a state before any call");
    run(s, "forward", tokens, 1, 6);
    GOOD(rw_session_save(s, RW_STATE, path, NULL, &m));
    GOOD(rw_states_copy(q, s, &m));
    run(s, "step", tokens + 6, 1, 0);
    GOOD(rw_get(s, "logits", RW_F32, a, sizeof a, &m));
    run(q, "step", tokens + 6, 1, 0);
    GOOD(rw_get(q, "logits", RW_F32, b, sizeof b, &m));
    CHECK(memcmp(a, b, sizeof a) == 0, "a copied state goes on otherwise");
    GOOD(rw_weights_open(path, &w, &m));
    GOOD(rw_states_load(q, RW_STATE, w, &m));
    run(q, "step", tokens + 6, 1, 0);
    GOOD(rw_get(q, "logits", RW_F32, b, sizeof b, &m));
    CHECK(memcmp(a, b, sizeof a) == 0, "a saved state goes on otherwise");
    GOOD(rw_states_start(q));
    run(q, "step", tokens + 6, 1, 0);
    GOOD(rw_get(q, "logits", RW_F32, b, sizeof b, &m));
    CHECK(memcmp(a, b, sizeof a) != 0, "a sequence does not begin");
    rw_tensor two = ints(2, 0);
    GOOD(rw_put(q, "token", &two, &m));
    FAILS(RW_BAD_SHAPE, "blocks.0.s", rw_call(q, "step", &m));
    GOOD(rw_states_start(q));
    GOOD(rw_call(q, "step", &m));
    FAILS(RW_NO_SUCH, "is missing", rw_states_load(q, RW_OPTIMIZER, w, &m));
    rw_weights_close(w);
    rw_session_destroy(s);
    rw_session_destroy(q);
}

/* Parameters used where they lie in a file, and copied from one. */
static void test_weights(rw_program *p) {
    static const char *const kinds[] = {"pth", "safetensors"};
    float want[TINY_V], got[TINY_V];
    const char *entry = "step";
    rw_session *s = session(p, 1, 1, NULL), *q = NULL;
    run(s, entry, tokens, 1, 0);
    GOOD(rw_get(s, "logits", RW_F32, want, sizeof want, &m));
    for (int k = 0; k < 2; k++) {
        char path[300];
        rw_weights *w = NULL;
        snprintf(path, sizeof path, "%s/params.%s", folder, kinds[k]);
        GOOD(rw_session_save(s, RW_PARAM, path, NULL, &m));
        GOOD(rw_weights_open(path, &w, &m));
        rw_session_options o = {.entries = &entry, .n_entries = 1, .weights = w};
        GOOD(rw_session_create(p, &o, &q, &m));
        run(q, entry, tokens, 1, 0);
        GOOD(rw_get(q, "logits", RW_F32, got, sizeof got, &m));
        CHECK(memcmp(want, got, sizeof got) == 0, "%s: other logits", kinds[k]);
        rw_tensor t = {0};
        GOOD(rw_session_find(q, RW_PARAM, "emb.weight", &t));
        const rw_tensor *in_file = rw_weights_find(w, "emb.weight");
        CHECK(in_file != NULL && (t.data == in_file->data || ((uintptr_t)in_file->data & 63) != 0),
              "%s: copied in vain", kinds[k]);
        if (t.data == in_file->data) FAILS(RW_BAD_ARG, "lie in a file", rw_params_init(q, 1, &m));
        rw_session_destroy(q);
        rw_weights_close(w);
    }
    rw_tensor wrong = {
        .name = "emb.weight", .dtype = RW_F32, .rank = 1, .shape = {3}, .data = want, .bytes = 12};
    FAILS(RW_BAD_SHAPE, "[11,5]", rw_param_set(s, &wrong, &m));
    wrong.name = "emb.weights";
    FAILS(RW_NO_SUCH, "emb.weights", rw_param_set(s, &wrong, &m));
    char path[300];
    rw_weights *w = NULL;
    snprintf(path, sizeof path, "%s/one.safetensors", folder);
    wrong.name = "x";
    GOOD(rw_weights_save(path, &wrong, 1, NULL, &m));
    GOOD(rw_weights_open(path, &w, &m));
    FAILS(RW_NO_SUCH, "emb.weight", rw_params_load(s, w, false, &m));
    GOOD(rw_params_load(s, w, true, &m));
    rw_weights_close(w);
    rw_session_destroy(s);
}

/* ---- mistakes -------------------------------------------------------------------------------------------- */

static void test_mistakes(rw_program *p) {
    rw_session *s = session(p, 2, 6, NULL), *none = NULL;
    float real[4] = {0};
    int32_t bad[2] = {3, TINY_V};
    double out[8];
    rw_tensor x = ints(1, 4), y = ints(1, 3);
    FAILS(RW_NO_SUCH, "'tokens'", rw_put(s, "tokens", &x, &m));
    FAILS(RW_NO_SUCH, "'fly'", rw_call(s, "fly", &m));
    FAILS(RW_BAD_ARG, "'token' was not given", rw_call(s, "step", &m));
    FAILS(RW_NO_SUCH, "nothing has been called", rw_get(s, "logits", RW_F32, out, sizeof out, &m));
    x.dtype = RW_F32;
    x.data = real;
    CHECK(rw_put(s, "token", &x, &m) == RW_BAD_SHAPE, "reals for an index: %s", m.text);
    x = ints(1, 2);
    x.data = bad;
    FAILS(RW_BAD_ARG, "number 1 is 11, and the text declares index(11)",
          rw_put(s, "token", &x, &m));
    FAILS(RW_BAD_ARG, "'token' was not given", rw_call(s, "forward", &m));
    x = ints(1, 7);
    GOOD(rw_put(s, "token", &x, &m)); /* there is room for 2 samples of 6 */
    FAILS(RW_BAD_SHAPE, "axis T is 7, the session was created for T up to 6",
          rw_call(s, "forward", &m));
    x = ints(4, 8);
    FAILS(RW_BAD_SHAPE, "B up to 2, T up to 6", rw_put(s, "token", &x, &m));
    x = ints(1, 4);
    x.bytes--;
    FAILS(RW_BAD_SHAPE, "do not fit", rw_put(s, "token", &x, &m));
    x = ints(2, 0);
    GOOD(rw_put(s, "token", &x, &m));
    FAILS(RW_BAD_SHAPE, "batch axis comes first", rw_call(s, "forward", &m));
    x = ints(1, 4);
    GOOD(rw_put(s, "token", &x, &m));
    GOOD(rw_put(s, "target", &y, &m));
    FAILS(RW_BAD_SHAPE,
          "input 'target' [1,3]: the shape wanted is [B,T]: axis 1 is 3 and should be 4",
          rw_call(s, "grad", &m));
    GOOD(rw_call(s, "forward", &m));
    FAILS(RW_NO_SUCH, "no output 'loss'", rw_get(s, "loss", RW_F32, out, sizeof out, &m));
    FAILS(RW_BAD_SHAPE, "bytes of room", rw_get(s, "logits", RW_F64, out, sizeof out, &m));
    FAILS(RW_NO_SUCH, "'Q'", rw_set_axis(s, "Q", 1, &m));
    FAILS(RW_BAD_SHAPE, "up to 6", rw_set_axis(s, "T", 7, &m));
    FAILS(RW_BAD_ARG, "is the",
          rw_session_save(s, RW_STATE, "state.txt", NULL, &m) == RW_BAD_ARG
              ? rw_fail(&m, RW_BAD_ARG, "is the")
              : RW_OK);
    rw_session_options o = {.dims = (rw_dim[]){{"Q", 3}}, .n_dims = 1};
    FAILS(RW_NO_SUCH, "no axis 'Q'", rw_session_create(p, &o, &none, &m));
    o = (rw_session_options){.dims = (rw_dim[]){{"T", INT64_MAX / 8}}, .n_dims = 1};
    CHECK(rw_session_create(p, &o, &none, &m) == RW_BAD_SHAPE && none == NULL, "%s", m.text);
    o = (rw_session_options){.entries = (const char *const[]){"sleep"}, .n_entries = 1};
    FAILS(RW_NO_SUCH, "'sleep'", rw_session_create(p, &o, &none, &m));
    rw_session_destroy(s);
    rw_session_destroy(NULL);
    s = session(p, 1, 1, "step");
    FAILS(RW_NO_SUCH, "none of those", rw_call(s, "forward", &m));
    rw_session_destroy(s);
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

/* Context, program, session, first values, a call; the k-th allocation fails. */
static rw_status whole(void) {
    rw_context *c = NULL;
    rw_program *p = NULL;
    rw_session *s = NULL;
    rw_dim dims[] = {{"B", 2}, {"T", 8}};
    rw_session_options o = {.dims = dims, .n_dims = 2};
    rw_tensor x = ints(2, 8);
    rw_status r =
        rw_context_create(&(rw_context_options){.threads = 2, .alloc = &counting}, &c, &m);
    if (r == RW_OK) r = rw_program_load(c, so_path, &p, &m);
    if (r == RW_OK) r = rw_session_create(p, &o, &s, &m);
    if (r == RW_OK) r = rw_params_init(s, 1, &m);
    if (r == RW_OK) r = rw_put(s, "token", &x, &m);
    if (r == RW_OK) r = rw_call(s, "forward", &m);
    rw_session_destroy(s);
    rw_program_destroy(p);
    rw_context_destroy(c);
    return r;
}

static void test_no_memory(void) {
    for (long k = 0;; k++) {
        m.text[0] = '\0';
        left = k;
        live = 0;
        rw_status r = whole();
        left = -1;
        CHECK(live == 0, "allocation %ld: %ld blocks are not freed", k, (long)live);
        if (r == RW_OK) {
            CHECK(k > 10, "only %ld allocations", k);
            return;
        }
        CHECK(r == RW_NO_MEMORY && m.text[0] != '\0', "allocation %ld: %s: %s", k,
              rw_status_name(r), m.text);
        if (r != RW_NO_MEMORY || k > 1000) return;
    }
}

static void test_calls_take_none(void) {
    rw_context *c = NULL;
    rw_program *p = NULL;
    GOOD(rw_context_create(&(rw_context_options){.threads = 2, .alloc = &counting}, &c, &m));
    GOOD(rw_program_load(c, so_path, &p, &m));
    rw_session *s = session(p, 2, 8, NULL);
    rw_tensor x = ints(2, 8);
    GOOD(rw_put(s, "target", &x, &m));
    GOOD(rw_put_number(s, "lr", 0.01, &m));
    GOOD(rw_put_number(s, "decay", 0, &m));
    GOOD(rw_put_number(s, "step", 1, &m));
    long before = live;
    left = 0; /* whoever asks gets nothing */
    taken = 0;
    watched = true;
    for (int k = 0; k < 3; k++) {
        run(s, "train", tokens, 2, 8);
        GOOD(rw_states_start(s));
        run(s, "forward", tokens, 2, 5 + k);
        run(s, "step", tokens, 2, 0);
        run(s, "prefill", tokens, 2, 3);
    }
    watched = false;
    left = -1;
    CHECK(live == before && taken == 0, "calls took %ld blocks from the hook, %ld from the system",
          (long)live - before, (long)taken);
    rw_session_destroy(s);
    rw_program_destroy(p);
    rw_context_destroy(c);
}

/* Lines of a profile add up to the calls measured, of that entry alone; measuring takes no memory. */
static void test_profile(void) {
    rw_context *c = NULL;
    rw_program *p = NULL;
    rw_kernel_time x = {0}, around = {0};
    GOOD(rw_context_create(&(rw_context_options){.threads = 2, .alloc = &counting}, &c, &m));
    GOOD(rw_program_load(c, so_path, &p, &m));
    rw_session *s = session(p, 2, 8, NULL);
    CHECK(rw_profile_count(s) == 0 && rw_profile_line(s, 0, &x) == RW_BAD_ARG, "lines of nothing");
    CHECK(rw_profile_begin(s, "dance", &m) == RW_NO_SUCH, "a profile of no entry");
    run(s, "forward", tokens, 2, 8);
    GOOD(rw_profile_begin(s, "step", &m));
    left = 0;
    for (int k = 0; k < 3; k++) {
        GOOD(rw_states_start(s)); /* the entry that begins a sequence runs unmeasured */
        run(s, "step", tokens, 2, 0);
        run(s, "forward", tokens, 2, 8);
    }
    left = -1;
    rw_profile_end(s);
    run(s, "step", tokens, 2, 0);
    size_t n = rw_profile_count(s);
    double all = 0, ops = 0;
    uint64_t launches = 0;
    rw_work work;
    CHECK(rw_profile_calls(s) == 3 && n > 3, "%zu lines of %d calls", n, (int)rw_profile_calls(s));
    for (size_t i = 0; i + 2 < n; i++) {
        GOOD(rw_profile_line(s, i, &x));
        bool layers = x.launches == 3 * TINY_L, once = x.launches == 3;
        CHECK(layers || once, "%s: %d launches", x.name, (int)x.launches);
        CHECK(x.seconds > 0 && x.busy >= 0 && x.busy <= 2 * x.seconds, "%s: %g s, %g s at work",
              x.name, x.seconds, x.busy);
        for (int k = 0; k < RW_WORK_GIVEN; k++) all += x.work.of[k];
        launches += x.launches;
    }
    GOOD(rw_profile_line(s, n - 2, &x));
    CHECK(launches + x.launches == 3 * rw_program_launches(p, "step") && x.launches > 0,
          "%d launches and %d copies", (int)launches, (int)x.launches);
    GOOD(rw_program_work(p, "step", (rw_dim[]){{"B", 2}, {"T", 8}}, 2, &work));
    for (int k = 0; k < RW_WORK_GIVEN; k++) ops += 3 * work.of[k];
    CHECK(all == ops && ops > 0, "%g operations by kernels, %g by the entry", all, ops);
    GOOD(rw_profile_line(s, n - 1, &around));
    CHECK(strcmp(around.name, "around") == 0 && around.seconds > 0 && around.launches == 3,
          "'%s': %g s", around.name, around.seconds);
    CHECK(rw_profile_line(s, n, &x) == RW_BAD_ARG, "a line too many");
    GOOD(rw_profile_begin(s, "forward", &m));
    CHECK(rw_profile_calls(s) == 0, "what was measured is not forgotten");
    rw_session_destroy(s);
    rw_program_destroy(p);
    rw_context_destroy(c);
}

int main(void) {
    char path[300];
    rw_context *c = NULL;
    rw_program *p = NULL;
    folder_make();
    snprintf(path, sizeof path, "%s/tiny.so", folder);
    so_path = path;
    for (int i = 0; i < 64; i++) tokens[i] = (i * 7 + i / 5) % TINY_V;
    if (!compile_tiny(path)) return 1;
    GOOD(rw_context_create(&(rw_context_options){.threads = 2}, &c, &m));
    GOOD(rw_program_load(c, path, &p, &m));
    if (p != NULL) {
        test_numbers(p);
        test_pieces(p);
        test_threads();
        test_together(p);
        test_states(p);
        test_weights(p);
        test_mistakes(p);
        test_no_memory();
        test_calls_take_none();
        test_profile();
    }
    rw_program_destroy(p);
    rw_context_destroy(c);
    folder_remove();
    return finish();
}
