/* What `rwkv bench` measures, and how it is shown. */
#ifndef RW_TOOLS_BENCH_H
#define RW_TOOLS_BENCH_H

#include "compiled.h"
#include "measure.h"
#include "profile.h"

/* What can be measured of a model. */
typedef enum Kind { K_DECODE, K_PREFILL, K_TRAIN, KINDS } Kind;
extern const char *const bench_entry[KINDS];

typedef struct Bench {
    Compiled c;
    Machine machine;
    const char *params, *peer;
    uint64_t size[KINDS]; /* tokens of one sample; 0: not asked for */
    uint64_t batch, rounds;
    bool profile, json, help;
    rw_session *session[KINDS]; /* the first two are one */
    rw_work work[KINDS];        /* of one call */
    int64_t below;              /* tokens are 0..below-1 */
    int32_t *tokens;
    size_t steps;     /* of training so far */
    Measure *measure; /* NULL: on a GPU */
    Series limit[LIMITS], rate[KINDS], peer_rate;
    Profile profiles[KINDS];
} Bench;

/* Tokens that one call takes. */
double bench_tokens(const Bench *b, Kind k);

void bench_print(const Bench *b);
void bench_json(const Bench *b);

#endif
