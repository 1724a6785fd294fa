/* What a call computes and moves: the counts of the manifest for lengths of axes. */
#include <math.h>
#include <string.h>

#include "context.h"
#include "program.h"

_Static_assert((int)RW_WORKS == (int)RW_FILE_WORKS, "the parts of rw.h are those of the file");

const char *rw_work_name(rw_work_part part) {
    static const char *const names[RW_WORKS] = {"products with parameters",
                                                "other products",
                                                "recurrences",
                                                "other operations",
                                                "bytes read of what is given",
                                                "bytes read of what was made",
                                                "bytes written"};
    return (unsigned)part < RW_WORKS ? names[part] : "";
}

void work_eval(const rw_program *p, const uint32_t *counts, const int64_t *axes,
               const int64_t *value, double times, rw_work *to) {
    for (int i = 0; i < RW_WORKS; i++) {
        double x = count_eval(p, counts[i], axes, value);
        to->of[i] += isnan(x) ? 0 : times * x;
    }
}

static rw_status read_dims(const rw_program *p, const rw_dim *dims, size_t n, int64_t *axes) {
    for (uint32_t i = 0; i < p->n_axes; i++) axes[i] = p->axes[i].multiple;
    for (size_t k = 0; k < n; k++) {
        uint32_t i = 0;
        while (i < p->n_axes && strcmp(p->axes[i].name, dims[k].name) != 0) i++;
        if (i == p->n_axes) return RW_NO_SUCH;
        if (dims[k].value < 1) return RW_BAD_ARG;
        axes[i] = dims[k].value;
    }
    return RW_OK;
}

rw_status rw_program_work(const rw_program *p, const char *name, const rw_dim *dims, size_t n_dims,
                          rw_work *out) {
    memset(out, 0, sizeof *out);
    const entry *e = rw_find_entry(p, name);
    if (e == NULL) return RW_NO_SUCH;
    int64_t axes[RW_FILE_AXES];
    rw_status r = read_dims(p, dims, n_dims, axes);
    if (r != RW_OK) return r;
    pool scratch = {.alloc = &p->context->alloc};
    int64_t *value = POOL_NEW(&scratch, int64_t, p->n_sizes + 1u);
    if (value == NULL) return RW_NO_MEMORY;
    sizes_eval(p, axes, value);
    work_eval(p, e->work, axes, value, 1, out);
    pool_free(&scratch);
    return RW_OK;
}

rw_status rw_program_work_text(const rw_program *p, const char *name, rw_work_part part, char *text,
                               size_t cap) {
    const entry *e = rw_find_entry(p, name);
    if (cap > 0) text[0] = '\0';
    if (e == NULL || (unsigned)part >= RW_WORKS || cap == 0) return RW_NO_SUCH;
    rw_count_text(p, e->work[part], text, cap);
    return RW_OK;
}

rw_dtype rw_program_weights(const rw_program *p) {
    for (uint32_t i = 0; i < p->n_entries; i++)
        for (uint32_t k = 0; k < p->entries[i].n_buffers; k++) {
            const buffer *b = &p->entries[i].buffers[k];
            if (b->role == RW_ROLE_PARAM && (b->dtype == RW_FILE_BF16 || b->dtype == RW_FILE_F16))
                return file_dtype(b->dtype);
        }
    return RW_F32;
}

static uint64_t launches(const ops *list) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const op *o = &list->list[i];
        n += o->kind == RW_OP_LAUNCH || o->kind == RW_OP_COPY;
        for (uint32_t k = 0; o->kind == RW_OP_LOOP && k < o->n_classes; k++) {
            uint64_t rounds = 0;
            for (uint32_t c = 0; c < o->count; c++) rounds += o->class_of[c] == k;
            n += rounds * launches(&o->bodies[k]);
        }
    }
    return n;
}

uint64_t rw_program_launches(const rw_program *p, const char *name) {
    const entry *e = rw_find_entry(p, name);
    return e != NULL ? launches(&e->ops) : 0;
}
