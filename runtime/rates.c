/* What a GPU can do at most, measured on the spot: memory copied, numbers multiplied. */
#include "session.h"

typedef struct timing {
    gpu *g;
    void *queue, *begin, *end;
    uint8_t *block;
} timing;

static rw_status start(timing *x, gpu *g, size_t bytes, rw_message *m) {
    *x = (timing){.g = g};
    rw_status s = g->api->enter(g, m);
    if (s == RW_OK) s = g->api->queue_make(g, &x->queue, m);
    if (s == RW_OK) s = g->api->mark_make(g, true, &x->begin, m);
    if (s == RW_OK) s = g->api->mark_make(g, true, &x->end, m);
    if (s == RW_OK) s = g->api->take(g, bytes, &x->block, m);
    return s == RW_OK ? g->api->zero(g, x->queue, x->block, bytes, m) : s;
}

static void stop(timing *x) {
    const gpu_api *api = x->g->api;
    if (x->block != NULL) api->give(x->g, x->block);
    if (x->begin != NULL) api->mark_drop(x->g, x->begin);
    if (x->end != NULL) api->mark_drop(x->g, x->end);
    if (x->queue != NULL) api->queue_drop(x->g, x->queue);
}

/* Between the marks, when all is done. */
static rw_status seconds_of(timing *x, double *seconds, rw_message *m) {
    rw_status s = x->g->api->mark(x->g, x->queue, x->end, m);
    if (s == RW_OK) s = x->g->api->wait(x->g, x->queue, m);
    return s == RW_OK ? x->g->api->between(x->g, x->begin, x->end, seconds, m) : s;
}

/* ---- memory -------------------------------------------------------------------------------------- */

enum { COPY_BYTES = 256 << 20, COPIES = 4 };

rw_status rw_context_copy_rate(rw_context *c, double *bytes_a_second, rw_message *m) {
    gpu *g = c->gpu;
    timing x;
    double seconds = 0;
    *bytes_a_second = 0;
    if (g == NULL) return rw_fail(m, RW_BAD_ARG, "the device is a processor");
    size_t bytes = g->memory / 64 < COPY_BYTES ? g->memory / 64 / 64 * 64 : COPY_BYTES;
    rw_status s = start(&x, g, 2 * bytes, m);
    for (int i = 0; i < COPIES && s == RW_OK; i++) {
        if (i == 1) s = g->api->mark(g, x.queue, x.begin, m); /* the first warms up */
        if (s == RW_OK) s = g->api->within(g, x.queue, x.block + bytes, x.block, bytes, m);
    }
    if (s == RW_OK) s = seconds_of(&x, &seconds, m);
    if (s == RW_OK && seconds > 0) *bytes_a_second = 2.0 * (COPIES - 1) * (double)bytes / seconds;
    stop(&x);
    return s;
}

/* ---- products ------------------------------------------------------------------------------------ */

/* Enough workgroups for every place of a unit; a launch that takes so long that asking for it costs nothing
 * beside it. */
enum { GROUPS_OF_UNIT = 4, MOST_TURNS = 1 << 20 };
#define LONG_ENOUGH 4000000u /* nanoseconds */

static rw_status multiply(timing *x, const rate *r, void *function, int64_t groups, int64_t turns,
                          double *seconds, rw_message *m) {
    void *args[2] = {&x->block, &turns};
    rw_status s = x->g->api->mark(x->g, x->queue, x->begin, m);
    if (s == RW_OK)
        s = x->g->api->launch(x->g, x->queue, function, (uint32_t)groups, r->block, args, m);
    return s == RW_OK ? seconds_of(x, seconds, m) : s;
}

/* By the clock of whoever waits, turns are doubled until a launch is long enough: the first ones warm up. */
static rw_status multiply_long(timing *x, const rate *r, void *function, double *out,
                               rw_message *m) {
    int64_t groups = (int64_t)(x->g->units > 0 ? x->g->units : 1) * GROUPS_OF_UNIT;
    for (int64_t turns = 1; turns <= MOST_TURNS; turns *= 2) {
        double seconds = 0;
        uint64_t begin = profile_now();
        rw_status s = multiply(x, r, function, groups, turns, &seconds, m);
        if (s != RW_OK) return s;
        if (profile_now() - begin < LONG_ENOUGH && turns < MOST_TURNS) continue;
        if (seconds > 0) *out = (double)r->operations * (double)groups * (double)turns / seconds;
        return RW_OK;
    }
    return RW_OK;
}

rw_status rw_program_product_rate(const rw_program *p, rw_dtype dtype, double *operations_a_second,
                                  rw_message *m) {
    gpu *g = p->context->gpu;
    timing x;
    void *function;
    *operations_a_second = 0;
    if (g == NULL || p->module == NULL)
        return rw_fail(m, RW_BAD_ARG, "%s: it was not loaded for a GPU", p->path);
    const rate *r = NULL;
    for (uint32_t i = 0; i < p->n_rates; i++)
        if (file_dtype(p->rates[i].dtype) == dtype) r = &p->rates[i];
    if (r == NULL)
        return rw_fail(m, RW_NO_SUCH, "%s: no products of %s for %s", p->path, rw_dtype_name(dtype),
                       p->target);
    rw_status s = start(&x, g, 64, m);
    if (s == RW_OK) s = g->api->find(g, p->module, r->symbol, &function, m);
    if (s == RW_OK) s = multiply_long(&x, r, function, operations_a_second, m);
    stop(&x);
    return s;
}
