/* Tensors as files hold them: a name, an element type, a shape and bytes. */
#ifndef RW_TENSOR_H
#define RW_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element types; everything known about them is in dtypes.def. */
typedef enum rw_dtype {
#define DTYPE(id, name, bytes, family, st, npy, storage, torch) id,
#include "dtypes.def"
#undef DTYPE
    RW_DTYPES /* their number */
} rw_dtype;

#define RW_MAX_RANK 8

/* A view: it owns neither its name nor its data. Data is contiguous, in C order, little endian,
 * aligned to its element size; `bytes` = product of shape times element size. Rank 0 is one
 * number; a dimension may be 0, and then data may be NULL. A bool is one byte, 0 or not 0. */
typedef struct rw_tensor {
    const char *name;
    rw_dtype dtype;
    int rank;
    int64_t shape[RW_MAX_RANK];
    const void *data;
    size_t bytes;
} rw_tensor;

size_t rw_dtype_bytes(rw_dtype d);      /* bytes of an element; 0 if d is no element type */
const char *rw_dtype_name(rw_dtype d);  /* "f32", "bf16", ...; "?" if d is no element type */
int rw_dtype_is_float(rw_dtype d);      /* f32 f16 bf16 f64 */
/* The element type of a name as rw_dtype_name gives it, or RW_DTYPES if there is none. */
rw_dtype rw_dtype_find(const char *name);

/* Number of elements by the shape, into *n. RW_BAD_SHAPE for a rank outside 0..RW_MAX_RANK, a
 * negative dimension, or a product (of elements or of bytes) that does not fit a size_t. */
rw_status rw_tensor_count(const rw_tensor *t, size_t *n);

/* Writes the shape as "[2,3]" into text (cut to cap bytes with its NUL) and returns text. */
char *rw_tensor_shape(const rw_tensor *t, char *text, size_t cap);

/* All elements of t as another type into dst, which holds as many as t has; t must be sound
 * (rw_tensor_count succeeds and bytes fits it). bool gives 0 or 1. To f64 every type but i64
 * beyond 2^53 is exact; to f32 the nearest value, ties to even, infinite beyond its range. */
void rw_tensor_to_f64(const rw_tensor *t, double *dst);
void rw_tensor_to_f32(const rw_tensor *t, float *dst);
/* Integers and bools only: RW_BAD_SHAPE for a real type, naming the tensor. */
rw_status rw_tensor_to_i64(const rw_tensor *t, int64_t *dst, rw_message *m);

/* n numbers as type d into dst. Real types: to nearest, ties to even, with subnormals, infinities
 * and signed zeros; any NaN becomes a quiet NaN of the same sign. Integers: to nearest, ties to
 * even, held at the ends of their range; NaN gives 0. bool: 0 for zero, 1 for all else. */
void rw_f64_to(rw_dtype d, const double *src, void *dst, size_t n);
void rw_f32_to(rw_dtype d, const float *src, void *dst, size_t n);

/* Single values of the 16-bit types, as bits. */
double rw_f16_to_f64(uint16_t h);
uint16_t rw_f64_to_f16(double x);
double rw_bf16_to_f64(uint16_t h);
uint16_t rw_f64_to_bf16(double x);

#ifdef __cplusplus
}
#endif
#endif
