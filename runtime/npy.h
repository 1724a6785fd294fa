/* Arrays in numpy's .npy format. */
#ifndef RW_NPY_H
#define RW_NPY_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An array that owns its memory. t.name is the path it came from. */
typedef struct rw_array {
    rw_tensor t;
    void *storage;
} rw_array;

/* Reads versions 1.0, 2.0 and 3.0; big-endian and Fortran-ordered arrays are converted, so that
 * out->t is always little endian and in C order. Every type of dtypes.def with an npy name.
 * RW_BAD_FILE with the reason: damaged header, data shorter or longer than the shape says, object,
 * structured, complex, text or 64-bit unsigned elements, more than RW_MAX_RANK dimensions.
 * On failure *out is all zero. What is allocated is bounded by the size of the file. */
rw_status rw_npy_load(const char *path, rw_array *out, rw_message *m);
/* The same from bytes in memory; path only names them in messages. */
rw_status rw_npy_parse(const char *path, const void *data, size_t bytes, rw_array *out,
                       rw_message *m);
void rw_array_free(rw_array *a); /* may be called again, and on an all-zero rw_array */

/* Writes t as version 1.0, in the very bytes numpy writes; bf16 is widened to f32. The file is
 * written beside path and renamed. */
rw_status rw_npy_save(const char *path, const rw_tensor *t, rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
