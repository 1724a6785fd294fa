/* `rwkv train FILE --data D -o DIR`: trains a compiled model on token data. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/checkpoint.h"
#include "../runtime/train.h"
#include "commands.h"
#include "compiled.h"
#include "progress.h"

static const char help[] =
    "usage: rwkv train FILE --data D -o DIR [--steps N] [--batch N] [--ctx N] ...\n"
    "\n"
    "Trains a compiled model on tokens. D is a text, whose bytes are the tokens, or a file of raw\n"
    "tokens (.u16, .i32, NAME.bin with NAME.idx, an .npy array; rows of an array are samples).\n"
    "Into DIR go checkpoints (model-STEP.safetensors and train-STEP.safetensors, and the newest\n"
    "parameters as model.safetensors), metrics.csv and log.txt.\n"
    "\n"
    "  --data D             tokens to learn from\n"
    "  --type T             of a raw file: u8, u16 or i32 (default: by its name)\n"
    "  --val D              other tokens, whose loss is measured now and then; several times for\n"
    "                       several, each with a loss of its own\n"
    "  -o DIR               the folder of the run\n"
    "  --resume             goes on with the run in DIR, in the bits of one that never stopped\n"
    "  --params P           parameters to begin with (default: first values, by --seed)\n"
    "  --steps N            in all (default 1000)\n"
    "  --batch N            samples a step (default 8)\n"
    "  --ctx N              tokens a sample (default 256; of rows their length less one)\n"
    "  --lr X, --lr-final X learning rate, along half a cosine (default 6e-4, a tenth of it)\n"
    "  --warmup N           steps in which it rises first (default 10)\n"
    "  --wd X               weight decay (default 0.1)\n"
    "  --order O            random, sequence, or cube: RWKV-LM's permutation (default random)\n"
    "  --seed N             of first values, samples and random() (default 0)\n"
    "  --save-every N       steps between checkpoints (default 500); the last is always kept\n"
    "  --keep N             newest checkpoints that stay (default 2; 0: all)\n"
    "  --val-every N        steps between measurements (default: with every checkpoint)\n"
    "  --log-every N        steps between plain lines (default 10)\n" MACHINE_HELP "  --help\n"
    "\n"
    "An interrupt (Ctrl-C) ends the run after the step, with a checkpoint.\n";

enum {
    DATA = OPTION_LONG,
    TYPE,
    VAL,
    RESUME,
    PARAMS,
    STEPS,
    BATCH,
    CTX,
    LR,
    LR_FINAL,
    WARMUP,
    WD,
    ORDER,
    SEED,
    SAVE_EVERY,
    KEEP,
    VAL_EVERY,
    LOG_EVERY,
    HELP
};

typedef struct Train {
    Compiled c;
    Machine machine;
    rw_train_options o;
    const char *data_path, *type, *params;
    const char *val_path[PROGRESS_VALS];
    uint64_t batch, ctx, keep, save_every, val_every, log_every;
    bool resume, help;
    rw_data *data, *val[PROGRESS_VALS];
    size_t n_val;
    rw_trainer *trainer;
    FILE *log;
    Progress progress;
} Train;

/* Set by an interrupt; the only thing a signal may touch. */
static volatile sig_atomic_t interrupted;
static void on_signal(int number) { interrupted = number; }

/* ---- the command line ---------------------------------------------------------------------- */

static const struct option longs[] = {{"data", required_argument, NULL, DATA},
                                      {"type", required_argument, NULL, TYPE},
                                      {"val", required_argument, NULL, VAL},
                                      {"resume", no_argument, NULL, RESUME},
                                      {"params", required_argument, NULL, PARAMS},
                                      {"steps", required_argument, NULL, STEPS},
                                      {"batch", required_argument, NULL, BATCH},
                                      {"ctx", required_argument, NULL, CTX},
                                      {"lr", required_argument, NULL, LR},
                                      {"lr-final", required_argument, NULL, LR_FINAL},
                                      {"warmup", required_argument, NULL, WARMUP},
                                      {"wd", required_argument, NULL, WD},
                                      {"order", required_argument, NULL, ORDER},
                                      {"seed", required_argument, NULL, SEED},
                                      {"save-every", required_argument, NULL, SAVE_EVERY},
                                      {"keep", required_argument, NULL, KEEP},
                                      {"val-every", required_argument, NULL, VAL_EVERY},
                                      {"log-every", required_argument, NULL, LOG_EVERY},
                                      MACHINE_OPTIONS,
                                      {"help", no_argument, NULL, HELP},
                                      {0}};

