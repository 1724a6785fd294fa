/* Where the time of an entry goes. Every thread notes its own part of every launch in a table of its own;
 * thread 0's marks, taken when all have met, cut the time of a call without a gap. */
#include <string.h>
#include <time.h>

#include "device.h"

uint64_t profile_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void rw_profile_end(rw_session *s) { s->profile.is_on = false; }

void profile_free(rw_session *s) {
    memory_give(&s->c->alloc, &s->profile.block);
    s->profile = (profile){0};
}

/* Lines of a table; those of two threads share no cache line. */
static size_t table_lines(const entry *e) {
    return e->n_kernels + 1u + MEMORY_ALIGN / sizeof(spent) + 1u;
}

static spent *table(const rw_session *s, unsigned k) {
    return (spent *)(void *)s->profile.block.data + k * table_lines(s->profile.x->e);
}

/* Numbers of the program's sizes. */
static int64_t *numbers(const rw_session *s) { return (int64_t *)(void *)table(s, s->n_lanes); }

rw_status rw_profile_begin(rw_session *s, const char *name, rw_message *m) {
    const lane_entry *x = session_entry(s, name);
    if (x == NULL)
        return rw_fail(m, RW_NO_SUCH, "entry '%s' is none of those this session was created for",
                       name);
    profile_free(s);
    if (!memory_take(&s->c->alloc,
                     s->n_lanes * table_lines(x->e) * sizeof(spent) +
                         (s->p->n_sizes + 1u) * sizeof(int64_t),
                     &s->profile.block))
        return rw_fail(m, RW_NO_MEMORY, "no memory for a profile of entry %s", name);
    rw_status r = s->gpu != NULL ? device_profile_begin(s, m) : RW_OK;
    if (r != RW_OK) return r;
    s->profile.x = x;
    s->profile.is_on = true;
    return RW_OK;
}

void profile_call_begin(rw_session *s, const lane_entry *x) {
    if (!s->profile.is_on || s->profile.x != x) return;
    for (unsigned k = 0; k < s->n_lanes; k++) s->lanes[k].spent = table(s, k);
    s->profile.ns -= profile_now();
}

void profile_call_end(rw_session *s, const lane_entry *x) {
    if (!s->profile.is_on || s->profile.x != x) return;
    s->profile.ns += profile_now();
    s->profile.calls++;
    memcpy(numbers(s), s->value, s->p->n_sizes * sizeof(int64_t));
    for (unsigned k = 0; k < s->n_lanes; k++) s->lanes[k].spent = NULL; /* other entries run too */
}

uint64_t rw_profile_calls(const rw_session *s) { return s->profile.calls; }

size_t rw_profile_count(const rw_session *s) {
    return s->profile.x != NULL ? s->profile.x->e->n_kernels + 2u : 0;
}

rw_status rw_profile_line(const rw_session *s, size_t i, rw_kernel_time *out) {
    *out = (rw_kernel_time){.name = "", .symbol = ""};
    if (i >= rw_profile_count(s)) return RW_BAD_ARG;
    const entry *e = s->profile.x->e;
    if (i <= e->n_kernels) {
        const spent *first = &table(s, 0)[i];
        out->name = i < e->n_kernels ? e->kernels[i].name : "copies";
        out->symbol = i < e->n_kernels ? e->kernels[i].symbol : "";
        out->launches = first->launches;
        out->seconds = 1e-9 * (double)first->ns;
        for (unsigned k = 0; k < s->n_lanes; k++)
            out->busy += 1e-9 * (double)table(s, k)[i].busy_ns;
        if (i < e->n_kernels && first->launches > 0)
            work_eval(s->p, e->kernels[i].work, s->profile.x->axes, numbers(s),
                      (double)first->launches, &out->work);
        return RW_OK;
    }
    uint64_t inside = 0;
    for (size_t k = 0; k <= e->n_kernels; k++) inside += table(s, 0)[k].ns;
    out->name = "around";
    out->launches = s->profile.calls;
    out->seconds = out->busy = 1e-9 * (double)(s->profile.ns - inside);
    return RW_OK;
}
