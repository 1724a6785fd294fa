/* What the machine can do at most, measured on the spot: memory read, products of matrices. A figure
 * of a program says little without it, and a figure from another hour or machine nothing. */
#ifndef RW_TOOLS_MEASURE_H
#define RW_TOOLS_MEASURE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum Limit {
    LIMIT_READ, /* bytes a second from memory, far beyond any cache; on a GPU, copied there */
    LIMIT_F32,  /* operations a second on float32: multiply and add are two */
    LIMIT_BF16, /* on bf16, by the unit for matrices, where there is one    */
    LIMITS
} Limit;

typedef struct Measure Measure;
/* NULL without memory. threads: as many as the program that is compared has. */
Measure *measure_new(int threads);
void measure_free(Measure *m);
bool measure_has(const Measure *m, Limit what);
/* One sample of some 30 ms. *clean: no thread lost the processor meanwhile. */
double measure_sample(Measure *m, Limit what, bool *clean);

/* Samples of one quantity. Those that were disturbed count only where there are no others. */
typedef struct Series {
    double clean[64], any[64];
    int n_clean, n_any;
} Series;
void series_add(Series *s, double value, bool clean);
/* Median, smallest and largest of the samples; all 0 without any. */
typedef struct Spread {
    double median, low, high;
    int n;
} Spread;
Spread series_spread(const Series *s);

double seconds_now(void); /* a clock that never steps back */

#endif