static const char *option_name(int c) {
    for (const struct option *o = longs; o->name; o++)
        if (o->val == c) return o->name;
    return "?";
}

static int take_whole(Train *t, int c) {
    uint64_t *const to = c == STEPS        ? &t->o.schedule.steps
                         : c == WARMUP     ? &t->o.schedule.warmup
                         : c == BATCH      ? &t->batch
                         : c == CTX        ? &t->ctx
                         : c == SEED       ? &t->o.seed
                         : c == SAVE_EVERY ? &t->save_every
                         : c == KEEP       ? &t->keep
                         : c == VAL_EVERY  ? &t->val_every
                                           : &t->log_every;
    bool from_0 = c == WARMUP || c == SEED || c == KEEP;
    uint64_t limit = c == SEED ? UINT64_MAX : (uint64_t)1 << 40;
    if (parse_u64(optarg, to) && *to <= limit && (from_0 || *to > 0)) return EXIT_DONE;
    return usage_error(t->c.command, "--%s %s: a whole number from %d", option_name(c), optarg,
                       from_0 ? 0 : 1);
}

static int take_real(Train *t, int c) {
    double *const to = c == LR         ? &t->o.schedule.lr
                       : c == LR_FINAL ? &t->o.schedule.lr_final
                                       : &t->o.decay;
    if (parse_real(optarg, to) && *to >= 0 && isfinite(*to)) return EXIT_DONE;
    return usage_error(t->c.command, "--%s %s: a number from 0", option_name(c), optarg);
}

static int take_val(Train *t) {
    for (size_t i = 0; i < t->n_val; i++)
        if (strcmp(t->val_path[i], optarg) == 0)
            return usage_error(t->c.command, "--val gives '%s' twice", optarg);
    if (t->n_val == PROGRESS_VALS)
        return usage_error(t->c.command, "--val %s: at most %d of them", optarg, PROGRESS_VALS);
    t->val_path[t->n_val++] = optarg;
    return EXIT_DONE;
}

static int take_text(Train *t, int c) {
    if (c == VAL) return take_val(t);
    const char **const to = c == DATA     ? &t->data_path
                            : c == TYPE   ? &t->type
                            : c == PARAMS ? &t->params
                            : c == 'o'    ? &t->o.dir
                                          : &t->c.path;
    if (*to)
        return c == 1 ? usage_error(t->c.command, "one file at a time: '%s' and '%s'", *to, optarg)
                      : usage_error(t->c.command, "'%s' and '%s' for the same option", *to, optarg);
    *to = optarg;
    return EXIT_DONE;
}

static int take_order(Train *t) {
    static const char *const names[] = {"random", "sequence", "cube"};
    for (int i = 0; i < 3; i++)
        if (strcmp(optarg, names[i]) == 0) {
            t->o.order = (rw_order)i;
            return EXIT_DONE;
        }
    return usage_error(t->c.command, "--order %s: random, sequence or cube", optarg);
}

static int take_option(Train *t, int c) {
    if (c >= MACHINE) return set_machine(&t->machine, t->c.command, c, optarg);
    switch (c) {
    case 'o':
    case 1:
    case DATA:
    case TYPE:
    case VAL:
    case PARAMS: return take_text(t, c);
    case LR:
    case LR_FINAL:
    case WD: return take_real(t, c);
    case ORDER: return take_order(t);
    case RESUME: t->resume = true; return EXIT_DONE;
    case HELP: t->help = true; return EXIT_DONE;
    case 0: return EXIT_USAGE;
    default: return take_whole(t, c);
    }
}

