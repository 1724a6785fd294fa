/* Contexts: where memory comes from, and the threads. */
#include "context.h"

#include <string.h>

uint32_t rw_abi_version(void) { return RW_ABI; }

rw_status rw_context_create(const rw_context_options *o, rw_context **out, rw_message *m) {
    static const rw_context_options none = {0};
    *out = NULL;
    if (o == NULL) o = &none;
    if (o->device != NULL && strcmp(o->device, "cpu") != 0)
        return rw_fail(m, RW_NO_DEVICE, "there is no device '%s'; this runtime knows cpu",
                       o->device);
    const rw_alloc *alloc = o->alloc != NULL ? o->alloc : &memory_system;
    rw_context *c = alloc->fn(alloc->user, NULL, 0, sizeof *c);
    if (c == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a context");
    *c = (rw_context){.alloc = *alloc};
    unsigned n = o->threads > 0 ? o->threads : threads_default();
    rw_status s = threads_create(&c->alloc, n, o->spin_us, &c->threads, m);
    if (s != RW_OK) {
        rw_context_destroy(c);
        return s;
    }
    *out = c;
    return RW_OK;
}

void rw_context_destroy(rw_context *c) {
    if (c == NULL) return;
    threads_destroy(c->threads);
    rw_alloc alloc = c->alloc;
    alloc.fn(alloc.user, c, sizeof *c, 0);
}

unsigned rw_context_threads(const rw_context *c) { return threads_count(c->threads); }
