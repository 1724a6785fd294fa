/* The learning rate over a run. */
#ifndef RW_SCHEDULE_H
#define RW_SCHEDULE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As RWKV-LM has it: from lr to lr_final along half a cosine, which begins when the warm-up is over;
 * during the warm-up of w steps, times 0.01 + 0.99 s/w. */
typedef struct rw_schedule {
    double lr, lr_final;
    uint64_t steps, warmup; /* of the whole run, and of its beginning */
} rw_schedule;

/* At step s from 0. At and behind the last step it is lr_final. */
double rw_schedule_lr(const rw_schedule *o, uint64_t s);

#ifdef __cplusplus
}
#endif
#endif
