/* The learning rate over a run. */
#include "schedule.h"

#include <math.h>

double rw_schedule_lr(const rw_schedule *o, uint64_t s) {
    const double pi = 3.14159265358979323846;
    double progress = s > o->warmup ? 1 : 0;
    if (s > o->warmup && s < o->steps)
        progress = (double)(s - o->warmup) / (double)(o->steps - o->warmup);
    double f = o->lr > 0 ? o->lr_final / o->lr : 1;
    double lr = o->lr * ((0.5 + f / 2) + (0.5 - f / 2) * cos(pi * progress));
    return s < o->warmup ? lr * (0.01 + 0.99 * (double)s / (double)o->warmup) : lr;
}
