/* Named tensors from and to files: .safetensors, torch's zip .pth, rwkv.cpp's .bin (read only). */
#ifndef RW_WEIGHTS_H
#define RW_WEIGHTS_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A set of named tensors, in the order of the file. Names are unique, valid UTF-8, not empty. */
typedef struct rw_weights rw_weights;

/* Opens a file; what it is is told by its first bytes, not by its name. Contiguous tensors are used
 * in place from the map of the file; views with strides, unaligned data and quantised blocks are
 * copied (quantised ones become f32). Every claim of the file is checked against its real size
 * before it is believed: the copies of expanded views may take 64 times the size of the file and
 * 1 MiB at most. In a .pth nested dicts and lists are flattened to dotted names
 * ("model.emb.weight", "list.0"), leaves that are no tensors are skipped; its check sums are
 * verified for the pickle always, for the tensors when they take less than 64 MiB together.
 * RW_IO, RW_BAD_FILE, RW_NO_MEMORY with the file, the tensor or the offset, and a mend if known. */
rw_status rw_weights_open(const char *path, rw_weights **out, rw_message *m);
void rw_weights_close(rw_weights *w); /* w may be NULL; its tensors end with it */

size_t rw_weights_count(const rw_weights *w);
const rw_tensor *rw_weights_at(const rw_weights *w, size_t i); /* NULL if i >= count */
const rw_tensor *rw_weights_find(const rw_weights *w, const char *name); /* NULL if absent */
const char *rw_weights_kind(const rw_weights *w); /* "safetensors" "pth" "ggmf" */
/* The text kept under key with the tensors (meta of rw_weights_save; for ggmf the numbers of its
 * header: "version" "n_vocab" "n_embed" "n_layer" "data_type"); NULL if absent. */
const char *rw_weights_meta(const rw_weights *w, const char *key);

/* Writes n tensors; the ending of path, .safetensors or .pth, decides the format. meta is NULL or
 * key, value, ..., NULL. Same tensors, same bytes. Written beside path and renamed, so that a
 * failure leaves the old file. RW_BAD_ARG: another ending, a name that is empty, not UTF-8, or
 * used twice ("__metadata__" is taken in .safetensors); RW_BAD_SHAPE: bytes and shape disagree. */
rw_status rw_weights_save(const char *path, const rw_tensor *t, size_t n, const char *const *meta,
                          rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
