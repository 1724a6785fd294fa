/* Contexts: where memory comes from, the threads, the device. */
#include "context.h"

#include <string.h>

uint32_t rw_abi_version(void) { return RW_ABI; }

rw_status rw_context_create(const rw_context_options *o, rw_context **out, rw_message *m) {
    static const rw_context_options none = {0};
    *out = NULL;
    if (o == NULL) o = &none;
    int index = 0;
    bool is_cpu = o->device == NULL || strcmp(o->device, "cpu") == 0;
    const gpu_api *api = is_cpu ? NULL : driver_kind(o->device, &index);
    if (!is_cpu && api == NULL)
        return rw_fail(m, RW_NO_DEVICE,
                       "there is no device '%s'; this runtime knows cpu, hip:0 hip:1 ... (AMD's "
                       "GPUs) and cuda:0 cuda:1 ... (NVIDIA's)",
                       o->device);
    const rw_alloc *alloc = o->alloc != NULL ? o->alloc : &memory_system;
    rw_context *c = alloc->fn(alloc->user, NULL, 0, sizeof *c);
    if (c == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a context");
    *c = (rw_context){.alloc = *alloc};
    unsigned n = o->threads > 0 ? o->threads : is_cpu ? threads_default() : 1;
    rw_status s = threads_create(&c->alloc, n, o->spin_us, &c->threads, m);
    if (s == RW_OK && !is_cpu) s = driver_open(&c->alloc, api, index, o->library, &c->gpu, m);
    if (s != RW_OK) {
        rw_context_destroy(c);
        return s;
    }
    *out = c;
    return RW_OK;
}

void rw_context_destroy(rw_context *c) {
    if (c == NULL) return;
    driver_close(c->gpu);
    threads_destroy(c->threads);
    rw_alloc alloc = c->alloc;
    alloc.fn(alloc.user, c, sizeof *c, 0);
}

unsigned rw_context_threads(const rw_context *c) { return threads_count(c->threads); }

const char *rw_context_device(const rw_context *c) { return c->gpu != NULL ? c->gpu->name : "cpu"; }
