/* From logits to the next token. */
#ifndef RW_SAMPLE_H
#define RW_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* p = softmax of the logits. Kept are the tokens with p of at least that of the rank where the sum
 * of the largest first reaches top_p, of these the top_k largest (0: all; of equals the lower
 * numbers), and of these p^(1/temperature), to a sum of 1. Temperature 0: the largest alone. */
typedef struct rw_sampling {
    double temperature; /* from 0          */
    double top_p;       /* in (0, 1]       */
    int64_t top_k;      /* from 0; 0 = all */
    uint64_t seed;
} rw_sampling;

/* Room for one choice at a time among at most n tokens. */
typedef struct rw_chooser rw_chooser;
/* RW_BAD_ARG: a number outside its range, or n is 0. */
rw_status rw_chooser_create(const rw_sampling *o, size_t n, rw_chooser **out, rw_message *m);
void rw_chooser_destroy(rw_chooser *c); /* c may be NULL */

/* The token drawn from logits [n], the draw'th (from 0) of this seed. Nothing but the logits, the
 * settings, the seed and that number decides. Logits that are NaN are never chosen; -1 if all are,
 * or if none is above -infinity. */
int64_t rw_choose(rw_chooser *c, const float *logits, size_t n, uint64_t draw);
/* The probabilities it draws from, into p [n]. */
void rw_choose_probs(rw_chooser *c, const float *logits, size_t n, double *p);

#ifdef __cplusplus
}
#endif
#endif
