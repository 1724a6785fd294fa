/* The parts of `rwkvc eval`: parameters, inputs, states, outputs of one run of an entry. */
#ifndef RWKVC_TOOLS_EVAL_H
#define RWKVC_TOOLS_EVAL_H

#include "../compiler/interp.h"
#include "../runtime/weights.h"
#include "eval_axes.h"
#include "model.h"

typedef struct EvalOptions {
    ModelOptions model;
    const char *entry, *stage;
    Pairs in, out, set, axis;
    const char *params, *params_out, *state_in, *state_out, *opt_in, *opt_out, *grads, *taps;
    uint64_t seed;
    size_t memory_limit; /* bytes; 0 = the interpreter's own */
    bool float32, verbose, help;
} EvalOptions;

typedef struct Eval {
    const char *command; /* in front of messages */
    const EvalOptions *options;
    Arena *arena;
    Model model;
    Graph *g;
    Graph *start; /* gives the states that no file does; NULL: not needed */
    Axes axes;
    Array *params;    /* by Graph.params  */
    Array *states;    /* by Graph.states; rank 0 and no items where a state is no input */
    Array *inputs;    /* by Graph.inputs  */
    Array *given;     /* by inputs of start */
    rw_weights *file; /* --params, or NULL */
} Eval;

/* Another entry of the model this run is of: "start" for "teacher.grad" is "teacher.start", or,
 * where a train block has a name of its own, the "start" of the text. NULL after an error. */
Graph *sibling_graph(Eval *e, const char *name);

/* ---- arrays -------------------------------------------------------------------------------- */

/* Zeroed; dims are numbers that have been checked to fit together. */
Array array_new(Arena *a, Type type, const int64_t *dims, uint32_t rank);
size_t array_count(const Array *a);
size_t memory_limit(const Eval *e); /* bytes */
/* The dims of v for the axes known so far. EXIT_INPUT when a size is out of bounds. */
int value_dims(const Eval *e, Graph *g, Value v, const char *what, int64_t *dims);
/* n items of t, converted, to item `at` of the array. An int array takes integers, or reals that
 * hold whole numbers; EXIT_INPUT with the place where it does not. */
int array_take(const Eval *e, const char *what, const rw_tensor *t, Array *to, size_t at);
/* A tensor for a file: items from..from+n of a as f64, f32 with --float32, or i32. */
int array_give(const Eval *e, const char *what, const Array *a, size_t from, const int64_t *shape,
               int rank, rw_tensor *out);

/* ---- what a run is given and gives ----------------------------------------------------------- */

/* Values of the parameters of g: from e->file, or their first values. */
int params_load(Eval *e, Graph *g, Array **out);
int params_first(Eval *e, Graph *g, Array **out); /* by formulas and draws alone */
/* Says which tensors of e->file the text does not name. */
void params_unused(Eval *e);
/* All parameters of g as the text declares them; `values` as from params_load. */
int params_save(Eval *e, Graph *g, const Array *values, const char *path, bool as_f32);
int grads_save(Eval *e, Interp *in, const char *path);
/* The parameters after an update. */
int params_out_save(Eval *e, Interp *in, const char *path);

/* --in, --set, --axis, --state-in, --opt-in, then the lengths of all axes. */
int inputs_load(Eval *e);
/* States that no file gave: at the start of a sequence. */
int states_start(Eval *e);
int states_save(Eval *e, Interp *in, OutputKind kind, const char *path);
int outputs_save(Eval *e, Interp *in);
void outputs_print(const Eval *e, Interp *in);

/* --taps: everything that has a name in the text. */
typedef struct Taps Taps;
Taps *taps_new(Eval *e);
void taps_take(void *taps, Value v, const Array *a, const int64_t *counters, uint32_t n);
int taps_save(Taps *t, const char *path);

/* Binds everything and runs; the text of what went wrong is printed. */
int run_graph(Eval *e, Graph *g, const Array *params, const Array *states, const Array *inputs,
              Taps *taps, Interp **out);

/* cmd_eval.c: an entry that hands states on, of a text that has none. Its file of states is empty, so
 * that what runs one model in pieces runs any. */
bool keeps_nothing(const Eval *e);

#endif
