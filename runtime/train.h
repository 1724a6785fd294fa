/* Training on token data: batches, steps, checkpoints from which a run goes on in the same bits, and
 * a file of metrics. The update itself (optimizer, clipping) is the entry "train" of the program. */
#ifndef RW_TRAIN_H
#define RW_TRAIN_H

#include "data.h"
#include "rw.h"
#include "schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RW_TRAIN_METRICS = 8 }; /* of the text; more are not followed */

typedef struct rw_train_options {
    const char *dir; /* of checkpoints and metrics.csv */
    size_t batch, ctx;
    rw_schedule schedule; /* steps, lr, lr_final, warmup */
    double decay;         /* weight decay               */
    uint64_t seed;        /* of samples and of random() */
    rw_order order;
    unsigned keep; /* checkpoints                */
} rw_train_options;

/* A run; one thing after the other, by one thread. The session, the program and the data outlive it.
 * The session allows [batch, ctx] and has the entry "train", and "grad" for rw_trainer_measure. */
typedef struct rw_trainer rw_trainer;
typedef struct rw_train_report {
    uint64_t step;    /* steps done                                      */
    uint64_t samples; /* taken from the data so far                      */
    double lr, loss;  /* of this step; the loss is that before its update */
    double metric[RW_TRAIN_METRICS];
} rw_train_report;

/* RW_BAD_ARG: the entry takes other inputs than token, target and the trainer's numbers, or has no
 * loss; RW_BAD_SHAPE: too little data, or tokens the model does not know (which, where). */
rw_status rw_trainer_create(const rw_train_options *o, const rw_program *p, rw_session *s,
                            const rw_data *data, rw_trainer **out, rw_message *m);
void rw_trainer_destroy(rw_trainer *t); /* t may be NULL */

/* Takes up the run of the folder at its newest checkpoint; *found false: there is none, and nothing
 * is changed. What of the options differs from those of that run is put into `note`, a line of
 * text for people ("batch was 8"); it is "" if nothing does. The seed is the run's. */
rw_status rw_trainer_resume(rw_trainer *t, bool *found, char *note, size_t cap, rw_message *m);
/* metrics.csv: at the start of a run new, after rw_trainer_resume without what came behind the
 * checkpoint. n_val: columns for rw_trainer_measure on other data: val_loss, val_loss_2, val_loss_3 ... */
rw_status rw_trainer_open_metrics(rw_trainer *t, size_t n_val, rw_message *m);

uint64_t rw_trainer_at(const rw_trainer *t); /* steps done */
size_t rw_trainer_metrics(const rw_trainer *t);
const char *rw_trainer_metric(const rw_trainer *t, size_t i); /* its name */

/* One step. RW_BAD_FILE: the loss is not a finite number; the parameters are no use any more. */
rw_status rw_trainer_step(rw_trainer *t, rw_train_report *r, rw_message *m);
/* The line of a step; val: n_val losses on other data, of which there may be none at this step. */
rw_status rw_trainer_write_metrics(rw_trainer *t, const rw_train_report *r, const double *val,
                                   size_t n_val, rw_message *m);
rw_status rw_trainer_save(rw_trainer *t, rw_message *m);

/* The mean loss over all of `data`, piece by piece in order; changes nothing. */
rw_status rw_trainer_measure(rw_trainer *t, const rw_data *data, double *loss, rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
