/* Checkpoints from one file format into another. */
#ifndef RW_CONVERT_H
#define RW_CONVERT_H

#include "weights.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rw_convert_dtype {
    RW_CONVERT_KEEP = 0, /* as they are in the input (quantised ones as f32) */
    RW_CONVERT_F32,
    RW_CONVERT_F16,
    RW_CONVERT_BF16
} rw_convert_dtype;

/* All zero is the default: nothing changed but the format. */
typedef struct rw_convert_options {
    rw_convert_dtype dtype;     /* of every real tensor; integers and bools stay as they are   */
    const char *const *strip;   /* n_strip prefixes taken off the names, again and again while */
    size_t n_strip;             /* one fits: "_forward_module.", "module.", "model."           */
} rw_convert_options;

/* Reads in (any format rw_weights_open knows) and writes out (.safetensors or .pth). Of a .bin of
 * rwkv.cpp the changes its converter made to values, names and shapes are undone, so that the
 * output is a checkpoint in the official form:
 *   v7    x_rwkvag [6,1,C] -> x_r x_w x_k x_v x_a x_g [1,1,C]; w1 w2 a1 a2 v1 v2 g1 g2 transposed
 *   v6    time_maa_w1 time_maa_w2 time_decay_w1 time_decay_w2 transposed, vectors [1,1,C]
 *   v5.x  time_decay: log(-log d), [H] or [H,N]; 5.1 also time_first: log
 *   v4    time_decay: log(-d); time_mix_* [1,1,C]
 * options may be NULL. One tensor at a time is held in memory beside the map of the input. */
rw_status rw_convert(const char *in, const char *out, const rw_convert_options *options,
                     rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
