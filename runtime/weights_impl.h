/* What the readers and writers of weight files share; not for users of the runtime. */
#ifndef RW_WEIGHTS_IMPL_H
#define RW_WEIGHTS_IMPL_H

#include <stdbool.h>

#include "file.h"
#include "weights.h"

/* Copies of expanded or strided views may take WEIGHTS_GROWTH times the file and WEIGHTS_SLACK
 * bytes, all together: real files stay below 1, a file that claims more wants to exhaust us. */
#define WEIGHTS_GROWTH 64u
#define WEIGHTS_SLACK  ((size_t)1 << 20)

struct rw_weights {
    const char *kind;
    char *path;
    rw_file file;
    rw_tensor *t; /* n of them, room for cap */
    size_t n, cap;
    const rw_tensor **by_name; /* n, sorted once all are read */
    union weights_block *blocks;
    char **meta; /* key, value, ...: n_meta pairs */
    size_t n_meta;
};

/* Memory that ends with w; 16-byte aligned, not cleared; NULL if there is none. */
void *weights_own(rw_weights *w, size_t bytes);
/* A NUL-terminated copy that ends with w. */
char *weights_text(rw_weights *w, const char *s, size_t n);
/* Appends t, whose name and data outlive w. Checks the name; sets t's bytes from its shape. */
rw_status weights_add(rw_weights *w, const rw_tensor *t, rw_message *m);
rw_status weights_add_meta(rw_weights *w, const char *key, const char *value, rw_message *m);
/* Bytes at p as a tensor's data: p itself if it is aligned to the element size, else a copy. */
const void *weights_place(rw_weights *w, const uint8_t *p, size_t bytes, rw_dtype d);

/* Valid UTF-8 without NUL. */
bool text_is_valid(const char *s, size_t n);
/* s for a message: control characters become '?', long texts are cut. Returns out. */
#define QUOTED 96
char *text_quote(const char *s, size_t n, char out[QUOTED]);

/* Readers: w has its file and path; they fill in the rest. */
rw_status safetensors_read(rw_weights *w, rw_message *m);
rw_status pth_read(rw_weights *w, rw_message *m);
rw_status ggmf_read(rw_weights *w, rw_message *m);
/* RW_BAD_FILE: w, read by ggmf_read, is a model that lacks tensors (which one is said). */
rw_status ggmf_check_whole(const rw_weights *w, rw_message *m);

/* ---- writing ------------------------------------------------------------------------------- */

/* Makes the bytes of tensor i into dst, called once for each tensor whose data is NULL. */
typedef rw_status (*weights_fill)(void *user, size_t i, void *dst, rw_message *m);

typedef struct save_plan {
    const rw_tensor *t;
    size_t n;
    const char *const *meta;
    weights_fill fill;
    void *user;
    void *scratch; /* room for the largest tensor that is to be made */
    rw_output *out;
    const char *path;
    rw_message *m;
} save_plan;

/* The bytes of tensor i, valid until the next call. */
rw_status save_data(save_plan *p, size_t i, const void **data);

rw_status safetensors_write(save_plan *p);
rw_status pth_write(save_plan *p);

/* rw_weights_save for tensors whose data is made only when it is their turn to be written. */
rw_status weights_save_filled(const char *path, const rw_tensor *t, size_t n,
                              const char *const *meta, weights_fill fill, void *user,
                              rw_message *m);

#endif
