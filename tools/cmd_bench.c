/* `rwkv bench FILE`: how fast a compiled model is, beside what the machine can do and beside a peer.
 * Everything is measured in turn, round after round, so that what disturbs the machine falls on all
 * of it; medians are told, and between what they lie. */
#define _DEFAULT_SOURCE /* popen */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"
#include "commands.h"

static const char help[] =
    "usage: rwkv bench FILE [--decode N] [--prefill T] [--train T] [--peer COMMAND] ...\n"
    "\n"
    "Measures a compiled model with random parameters, in turn with the speed at which this\n"
    "machine reads memory and multiplies matrices. Without a choice: decoding and prefill.\n"
    "\n"
    "  --decode N       N tokens one after the other (default 32)\n"
    "  --prefill T      T tokens at once, logits of the last (default 512)\n"
    "  --train T        training steps of samples of T tokens\n"
    "  --batch B        samples a training step (default 1)\n"
    "  --rounds N       of all of it (default 7)\n"
    "  --params P       parameters, where random ones will not do\n"
    "  --peer COMMAND   run in every round; the last number it prints is its tokens a second\n"
    "  --profile        behind the rounds: the time of every kernel, for each thing measured\n"
    "  --json           one JSON object instead of lines\n" MACHINE_HELP "  --help\n"
    "\n"
    "GFLOP/s counts the matrix products that are computed, as the compiler counts them (a multiply\n"
    "and an add are 2); GB/s of decoding the parameters and states that a token has to read. Of a\n"
    "GPU the limits are copying in its memory, bytes read and written, and the instructions that\n"
    "products of this file are made of.\n";

enum { DECODE = OPTION_LONG, PREFILL, TRAIN, BATCH, ROUNDS, PARAMS, PEER, PROFILE, JSON, HELP };

const char *const bench_entry[KINDS] = {"step", "prefill", "train"};

double bench_tokens(const Bench *b, Kind k) {
    if (k == K_DECODE) return 1;
    return (double)b->size[k] * (k == K_TRAIN ? (double)b->batch : 1);
}

/* ---- the command line ---------------------------------------------------------------------- */

static int take_option(Bench *b, int c) {
    const char *command = b->c.command;
    uint64_t *const to = c == DECODE    ? &b->size[K_DECODE]
                         : c == PREFILL ? &b->size[K_PREFILL]
                         : c == TRAIN   ? &b->size[K_TRAIN]
                         : c == BATCH   ? &b->batch
                                        : &b->rounds;
    if (c >= MACHINE) return set_machine(&b->machine, command, c, optarg);
    switch (c) {
    case PARAMS: b->params = optarg; return EXIT_DONE;
    case PEER: b->peer = optarg; return EXIT_DONE;
    case PROFILE: b->profile = true; return EXIT_DONE;
    case JSON: b->json = true; return EXIT_DONE;
    case HELP: b->help = true; return EXIT_DONE;
    case 0: return EXIT_USAGE;
    case 1:
        if (b->c.path)
            return usage_error(command, "one file at a time: '%s' and '%s'", b->c.path, optarg);
        b->c.path = optarg;
        return EXIT_DONE;
    default:
        if (parse_u64(optarg, to) && *to > 0 && *to <= 1 << 20 && (c != ROUNDS || *to <= 64))
            return EXIT_DONE;
        return usage_error(command, "'%s': a whole number from 1", optarg);
    }
}

static int read_options(Bench *b, int argc, char **argv) {
    static const struct option longs[] = {
        {"decode", required_argument, NULL, DECODE}, {"prefill", required_argument, NULL, PREFILL},
        {"train", required_argument, NULL, TRAIN},   {"batch", required_argument, NULL, BATCH},
        {"rounds", required_argument, NULL, ROUNDS}, {"params", required_argument, NULL, PARAMS},
        {"peer", required_argument, NULL, PEER},     {"profile", no_argument, NULL, PROFILE},
        {"json", no_argument, NULL, JSON},           MACHINE_OPTIONS,
        {"help", no_argument, NULL, HELP},           {0}};
    b->batch = 1;
    b->rounds = 7;
    Line line = {b->c.command, argc, argv, "", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        int code = take_option(b, c);
        if (code != EXIT_DONE || b->help) return code;
    }
    if (!b->c.path) return usage_error(b->c.command, "which FILE?");
    return EXIT_DONE;
}

