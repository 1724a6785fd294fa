/* What the tests share that have a library of fake_cuda.c or fake_hip.c for a driver. */
#ifndef TESTS_RUNTIME_FAKED_H
#define TESTS_RUNTIME_FAKED_H

#include <dlfcn.h>

#include "calls.h"
#include "compiled.h"

enum { B = 2, T = 9 };
static int32_t tokens[B * T + 32];
static long (*count)(const char *what); /* of the fake */

typedef struct on {
    rw_context *c;
    rw_program *p;
    rw_session *s;
} on;

static inline rw_status open_context(on *x, const char *device, const char *library) {
    rw_context_options o = {.device = device, .library = library};
    *x = (on){0};
    return rw_context_create(&o, &x->c, &m);
}

static inline rw_status open_session(on *x) {
    rw_dim dims[] = {{"B", B}, {"T", T}};
    rw_session_options o = {.dims = dims, .n_dims = 2};
    rw_status s = rw_session_create(x->p, &o, &x->s, &m);
    return s == RW_OK ? rw_params_init(x->s, 3, &m) : s;
}

static inline void close_on(on *x) {
    rw_session_destroy(x->s);
    rw_program_destroy(x->p);
    rw_context_destroy(x->c);
    *x = (on){0};
}

/* What the driver does as the variable of the environment says. */
static inline void pretend(const char *what) {
    setenv("FAKE_CUDA", what, 1);
    setenv("FAKE_HIP", what, 1);
}

static inline rw_status call(on *x, const char *entry, int64_t t) {
    rw_tensor token = {.name = "token", .dtype = RW_I32, .rank = t > 0 ? 2 : 1, .shape = {B, t}};
    token.data = tokens;
    token.bytes = (size_t)(B * (t > 0 ? t : 1)) * sizeof *tokens;
    GOOD(rw_put(x->s, "token", &token, &m));
    token.name = "target";
    GOOD(rw_put(x->s, "target", &token, &m));
    GOOD(rw_put_number(x->s, "lr", 1e-3, &m));
    GOOD(rw_put_number(x->s, "decay", 0, &m));
    GOOD(rw_put_number(x->s, "step", 1, &m));
    return rw_call(x->s, entry, &m);
}

/* Every call asks for the launches of its entry, by itself twice at first, then as a recording. */
static inline void launches(on *x, const char *entry, int64_t t, bool has_graphs) {
    for (int i = 0; i < 8; i++) {
        long before = count("launches"), replays = count("replays"), waits = count("waits");
        GOOD(call(x, entry, t));
        CHECK(count("launches") > before, "%s: nothing was launched", entry);
        CHECK(count("waits") == waits + 1, "%s waits %ld times", entry, count("waits") - waits);
        bool replayed =
            count("replays") > replays; /* states change places: so the third at the latest */
        CHECK(i == 1 || replayed == (has_graphs && i > 1), "%s, call %d: %d", entry, i, replayed);
    }
}

/* The address of a name of the fake's. */
static inline bool find_in(void *library, const char *name, void *to) {
    void *at = library != NULL ? dlsym(library, name) : NULL;
    memcpy(to, &at, sizeof at);
    return at != NULL;
}

#endif
