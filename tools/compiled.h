/* A compiled model as the commands of `rwkv` use it: loaded, with parameters and a session. Every
 * function reports what goes wrong and returns an exit code. */
#ifndef RW_TOOLS_COMPILED_H
#define RW_TOOLS_COMPILED_H

#include "../runtime/rw.h"
#include "options.h"

typedef struct Compiled {
    const char *command; /* in front of messages */
    const char *path;
    rw_context *context;
    rw_program *program;
    rw_weights *weights; /* --params, or NULL */
    const char *weights_path;
    rw_session *session;
} Compiled;

/* What many commands take. */
typedef struct Machine {
    const char *device;
    const char *hip_library, *cuda_library; /* NULL: the system's */
    uint64_t threads;                       /* 0: one a processor */
} Machine;
#define MACHINE_HELP                                                                               \
    "  --threads N          threads at work (default: one a processor)\n"                          \
    "  --device D           cpu (default); hip:0 hip:1 ... AMD's GPUs; cuda:0 ... NVIDIA's\n"      \
    "  --hip-library PATH   the driver of hip devices, where it is not the system's\n"             \
    "  --cuda-library PATH  the same of cuda devices\n"
enum {
    MACHINE = OPTION_LONG + 1000,
    MACHINE_THREADS = MACHINE,
    MACHINE_DEVICE,
    MACHINE_HIP,
    MACHINE_CUDA
};
#define MACHINE_OPTIONS                                                                            \
    {"threads", required_argument, NULL, MACHINE_THREADS},                                         \
        {"device", required_argument, NULL, MACHINE_DEVICE},                                       \
        {"hip-library", required_argument, NULL, MACHINE_HIP}, {                                   \
        "cuda-library", required_argument, NULL, MACHINE_CUDA                                      \
    }
/* An option from MACHINE on. */
int set_machine(Machine *m, const char *command, int option, const char *text);

/* Loads c->path. only_read: for listings, on a machine that may not be able to run it. */
int compiled_open(Compiled *c, const Machine *m, bool only_read);
/* --params: opened, and what of it the model does not name is told. */
int compiled_weights(Compiled *c, const char *path);
/* The session, its parameters from the weights or, without any, first values by seed. */
int compiled_session(Compiled *c, const rw_session_options *o);
void compiled_close(Compiled *c);

/* The text of m on standard error; the exit code of s. */
int compiled_failed(const Compiled *c, rw_status s, const rw_message *m);
bool compiled_has_entry(const Compiled *c, const char *entry);
/* EXIT_DONE, or an error that lists the entries there are. */
int compiled_need_entry(const Compiled *c, const char *entry);
/* What is declared under this name; false if there is nothing. */
bool compiled_find(const Compiled *c, rw_kind kind, const char *entry, const char *name,
                   rw_info *out);
/* First values into a file. */
int compiled_init(Compiled *c, const char *path, uint64_t seed);

/* ---- lengths of axes ------------------------------------------------------------------------- */

enum { MAX_AXES = 32 };
typedef struct Lengths {
    rw_dim dim[MAX_AXES];
    size_t n;
} Lengths;
/* All axes of the program, none longer than 1. */
int lengths_begin(Lengths *l, const Compiled *c);
/* At least so long. False: there is no such axis. */
bool lengths_need(Lengths *l, const char *name, int64_t length);
/* A tensor declared as `info` has this shape. What is no plain axis or a multiple or sum of one and a
 * number says nothing here; whether it fits, the session checks. */
void lengths_claim(Lengths *l, const rw_info *info, const int64_t *shape, int rank);

#endif