/* ---- preparing ------------------------------------------------------------------------------- */

/* Numbers in -1/16..1/16 without a pattern; pages that were never written would all be one page. */
static rw_status fill_params(rw_session *s, rw_message *m) {
    size_t n = rw_session_count(s, RW_PARAM);
    uint64_t x = 0x9e3779b97f4a7c15u;
    rw_status r = RW_OK;
    for (size_t i = 0; i < n && r == RW_OK; i++) {
        rw_tensor t;
        size_t count = 0;
        if (rw_session_tensor(s, RW_PARAM, i, &t) != RW_OK) continue;
        if (rw_tensor_count(&t, &count) != RW_OK || count == 0) continue;
        float *p = malloc(count * sizeof *p);
        if (!p) return rw_fail(m, RW_NO_MEMORY, "no memory for parameters");
        for (size_t k = 0; k < count; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            p[k] = ((float)(x >> 40) * 0x1p-23f - 1) / 16;
        }
        t.dtype = RW_F32;
        t.data = p;
        t.bytes = count * sizeof *p;
        r = rw_param_set(s, &t, m);
        free(p);
    }
    return r;
}

/* What a call computes, for its lengths of axes. */
static int count_work(Bench *b, Kind k) {
    Lengths l;
    rw_info info;
    const int64_t shape[2] = {k == K_TRAIN ? (int64_t)b->batch : 1, (int64_t)b->size[k]};
    int code = lengths_begin(&l, &b->c);
    if (code != EXIT_DONE) return code;
    if (compiled_find(&b->c, RW_INPUT, bench_entry[k], "token", &info))
        lengths_claim(&l, &info, shape, k == K_DECODE ? 1 : 2);
    rw_message m = {""};
    rw_status s = rw_program_work(b->c.program, bench_entry[k], l.dim, l.n, &b->work[k]);
    return s == RW_OK ? EXIT_DONE : compiled_failed(&b->c, s, &m);
}

static int one_session(Bench *b, const char *const *entries, size_t n, int64_t batch, int64_t ctx,
                       const char *sized_by, rw_session **out) {
    Lengths l;
    rw_info info;
    const int64_t shape[2] = {batch, ctx};
    int code = lengths_begin(&l, &b->c);
    if (code != EXIT_DONE) return code;
    if (!compiled_find(&b->c, RW_INPUT, entries[0], "token", &info))
        return failed(b->c.command, EXIT_INPUT, "%s: entry %s takes no token", b->c.path,
                      entries[0]);
    b->below = info.below;
    if (sized_by && compiled_find(&b->c, RW_INPUT, sized_by, "token", &info))
        lengths_claim(&l, &info, shape, 2);
    rw_message m = {""};
    rw_session_options o = {.dims = l.dim,
                            .n_dims = l.n,
                            .entries = entries,
                            .n_entries = n,
                            .weights = b->c.weights,
                            .allow_missing = true};
    rw_status s = rw_session_create(b->c.program, &o, out, &m);
    if (s == RW_OK && !b->c.weights) s = fill_params(*out, &m);
    return s == RW_OK ? EXIT_DONE : compiled_failed(&b->c, s, &m);
}

static int choose(Bench *b) {
    bool any = b->size[K_DECODE] || b->size[K_PREFILL] || b->size[K_TRAIN];
    if (!any && compiled_has_entry(&b->c, "step")) b->size[K_DECODE] = 32;
    if (!any && compiled_has_entry(&b->c, "prefill")) b->size[K_PREFILL] = 512;
    for (int k = 0; k < KINDS; k++) {
        int code = b->size[k] ? compiled_need_entry(&b->c, bench_entry[k]) : EXIT_DONE;
        if (code != EXIT_DONE) return code;
    }
    if (b->size[K_DECODE] || b->size[K_PREFILL] || b->size[K_TRAIN]) return EXIT_DONE;
    return failed(b->c.command, EXIT_INPUT, "%s: has neither step nor prefill", b->c.path);
}

