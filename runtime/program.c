/* Programs: a file read, checked and, when all is well, loaded. The system's loader maps a private,
 * sealed copy of the very bytes whose hash was checked, so that nobody can change them in between. */
#define _GNU_SOURCE /* syscall, F_ADD_SEALS */
#include "program.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"

/* ---- loading ----------------------------------------------------------------------------------- */

static int memory_file(void) {
    enum { CLOEXEC = 1, ALLOW_SEALING = 2, EXEC = 16 };
    long fd = syscall(SYS_memfd_create, "rwkvc", CLOEXEC | ALLOW_SEALING | EXEC);
    if (fd < 0) /* before Linux 6.3 there is no EXEC, and it is not needed */
        fd = syscall(SYS_memfd_create, "rwkvc", CLOEXEC | ALLOW_SEALING);
    return (int)fd;
}

static bool write_all(int fd, const uint8_t *data, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes < (1u << 30) ? bytes : 1u << 30);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
        }
    }
    return true;
}

static rw_status map_code(rw_program *p, const uint8_t *image, size_t bytes, rw_message *m) {
    p->fd = memory_file();
    if (p->fd < 0 || !write_all(p->fd, image, bytes) ||
        fcntl(p->fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return rw_fail(m, RW_IO, "%s: no place in memory to load it from: %s", p->path,
                       strerror(errno));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", p->fd);
    p->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (p->library == NULL)
        return rw_fail(m, RW_BAD_FILE, "%s: the system cannot load it: %s", p->path, dlerror());
    return RW_OK;
}

static rw_status find_kernels(rw_program *p, rw_message *m) {
    for (uint32_t i = 0; i < p->n_entries; i++)
        for (uint32_t k = 0; k < p->entries[i].n_kernels; k++) {
            kernel *x = &p->entries[i].kernels[k];
            void *at = dlsym(p->library, x->symbol);
            if (at == NULL)
                return rw_fail(m, RW_BAD_FILE, "%s: its code has no kernel '%s'", p->path,
                               x->symbol);
            memcpy(&x->fn, &at, sizeof at); /* an object pointer is a function pointer here */
        }
    return RW_OK;
}

static rw_status load_host(rw_program *p, const code *c, rw_message *m) {
    rw_status s = cpu_check(p, m);
    if (s == RW_OK) s = map_code(p, c->image, c->bytes, m);
    return s == RW_OK ? find_kernels(p, m) : s;
}

/* ---- for a GPU --------------------------------------------------------------------------------- */

/* Numbers of threads are the driver's business only once they are possible ones. */
static rw_status check_blocks(const rw_program *p, rw_message *m) {
    for (uint32_t i = 0; i < p->n_entries; i++)
        for (uint32_t k = 0; k < p->entries[i].n_kernels; k++)
            if (p->entries[i].kernels[k].block == 0)
                return rw_fail(m, RW_BAD_FILE, "%s: kernel '%s' has no threads", p->path,
                               p->entries[i].kernels[k].symbol);
    return RW_OK;
}

static rw_status load_gpu(rw_program *p, const code *c, rw_message *m) {
    gpu *g = p->context->gpu;
    rw_status s = check_blocks(p, m);
    if (s == RW_OK) s = g->api->enter(g, m);
    if (s != RW_OK) return s;
    const uint8_t *image = c->image;
    if (c->kind != CODE_PTX) { /* the driver may look at it as long as the module lives */
        uint8_t *copy = pool_take(&p->pool, c->bytes + 4096, 1);
        if (copy == NULL) return rw_fail(m, RW_NO_MEMORY, "%s: no memory for its code", p->path);
        copy += (size_t)(-(uintptr_t)copy & 4095);
        image = memcpy(copy, c->image, c->bytes);
    }
    s = g->api->load(g, image, &p->module, m);
    for (uint32_t i = 0; i < p->n_entries && s == RW_OK; i++)
        for (uint32_t k = 0; k < p->entries[i].n_kernels && s == RW_OK; k++) {
            kernel *x = &p->entries[i].kernels[k];
            s = g->api->find(g, p->module, x->symbol, &x->function, m);
        }
    return s;
}

/* ---- either ------------------------------------------------------------------------------------ */

/* What would run on the device instead. */
static rw_status wrong_target(const rw_program *p, const code *c, const char *has, rw_message *m) {
    const gpu *g = p->context->gpu;
    unsigned number = 0;
    if (c->kind == CODE_PTX)
        return rw_fail(m, RW_WRONG_TARGET,
                       "%s: it holds code for %s, and %s is %s, which is older: compile it with "
                       "--target=sm_80, which runs on all since then",
                       p->path, has, g->name, g->arch);
    if (c->kind == CODE_CUBIN && sscanf(g->arch, "sm_%4u", &number) == 1)
        return rw_fail(
            m, RW_WRONG_TARGET,
            "%s: it holds machine code for %s (cubin), and %s is %s: compile it with "
            "--target=sm_%u, if 'rwkvc --help' lists that, or as .ptx, which newer devices "
            "run too",
            p->path, has, g->name, g->arch, number / 10 * 10);
    return rw_fail(m, RW_WRONG_TARGET,
                   "%s: it holds code for %s, and %s is %s: compile it with --target=%s, if "
                   "'rwkvc --help' lists that",
                   p->path, has, g->name, g->arch, g->arch);
}

/* What the device can run and what the file holds are told apart by more than a refusal. */
static rw_status check_kind(const rw_program *p, const code *c, rw_message *m) {
    const gpu *g = p->context->gpu;
    const char *has = c->targets != NULL ? c->targets : p->target;
    if (g == NULL && c->kind == CODE_HOST) return RW_OK;
    if (g == NULL)
        return rw_fail(m, RW_WRONG_TARGET,
                       "%s: it holds code for %s, a GPU: run it with --device %s:0, or compile the "
                       "text for this machine (-o FILE.so)",
                       p->path, has, c->kind == CODE_AMD ? "hip" : "cuda");
    bool is_cuda = g->api == &driver_cuda;
    if (c->kind == CODE_HOST || (c->kind == CODE_AMD) == is_cuda)
        return rw_fail(m, RW_WRONG_TARGET,
                       "%s: it holds code for %s, and %s is %s: compile the text for it (-o "
                       "FILE.%s)",
                       p->path, has, g->name, g->arch, is_cuda ? "ptx" : "hsaco");
    bool runs =
        c->kind == CODE_PTX ? ptx_runs(g->arch, p->target) : machine_code_runs(g->arch, p->target);
    return runs ? RW_OK : wrong_target(p, c, has, m);
}

static rw_status load(rw_program *p, const uint8_t *data, size_t bytes, bool with_code,
                      rw_message *m) {
    const gpu *g = p->context->gpu;
    code c;
    rw_status s = code_open(p, data, bytes, with_code && g != NULL ? g->arch : NULL, &c, m);
    if (s == RW_OK) s = manifest_read(p, c.manifest, c.manifest_bytes, m);
    if (s == RW_OK && with_code) s = check_kind(p, &c, m);
    if (s != RW_OK) return s;
    if (with_code) return g != NULL ? load_gpu(p, &c, m) : load_host(p, &c, m);
    if (c.targets != NULL) p->target = c.targets;
    return RW_OK;
}

static rw_status load_bytes(rw_context *c, const char *name, const uint8_t *data, size_t bytes,
                            bool with_code, rw_program **out, rw_message *m) {
    *out = NULL;
    pool first = {.alloc = &c->alloc};
    rw_program *p = POOL_NEW(&first, rw_program, 1);
    char *path = p != NULL ? pool_text(&first, name, strlen(name)) : NULL;
    if (path == NULL) {
        pool_free(&first);
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory", name);
    }
    p->context = c;
    p->pool = first;
    p->path = path;
    p->fd = -1;
    rw_status s = load(p, data, bytes, with_code, m);
    if (s == RW_OK)
        *out = p;
    else
        rw_program_destroy(p);
    return s;
}

/* A file that is mapped may change under us: it is copied first, and the copy is what is checked. */
static rw_status load_file(rw_context *c, const char *path, bool with_code, rw_program **out,
                           rw_message *m) {
    *out = NULL;
    rw_file f;
    rw_status s = rw_file_map(path, &f, m);
    if (s != RW_OK) return s;
    uint8_t *copy = c->alloc.fn(c->alloc.user, NULL, 0, f.bytes + 1);
    size_t bytes = f.bytes;
    if (copy != NULL) memcpy(copy, f.data, bytes);
    rw_file_unmap(&f);
    if (copy == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory for its %zu bytes", path, bytes);
    s = load_bytes(c, path, copy, bytes, with_code, out, m);
    c->alloc.fn(c->alloc.user, copy, bytes + 1, 0);
    return s;
}

rw_status rw_program_load(rw_context *c, const char *path, rw_program **out, rw_message *m) {
    return load_file(c, path, true, out, m);
}

rw_status rw_program_read(rw_context *c, const char *path, rw_program **out, rw_message *m) {
    return load_file(c, path, false, out, m);
}

rw_status rw_program_load_memory(rw_context *c, const char *name, const void *image, size_t bytes,
                                 rw_program **out, rw_message *m) {
    return load_bytes(c, name, image, bytes, true, out, m);
}

void rw_program_destroy(rw_program *p) {
    if (p == NULL) return;
    gpu *g = p->context->gpu;
    if (p->module != NULL && g->api->enter(g, NULL) == RW_OK) g->api->unload(g, p->module);
    if (p->library != NULL) dlclose(p->library);
    if (p->fd >= 0) close(p->fd);
    pool last = p->pool; /* p itself lies in it */
    pool_free(&last);
}

/* ---- listings ---------------------------------------------------------------------------------- */

const char *rw_program_name(const rw_program *p) { return p->name; }

const char *rw_program_target(const rw_program *p) { return p->target; }

size_t rw_program_axes(const rw_program *p) { return p->n_axes; }

const char *rw_program_axis(const rw_program *p, size_t i, int64_t *multiple) {
    if (i >= p->n_axes) return NULL;
    if (multiple != NULL) *multiple = p->axes[i].multiple;
    return p->axes[i].name;
}

size_t rw_program_entries(const rw_program *p) { return p->n_entries; }

const char *rw_program_entry(const rw_program *p, size_t i) {
    return i < p->n_entries ? p->entries[i].name : NULL;
}

const entry *rw_find_entry(const rw_program *p, const char *name) {
    for (uint32_t i = 0; name != NULL && i < p->n_entries; i++)
        if (strcmp(p->entries[i].name, name) == 0) return &p->entries[i];
    return NULL;
}

static const struct {
    rw_dtype dtype;
    size_t bytes;
} dtypes[RW_FILE_DTYPES] = {
    [RW_FILE_F32] = {RW_F32, 4},
    [RW_FILE_BF16] = {RW_BF16, 2},
    [RW_FILE_F16] = {RW_F16, 2},
    [RW_FILE_I32] = {RW_I32, 4},
};

rw_dtype file_dtype(uint8_t dtype) { return dtypes[dtype].dtype; }

size_t file_dtype_bytes(uint8_t dtype) { return dtypes[dtype].bytes; }

static bool is_result(const output *o) {
    return o->kind == OUT_RESULT || o->kind == OUT_LOSS || o->kind == OUT_PENALTY ||
           o->kind == OUT_METRIC;
}

static void shape_numbers(const rw_program *p, const uint32_t *dims, uint32_t rank, rw_info *out) {
    out->rank = rank <= RW_MAX_RANK ? (int)rank : RW_MAX_RANK;
    for (int i = 0; i < out->rank; i++) {
        int64_t n = rw_size_eval(p, dims[i], NULL, NULL);
        out->shape[i] = n == SIZE_NONE ? -1 : n;
    }
    rw_dims_text(p, dims, rank, out->shape_text, sizeof out->shape_text);
}

static void param_info(const param *x, uint32_t k, rw_info *out) {
    *out = (rw_info){.name = x->members[k].name,
                     .what = "",
                     .dtype = x->is_int ? RW_I32 : RW_F32,
                     .rank = x->stored_rank,
                     .lr = x->lr,
                     .decay = x->decay,
                     .frozen = x->frozen || x->members[k].frozen,
                     .promoted = x->promoted};
    memcpy(out->shape, x->stored, sizeof out->shape);
    rw_tensor t = {.rank = x->stored_rank};
    memcpy(t.shape, x->stored, sizeof t.shape);
    rw_tensor_shape(&t, out->shape_text, sizeof out->shape_text);
}

/* Thing i of a list of families; false, and what is left of i, when it lies behind this family. */
static bool within(size_t *i, size_t n) {
    if (*i < n) return true;
    *i -= n;
    return false;
}

/* random() needs a seed, whether or not the text has an input of that name. */
static bool lists_seed(const entry *e) {
    for (uint32_t i = 0; i < e->n_inputs; i++)
        if (strcmp(e->inputs[i].name, "seed") == 0) return false;
    return e->has_random;
}

static bool any_info(const rw_program *p, rw_kind kind, const entry *e, size_t i, rw_info *out) {
    for (uint32_t k = 0; kind == RW_PARAM && k < p->n_params; k++)
        if (within(&i, p->params[k].n_members)) {
            param_info(&p->params[k], (uint32_t)i, out);
            return true;
        }
    for (uint32_t k = 0; (kind == RW_STATE || kind == RW_OPTIMIZER) && k < p->n_states; k++) {
        const state *x = &p->states[k];
        if (x->optimizer != (kind == RW_OPTIMIZER) || !within(&i, x->n_members)) continue;
        *out = (rw_info){.name = x->members[i], .what = "", .dtype = file_dtype(x->dtype)};
        shape_numbers(p, x->dims, x->rank, out);
        return true;
    }
    if (e != NULL && kind == RW_INPUT && i < e->n_inputs) {
        const input *x = &e->inputs[i];
        *out = (rw_info){.name = x->name,
                         .what = "",
                         .dtype = file_dtype(x->dtype),
                         .below = x->below,
                         .scalar = x->scalar};
        shape_numbers(p, x->dims, x->rank, out);
        return true;
    }
    if (e != NULL && kind == RW_INPUT && i == e->n_inputs && lists_seed(e)) {
        *out = (rw_info){
            .name = "seed", .what = "", .dtype = RW_I64, .scalar = true, .shape_text = "[]"};
        return true;
    }
    for (uint32_t k = 0; e != NULL && k < e->n_outputs; k++) {
        const output *o = &e->outputs[k];
        const buffer *b = &e->buffers[o->buf];
        if (kind == RW_OUTPUT && is_result(o) && within(&i, 1)) {
            *out = (rw_info){
                .name = o->name, .what = output_words[o->kind], .dtype = file_dtype(b->dtype)};
            shape_numbers(p, b->dims, b->rank, out);
            return true;
        }
        if (kind == RW_GRADIENT && o->kind == OUT_GRAD &&
            within(&i, p->params[o->index].n_members)) {
            param_info(&p->params[o->index], (uint32_t)i, out);
            return true;
        }
    }
    return false;
}

rw_status rw_program_info(const rw_program *p, rw_kind kind, const char *entry_name, size_t i,
                          rw_info *out) {
    return any_info(p, kind, rw_find_entry(p, entry_name), i, out) ? RW_OK : RW_NO_SUCH;
}

size_t rw_program_count(const rw_program *p, rw_kind kind, const char *entry_name) {
    const entry *e = rw_find_entry(p, entry_name);
    size_t n = 0;
    for (uint32_t k = 0; kind == RW_PARAM && k < p->n_params; k++) n += p->params[k].n_members;
    for (uint32_t k = 0; k < p->n_states; k++)
        if (kind == (p->states[k].optimizer ? RW_OPTIMIZER : RW_STATE)) n += p->states[k].n_members;
    if (e == NULL) return n;
    if (kind == RW_INPUT) return e->n_inputs + lists_seed(e);
    for (uint32_t k = 0; k < e->n_outputs; k++) {
        const output *o = &e->outputs[k];
        n += kind == RW_OUTPUT && is_result(o);
        n += kind == RW_GRADIENT && o->kind == OUT_GRAD ? p->params[o->index].n_members : 0;
    }
    return n;
}