static int read_options(Train *t, int argc, char **argv) {
    const char *command = t->c.command;
    t->o = (rw_train_options){.schedule = {.steps = 1000, .warmup = 10, .lr = 6e-4, .lr_final = -1},
                              .decay = 0.1};
    t->batch = 8;
    t->keep = 2;
    t->save_every = 500;
    t->log_every = 10;
    Line line = {command, argc, argv, "o:", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        int code = take_option(t, c);
        if (code != EXIT_DONE || t->help) return code;
    }
    if (!t->c.path) return usage_error(command, "which FILE?");
    if (!t->data_path) return usage_error(command, "on what? --data D");
    if (!t->o.dir) return usage_error(command, "where to? -o DIR");
    if (t->o.schedule.lr_final < 0) t->o.schedule.lr_final = t->o.schedule.lr / 10;
    if (t->val_every && !t->n_val) return usage_error(command, "--val-every goes with --val D");
    if (!t->val_every) t->val_every = t->save_every;
    t->o.keep = t->keep > UINT32_MAX ? 0 : (unsigned)t->keep;
    return EXIT_DONE;
}

/* ---- preparing ------------------------------------------------------------------------------- */

static int open_data(Train *t) {
    rw_message m = {""};
    rw_status s = rw_data_open(t->data_path, t->type, &t->data, &m);
    for (size_t i = 0; i < t->n_val && s == RW_OK; i++)
        s = rw_data_open(t->val_path[i], t->type, &t->val[i], &m);
    if (s != RW_OK) return compiled_failed(&t->c, s, &m);
    uint64_t row = rw_data_row(t->data);
    if (!t->ctx) t->ctx = row > 1 ? row - 1 : 256;
    t->o.batch = (size_t)t->batch;
    t->o.ctx = (size_t)t->ctx;
    return EXIT_DONE;
}

/* The log is also the lock of the folder: two runs in one would eat each other's checkpoints. */
static int open_log(Train *t) {
    size_t cap = strlen(t->o.dir) + 16;
    char *path = malloc(cap);
    if (!path) return failed(t->c.command, EXIT_INTERNAL, "out of memory");
    snprintf(path, cap, "%s/log.txt", t->o.dir);
    t->log = fopen(path, "a");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int code = EXIT_DONE;
    if (!t->log)
        code = failed(t->c.command, EXIT_IO, "%s: %s", path, strerror(errno));
    else if (fcntl(fileno(t->log), F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN))
        code =
            failed(t->c.command, EXIT_USAGE, "%s: another run is at work in this folder", t->o.dir);
    free(path);
    return code;
}

static int open_folder(Train *t) {
    rw_message m = {""};
    bool found = false;
    uint64_t step = 0;
    rw_status s = rw_checkpoint_folder(t->o.dir, &m);
    if (s == RW_OK) s = rw_checkpoint_newest(t->o.dir, &found, &step, &m);
    if (s != RW_OK) return compiled_failed(&t->c, s, &m);
    if (found && !t->resume)
        return failed(t->c.command, EXIT_USAGE,
                      "%s: holds a run of %llu steps; --resume goes on with it, another -o DIR "
                      "begins a new one",
                      t->o.dir, (unsigned long long)step);
    return open_log(t);
}

static int open_session(Train *t) {
    int code = compiled_need_entry(&t->c, "train");
    if (code == EXIT_DONE && t->n_val) code = compiled_need_entry(&t->c, "grad");
    if (code == EXIT_DONE && t->params) code = compiled_weights(&t->c, t->params);
    Lengths l;
    if (code == EXIT_DONE) code = lengths_begin(&l, &t->c);
    if (code != EXIT_DONE) return code;
    rw_info info;
    const int64_t shape[2] = {(int64_t)t->batch, (int64_t)t->ctx};
    if (compiled_find(&t->c, RW_INPUT, "train", "token", &info)) lengths_claim(&l, &info, shape, 2);
    static const char *const entries[] = {"train", "grad"};
    rw_session_options o = {.dims = l.dim,
                            .n_dims = l.n,
                            .entries = entries,
                            .n_entries = t->n_val ? 2 : 1,
                            .seed = t->o.seed};
    return compiled_session(&t->c, &o);
}