static int open_sessions(Bench *b) {
    int code = choose(b);
    if (code == EXIT_DONE && b->params) code = compiled_weights(&b->c, b->params);
    if (code != EXIT_DONE) return code;
    const char *entries[2];
    size_t n = 0;
    for (int k = K_DECODE; k <= K_PREFILL; k++)
        if (b->size[k]) entries[n++] = bench_entry[k];
    if (n > 0) {
        code = one_session(b, entries, n, 1, (int64_t)b->size[K_PREFILL],
                           b->size[K_PREFILL] ? "prefill" : NULL, &b->session[K_DECODE]);
        b->session[K_PREFILL] = b->session[K_DECODE];
    }
    if (code == EXIT_DONE && b->size[K_TRAIN]) {
        entries[0] = "train";
        code = one_session(b, entries, 1, (int64_t)b->batch, (int64_t)b->size[K_TRAIN], "train",
                           &b->session[K_TRAIN]);
    }
    if (code != EXIT_DONE) return code;
    for (int k = 0; k < KINDS && code == EXIT_DONE; k++)
        if (b->size[k]) code = count_work(b, (Kind)k);
    if (code != EXIT_DONE) return code;
    size_t most = b->size[K_PREFILL] + (size_t)(b->batch * b->size[K_TRAIN]) + 1;
    b->tokens = malloc(most * sizeof *b->tokens);
    bool is_cpu = strcmp(rw_context_device(b->c.context), "cpu") == 0;
    if (is_cpu) b->measure = measure_new((int)rw_context_threads(b->c.context));
    if (!b->tokens || (is_cpu && !b->measure))
        return failed(b->c.command, EXIT_INTERNAL, "out of memory");
    for (size_t i = 0; i < most; i++)
        b->tokens[i] = (int32_t)(i * 2654435761u % (uint64_t)(b->below > 0 ? b->below : 256));
    return EXIT_DONE;
}

/* ---- samples --------------------------------------------------------------------------------- */

static rw_status put(Bench *b, rw_session *s, const char *name, int64_t batch, int64_t n,
                     rw_message *m) {
    rw_tensor t = {.name = name,
                   .dtype = RW_I32,
                   .rank = n ? 2 : 1,
                   .data = b->tokens,
                   .shape = {batch, n},
                   .bytes = (size_t)(batch * (n ? n : 1)) * 4};
    return rw_put(s, name, &t, m);
}

