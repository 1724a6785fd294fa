/* The files of a training run in a folder: model-0000000100.safetensors, the parameters after 100
 * steps, and train-0000000100.safetensors, all else that is needed to go on. A checkpoint is both
 * of them; each is written beside its place and renamed, the second one last, so that a run that
 * is killed at any moment leaves whole checkpoints only. model.safetensors is the newest one's
 * parameters. */
#ifndef RW_CHECKPOINT_H
#define RW_CHECKPOINT_H

#include "rw.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the folder where it is missing (its parent must be there). */
rw_status rw_checkpoint_folder(const char *dir, rw_message *m);
/* The newest whole checkpoint; *found false: there is none. */
rw_status rw_checkpoint_newest(const char *dir, bool *found, uint64_t *step, rw_message *m);
/* Writes one, moves model.safetensors on, and removes all but the newest `keep` (0: none is
 * removed) and what killed runs left half written. meta as for rw_weights_save, with the second. */
rw_status rw_checkpoint_save(const char *dir, uint64_t step, const rw_session *s,
                             const char *const *meta, unsigned keep, rw_message *m);
/* Parameters and states of the optimizer of one; *state is the second file, for its meta; the caller
 * closes it. */
rw_status rw_checkpoint_load(const char *dir, uint64_t step, rw_session *s, rw_weights **state,
                             rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