static int begin_run(Train *t) {
    rw_message m = {""};
    bool found = false;
    char note[400] = "";
    rw_status s = rw_trainer_create(&t->o, t->c.program, t->c.session, t->data, &t->trainer, &m);
    if (s != RW_OK) return failed(t->c.command, exit_of_status(s), "%s: %s", t->data_path, m.text);
    if (t->resume) s = rw_trainer_resume(t->trainer, &found, note, sizeof note, &m);
    if (s == RW_OK) s = rw_trainer_open_metrics(t->trainer, t->n_val, &m);
    if (s != RW_OK) return compiled_failed(&t->c, s, &m);
    progress_begin(&t->progress, t->log, t->o.schedule.steps, t->log_every, t->batch * t->ctx);
    progress_say(&t->progress,
                 "%s (%s) on %s: %llu tokens, batch %llu, ctx %llu, lr %g to %g, wd %g",
                 rw_program_name(t->c.program), rw_program_target(t->c.program), t->data_path,
                 (unsigned long long)rw_data_count(t->data), (unsigned long long)t->batch,
                 (unsigned long long)t->ctx, t->o.schedule.lr, t->o.schedule.lr_final, t->o.decay);
    if (found)
        progress_say(&t->progress, "going on after step %llu%s%s",
                     (unsigned long long)rw_trainer_at(t->trainer), *note ? "; " : "", note);
    else if (t->resume)
        progress_say(&t->progress, "%s: no checkpoint yet, from the start", t->o.dir);
    return EXIT_DONE;
}

/* ---- running --------------------------------------------------------------------------------- */

static rw_status one_step(Train *t, rw_message *m) {
    rw_train_report r;
    double val[PROGRESS_VALS] = {0};
    rw_status s = rw_trainer_step(t->trainer, &r, m);
    if (s != RW_OK) return s;
    bool is_last = r.step >= t->o.schedule.steps;
    bool measures = t->n_val && (r.step % t->val_every == 0 || is_last);
    if (measures) {
        double begin = progress_clock();
        for (size_t i = 0; i < t->n_val && s == RW_OK; i++)
            s = rw_trainer_measure(t->trainer, t->val[i], &val[i], m);
        progress_skip(&t->progress, begin);
        if (s != RW_OK) return s;
        progress_val(&t->progress, val, t->n_val);
    }
    s = rw_trainer_write_metrics(t->trainer, &r, val, measures ? t->n_val : 0, m);
    progress_step(&t->progress, r.step, r.loss, r.lr);
    if (s != RW_OK || !(r.step % t->save_every == 0 || is_last || interrupted)) return s;
    double begin = progress_clock();
    s = rw_trainer_save(t->trainer, m);
    progress_skip(&t->progress, begin);
    return s;
}

static int run_steps(Train *t) {
    rw_message m = {""};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, was[2];
    sigaction(SIGINT, &act, &was[0]);
    sigaction(SIGTERM, &act, &was[1]);
    rw_status s = RW_OK;
    uint64_t begin = rw_trainer_at(t->trainer);
    while (s == RW_OK && !interrupted && rw_trainer_at(t->trainer) < t->o.schedule.steps)
        s = one_step(t, &m);
    progress_end(&t->progress);
    sigaction(SIGINT, &was[0], NULL);
    sigaction(SIGTERM, &was[1], NULL);
    if (s != RW_OK) {
        progress_say(&t->progress, "stopped: %s", m.text);
        return exit_of_status(s);
    }
    uint64_t at = rw_trainer_at(t->trainer);
    if (interrupted) {
        progress_say(&t->progress, "interrupted after step %llu; --resume goes on",
                     (unsigned long long)at);
        raise(interrupted);
    }
    progress_say(&t->progress, "%s: %llu steps; parameters in %s/model.safetensors",
                 at == begin ? "nothing left to do" : "done", (unsigned long long)at, t->o.dir);
    return EXIT_DONE;
}

static int train(Train *t) {
    int code = compiled_open(&t->c, &t->machine, false);
    if (code == EXIT_DONE) code = open_data(t);
    if (code == EXIT_DONE) code = open_session(t);
    if (code == EXIT_DONE) code = open_folder(t);
    if (code == EXIT_DONE) code = begin_run(t);
    return code == EXIT_DONE ? run_steps(t) : code;
}

int cmd_train(const char *command, int argc, char **argv) {
    Train t = {.c = {.command = command}};
    int code = read_options(&t, argc, argv);
    if (code == EXIT_DONE && t.help) fputs(help, stdout);
    if (code == EXIT_DONE && !t.help) code = train(&t);
    rw_trainer_destroy(t.trainer);
    rw_data_close(t.data);
    for (size_t i = 0; i < t.n_val; i++) rw_data_close(t.val[i]);
    compiled_close(&t.c);
    if (t.log) fclose(t.log);
    return finish_output(command, code);
}
