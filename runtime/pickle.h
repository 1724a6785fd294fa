/* The values in the pickle of a torch checkpoint. It is a program for a stack machine; of its
 * instructions only those are followed that make plain values, and of the names it may call only
 * those that make tensors: nothing of the file is ever executed. Not for users of the runtime. */
#ifndef RW_PICKLE_H
#define RW_PICKLE_H

#include "tensor.h"

typedef enum pickle_kind {
    P_NONE,
    P_BOOL,    /* integer                       */
    P_INT,     /* integer                       */
    P_TEXT,    /* text, bytes                   */
    P_GLOBAL,  /* integer: a row of the table   */
    P_TUPLE,   /* item, n                       */
    P_LIST,    /* item, n                       */
    P_DICT,    /* item: key, value, ...; n = 2 * pairs */
    P_STORAGE, /* storage                       */
    P_TENSOR,  /* tensor                        */
    P_OTHER    /* a value no tensor needs: float, bytes, a long integer */
} pickle_kind;

typedef struct pickle_value pickle_value;

typedef struct pickle_storage {
    rw_dtype dtype;
    int is_untyped; /* raw bytes: the tensor says what they are */
    const char *key;
    size_t key_length;
    int64_t count; /* elements; bytes if untyped */
} pickle_storage;

typedef struct pickle_tensor {
    const pickle_storage *storage;
    rw_dtype dtype;
    int rank;
    int64_t offset, shape[RW_MAX_RANK], stride[RW_MAX_RANK]; /* in elements */
} pickle_tensor;

struct pickle_value {
    pickle_kind kind;
    uint32_t cap; /* of item */
    size_t n;
    union {
        int64_t integer;
        const char *text; /* in the pickle's bytes; n of them */
        pickle_value **item;
        pickle_storage *storage;
        pickle_tensor *tensor;
    };
};

/* All memory of one pickle. */
typedef struct pickle pickle;

/* Runs the pickle in data; *top belongs to *out, which pickle_free ends; the values point into
 * data. Values may be shared and may hold themselves. Takes some 100 times `bytes` of memory at
 * most, which are refused above PICKLE_MAX. RW_BAD_FILE with the offset and the reason. */
#define PICKLE_MAX ((size_t)16 << 20)
rw_status pickle_read(const char *path, const uint8_t *data, size_t bytes, pickle **out,
                      const pickle_value **top, rw_message *m);
void pickle_free(pickle *p);

#endif
