/* How far a run is: a bar on a terminal, plain lines elsewhere, and the lines of a log. */
#ifndef RW_TOOLS_PROGRESS_H
#define RW_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PROGRESS_VALS = 8 };

typedef struct Progress {
    FILE *log;                 /* gets every line; may be NULL                       */
    uint64_t steps, every;     /* of the whole run; between plain lines              */
    uint64_t tokens;           /* of a step                                          */
    bool is_terminal;          /* standard error is one                              */
    bool is_drawn;             /* the bar stands on the last line                    */
    double last, drawn;        /* seconds: of the last step, the bar                 */
    double pace;               /* seconds a step, the later the more                 */
    double sum;                /* of losses since the last line                      */
    uint64_t n, n_all;         /* losses in it; steps in all                         */
    double val[PROGRESS_VALS]; /* last losses on other data */
    size_t n_val;
} Progress;

void progress_begin(Progress *p, FILE *log, uint64_t steps, uint64_t every, uint64_t tokens);
/* After a step (from 1), with its loss and learning rate. */
void progress_step(Progress *p, uint64_t step, double loss, double lr);
/* Time since `begin`, a value of the clock, is not counted: saving, measuring. */
double progress_clock(void);
void progress_skip(Progress *p, double begin);
void progress_val(Progress *p, const double *val, size_t n);
/* A line of its own, on standard error and in the log. */
void progress_say(Progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_end(Progress *p);

/* "1h02m", "3m07s", "12s", into text. */
const char *duration_text(double seconds, char *text, size_t cap);
/* "12.3k", "987", into text. */
const char *rate_text(double rate, char *text, size_t cap);

#endif