static rw_status call_once(Bench *b, Kind k, rw_message *m) {
    rw_session *s = b->session[k];
    rw_status r;
    if (k == K_TRAIN) {
        static const struct {
            const char *name;
            double value;
        } numbers[] = {{"lr", 1e-6}, {"decay", 0}, {"seed", 0}};
        rw_info info;
        int64_t n = (int64_t)b->size[k], batch = (int64_t)b->batch;
        r = put(b, s, "token", batch, n, m);
        if (r == RW_OK) r = put(b, s, "target", batch, n, m);
        for (size_t i = 0; i < 3 && r == RW_OK; i++)
            if (compiled_find(&b->c, RW_INPUT, "train", numbers[i].name, &info))
                r = rw_put_number(s, numbers[i].name, numbers[i].value, m);
        if (r == RW_OK && compiled_find(&b->c, RW_INPUT, "train", "step", &info))
            r = rw_put_number(s, "step", (double)++b->steps, m);
    } else {
        r = put(b, s, "token", 1, k == K_PREFILL ? (int64_t)b->size[k] : 0, m);
    }
    return r == RW_OK ? rw_call(s, bench_entry[k], m) : r;
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Decoding: its tokens; the others: calls until a tenth of a second is over. */
static rw_status sample(Bench *b, Kind k, bool counts, rw_message *m) {
    rw_status s = RW_OK;
    double tokens = 0, cpu = cpu_seconds(), begin = seconds_now(), took;
    do {
        s = call_once(b, k, m);
        tokens += bench_tokens(b, k);
        took = seconds_now() - begin;
    } while (s == RW_OK && (k == K_DECODE ? tokens < (double)b->size[k] : took < 0.1));
    cpu = cpu_seconds() - cpu;
    bool clean = !b->measure || cpu >= 0.93 * took * rw_context_threads(b->c.context);
    if (s == RW_OK && counts) series_add(&b->rate[k], tokens / took, clean);
    return s;
}

/* The last number in the text; NaN if there is none. */
static double last_number(const char *text) {
    double last = NAN;
    for (const char *p = text; *p;) {
        char *end;
        double x = strtod(p, &end);
        if (end == p || !((*p >= '0' && *p <= '9') || *p == '.')) {
            p++;
            continue;
        }
        last = x;
        p = end;
    }
    return last;
}

static int run_peer(Bench *b) {
    char text[4096];
    size_t n = 0;
    fflush(stdout);
    FILE *f = popen(b->peer, "r");
    if (!f) return failed(b->c.command, EXIT_IO, "%s: %s", b->peer, strerror(errno));
    for (int c; (c = getc(f)) != EOF;) {
        if (n + 1 == sizeof text) { /* the end is what counts */
            memmove(text, text + sizeof text / 2, sizeof text / 2);
            n -= sizeof text / 2;
        }
        text[n++] = c ? (char)c : ' ';
    }
    text[n] = 0;
    int status = pclose(f);
    if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failed(b->c.command, EXIT_INPUT, "the peer failed: %s", b->peer);
    double rate = last_number(text);
    if (isnan(rate))
        return failed(b->c.command, EXIT_INPUT, "the peer printed no number: %s", b->peer);
    series_add(&b->peer_rate, rate, true);
    return EXIT_DONE;
}

/* What the machine can do; 0 where there is no such limit. */
static rw_status limit_sample(Bench *b, Limit i, double *rate, bool *clean, rw_message *m) {
    if (b->measure) {
        if (measure_has(b->measure, i)) *rate = measure_sample(b->measure, i, clean);
        return RW_OK;
    }
    if (i == LIMIT_READ) return rw_context_copy_rate(b->c.context, rate, m);
    rw_status s = rw_program_product_rate(b->c.program, i == LIMIT_F32 ? RW_F32 : RW_BF16, rate, m);
    return s == RW_NO_SUCH ? RW_OK : s;
}

static int run_rounds(Bench *b) {
    rw_message m = {""};
    for (uint64_t round = 0; round <= b->rounds; round++) { /* the first warms up */
        for (int k = 0; k < KINDS; k++) {
            rw_status s = b->size[k] ? sample(b, (Kind)k, round > 0, &m) : RW_OK;
            if (s != RW_OK) return compiled_failed(&b->c, s, &m);
        }
        for (int i = 0; i < LIMITS; i++) {
            double rate = 0;
            bool clean = true;
            rw_status s = limit_sample(b, (Limit)i, &rate, &clean, &m);
            if (s != RW_OK) return compiled_failed(&b->c, s, &m);
            if (round > 0 && rate > 0) series_add(&b->limit[i], rate, clean);
        }
        int code = b->peer && round > 0 ? run_peer(b) : EXIT_DONE;
        if (code != EXIT_DONE) return code;
    }
    return EXIT_DONE;
}

/* Behind the rounds, so that no clock disturbs what they measure. */
static int measure_kernels(Bench *b) {
    rw_message m = {""};
    for (int k = 0; k < KINDS; k++) {
        if (!b->size[k]) continue;
        rw_status s = rw_profile_begin(b->session[k], bench_entry[k], &m);
        if (s == RW_OK) s = sample(b, (Kind)k, false, &m);
        if (s != RW_OK) return compiled_failed(&b->c, s, &m);
        rw_profile_end(b->session[k]);
        if (!profile_take(b->session[k], bench_entry[k], rw_context_threads(b->c.context),
                          &b->profiles[k]))
            return failed(b->c.command, EXIT_INTERNAL, "out of memory");
    }
    return EXIT_DONE;
}

int cmd_bench(const char *command, int argc, char **argv) {
    Bench b = {.c = {.command = command}};
    int code = read_options(&b, argc, argv);
    if (code == EXIT_DONE && b.help) fputs(help, stdout);
    if (code == EXIT_DONE && !b.help) {
        code = compiled_open(&b.c, &b.machine, false);
        if (code == EXIT_DONE) code = open_sessions(&b);
        if (code == EXIT_DONE) code = run_rounds(&b);
        if (code == EXIT_DONE && b.profile) code = measure_kernels(&b);
        if (code == EXIT_DONE) (b.json ? bench_json : bench_print)(&b);
    }
    for (int k = 0; k < KINDS; k++) profile_drop(&b.profiles[k]);
    rw_session_destroy(b.session[K_DECODE]);
    rw_session_destroy(b.session[K_TRAIN]);
    measure_free(b.measure);
    free(b.tokens);
    compiled_close(&b.c);
    return finish_output(command, code);
}
