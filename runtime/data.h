/* Token data: files of tokens, and which piece of them a training step sees. */
#ifndef RW_DATA_H
#define RW_DATA_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A sequence of tokens in a file, mapped, never copied. Either one stream, of which samples are
 * windows that may begin anywhere, or rows that are samples of their own (arrays of rank 2 and
 * more: the last axis is a row). */
typedef struct rw_data rw_data;

/* type: the element type of a raw file, "u8" (bytes, as of a text), "u16" or "i32"; NULL: told by
 * the file: an array of numpy by its first bytes; NAME.bin with NAME.idx beside it (the Megatron
 * format of RWKV-LM) by that index; else by the ending of its name, .u16 or .i32, or bytes.
 * RW_BAD_FILE: an array that is not of integers, a length that is no multiple of the element, a
 * damaged index, no tokens at all. RW_BAD_ARG: no such type. */
rw_status rw_data_open(const char *path, const char *type, rw_data **out, rw_message *m);
void rw_data_close(rw_data *d); /* d may be NULL */

uint64_t rw_data_count(const rw_data *d);  /* tokens                          */
uint64_t rw_data_row(const rw_data *d);    /* tokens of a row; 0 for a stream */
rw_dtype rw_data_dtype(const rw_data *d);
/* n tokens from position `from` on; both within the data. Tokens beyond int32 become -1. */
void rw_data_read(const rw_data *d, uint64_t from, size_t n, int32_t *dst);
/* The first position whose token is not within 0..limit-1, or the count: one pass over all. */
uint64_t rw_data_find_beyond(const rw_data *d, int64_t limit);

/* ---- samples ------------------------------------------------------------------------------- */

/* A sample is ctx+1 tokens: the first ctx are the input, the last ctx what is to be predicted. The
 * place of a sample depends on nothing but its number: a run that goes on after an interruption
 * needs to remember that number alone. */
typedef enum rw_order {
    RW_ORDER_RANDOM,   /* places (or rows) drawn independently, from the seed                    */
    RW_ORDER_SEQUENCE, /* one after the other, ctx apart; again from the start at the end        */
    RW_ORDER_CUBE      /* RWKV-LM's permutation of pieces: (F*i^3 mod p)*ctx, see rw_cube_prime  */
} rw_order;

typedef struct rw_sampler {
    const rw_data *data;
    rw_order order;
    size_t ctx;
    uint64_t seed;
    uint64_t places; /* how many there are          */
    uint64_t prime;  /* RW_ORDER_CUBE               */
} rw_sampler;

/* RW_BAD_ARG: ctx is 0; rows with an order of pieces. RW_BAD_SHAPE: the data is shorter than
 * ctx+1, or a row is not ctx+1 long. */
rw_status rw_sampler_init(rw_sampler *s, const rw_data *d, rw_order order, size_t ctx,
                          uint64_t seed, rw_message *m);
/* Where sample number i (from 0) begins. */
uint64_t rw_sampler_place(const rw_sampler *s, uint64_t i);
/* Sample number i: ctx tokens each. */
void rw_sampler_read(const rw_sampler *s, uint64_t i, int32_t *input, int32_t *target);

/* The largest prime that leaves 2 when divided by 3 and is at most n (0 if there is none): cubing is
 * a permutation of the numbers below it. */
uint64_t rw_cube_prime(uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
