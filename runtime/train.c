/* Training on token data. Everything a step does follows from the parameters, the states of the
 * optimizer, the number of the step and the number of samples before it: that is what a checkpoint
 * holds. */
#include "train.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "file.h"
#include "rng.h"

struct rw_trainer {
    rw_train_options o;
    const rw_program *program;
    rw_session *session;
    rw_sampler sampler;
    uint64_t step, samples;
    bool has_lr, has_decay, has_step, has_seed;
    const char *loss, *metric[RW_TRAIN_METRICS];
    size_t n_metrics;
    char *dir;
    FILE *metrics;
    int32_t *token, *target; /* [batch, ctx] */
};

/* ---- what the program takes and gives -------------------------------------------------------- */

static bool is_name(const rw_info *info, const char *name) { return strcmp(info->name, name) == 0; }

static rw_status look_at_inputs(rw_trainer *t, int64_t *below, rw_message *m) {
    size_t n = rw_program_count(t->program, RW_INPUT, "train");
    bool has_token = false, has_target = false;
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        rw_status s = rw_program_info(t->program, RW_INPUT, "train", i, &info);
        if (s != RW_OK) return rw_fail(m, s, "input %zu of train cannot be read", i);
        if (info.scalar) {
            t->has_lr |= is_name(&info, "lr");
            t->has_decay |= is_name(&info, "decay");
            t->has_step |= is_name(&info, "step");
            t->has_seed |= is_name(&info, "seed");
            continue;
        }
        if (!is_name(&info, "token") && !is_name(&info, "target"))
            return rw_fail(m, RW_BAD_SHAPE,
                           "entry train wants '%s' %s; token data has token and "
                           "target alone",
                           info.name, info.shape_text);
        *(is_name(&info, "token") ? &has_token : &has_target) = true;
        if (info.rank != 2)
            return rw_fail(m, RW_BAD_SHAPE, "entry train wants %s %s; of token data it is [B,T]",
                           info.name, info.shape_text);
        if (info.below > 0 && (*below == 0 || info.below < *below)) *below = info.below;
    }
    if (has_token && has_target) return RW_OK;
    return rw_fail(m, RW_BAD_SHAPE, "entry train takes no %s", has_token ? "target" : "token");
}

static rw_status look_at_outputs(rw_trainer *t, rw_message *m) {
    size_t n = rw_program_count(t->program, RW_OUTPUT, "train");
    for (size_t i = 0; i < n; i++) {
        rw_info info;
        if (rw_program_info(t->program, RW_OUTPUT, "train", i, &info) != RW_OK || info.rank != 0)
            continue;
        if (strcmp(info.what, "loss") == 0)
            t->loss = info.name;
        else if (strcmp(info.what, "metric") == 0 && t->n_metrics < RW_TRAIN_METRICS)
            t->metric[t->n_metrics++] = info.name;
    }
    return t->loss != NULL ? RW_OK : rw_fail(m, RW_BAD_SHAPE, "entry train gives no loss");
}

static rw_status check_tokens(const rw_data *d, int64_t below, rw_message *m) {
    uint64_t at = below > 0 ? rw_data_find_beyond(d, below) : rw_data_count(d);
    if (at == rw_data_count(d)) return RW_OK;
    int32_t bad;
    rw_data_read(d, at, 1, &bad);
    return rw_fail(m, RW_BAD_SHAPE, "token %llu of the data is %d; the model knows 0 to %lld",
                   (unsigned long long)at, bad, (long long)below - 1);
}

/* ---- life ------------------------------------------------------------------------------------ */

static rw_status set_up(rw_trainer *t, const rw_data *data, rw_message *m) {
    int64_t below = 0;
    size_t n = t->o.batch;
    if (n == 0 || t->o.ctx == 0 || n > ((size_t)1 << 40) / t->o.ctx)
        return rw_fail(m, RW_BAD_ARG, "a batch of %zu times %zu tokens", n, t->o.ctx);
    rw_status s = look_at_inputs(t, &below, m);
    if (s == RW_OK) s = look_at_outputs(t, m);
    if (s == RW_OK) s = rw_sampler_init(&t->sampler, data, t->o.order, t->o.ctx, t->o.seed, m);
    if (s == RW_OK) s = check_tokens(data, below, m);
    if (s != RW_OK) return s;
    t->dir = malloc(strlen(t->o.dir) + 1);
    t->token = malloc(n * t->o.ctx * sizeof *t->token);
    t->target = malloc(n * t->o.ctx * sizeof *t->target);
    if (t->dir == NULL || t->token == NULL || t->target == NULL)
        return rw_fail(m, RW_NO_MEMORY, "no memory for a batch");
    strcpy(t->dir, t->o.dir);
    t->o.dir = t->dir;
    return RW_OK;
}

rw_status rw_trainer_create(const rw_train_options *o, const rw_program *p, rw_session *session,
                            const rw_data *data, rw_trainer **out, rw_message *m) {
    *out = NULL;
    rw_trainer *t = calloc(1, sizeof *t);
    if (t == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a run");
    t->o = *o;
    t->program = p;
    t->session = session;
    rw_status s = set_up(t, data, m);
    if (s == RW_OK)
        *out = t;
    else
        rw_trainer_destroy(t);
    return s;
}

void rw_trainer_destroy(rw_trainer *t) {
    if (t == NULL) return;
    if (t->metrics != NULL) fclose(t->metrics);
    free(t->dir);
    free(t->token);
    free(t->target);
    free(t);
}

uint64_t rw_trainer_at(const rw_trainer *t) { return t->step; }
size_t rw_trainer_metrics(const rw_trainer *t) { return t->n_metrics; }
const char *rw_trainer_metric(const rw_trainer *t, size_t i) {
    return i < t->n_metrics ? t->metric[i] : NULL;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

/* What decides the bits of a run, as it is kept with a checkpoint. The first three are its place. */
enum { N_FACTS = 12, N_PLACE = 3 };
typedef struct facts {
    const char *name[N_FACTS];
    char value[N_FACTS][40];
} facts;

static void fact_u64(facts *f, int i, const char *name, uint64_t v) {
    f->name[i] = name;
    snprintf(f->value[i], sizeof f->value[i], "%llu", (unsigned long long)v);
}

static void fact_real(facts *f, int i, const char *name, double v) {
    f->name[i] = name;
    snprintf(f->value[i], sizeof f->value[i], "%.17g", v);
}

static void facts_of(const rw_trainer *t, facts *f) {
    static const char *const orders[] = {"random", "sequence", "cube"};
    fact_u64(f, 0, "step", t->step);
    fact_u64(f, 1, "samples", t->samples);
    fact_u64(f, 2, "seed", t->o.seed);
    fact_u64(f, 3, "tokens", rw_data_count(t->sampler.data));
    fact_u64(f, 4, "batch", t->o.batch);
    fact_u64(f, 5, "ctx", t->o.ctx);
    fact_u64(f, 6, "steps", t->o.schedule.steps);
    fact_u64(f, 7, "warmup", t->o.schedule.warmup);
    fact_real(f, 8, "lr", t->o.schedule.lr);
    fact_real(f, 9, "lr-final", t->o.schedule.lr_final);
    fact_real(f, 10, "wd", t->o.decay);
    f->name[11] = "order";
    snprintf(f->value[11], sizeof f->value[11], "%s", orders[t->o.order]);
}

rw_status rw_trainer_save(rw_trainer *t, rw_message *m) {
    facts f;
    const char *meta[2 * N_FACTS + 1] = {NULL};
    facts_of(t, &f);
    for (int i = 0; i < N_FACTS; i++) {
        meta[2 * i] = f.name[i];
        meta[2 * i + 1] = f.value[i];
    }
    return rw_checkpoint_save(t->o.dir, t->step, t->session, meta, t->o.keep, m);
}

static bool read_number(const rw_weights *w, const char *key, uint64_t *out) {
    const char *text = rw_weights_meta(w, key);
    char *end;
    if (text == NULL || *text < '0' || *text > '9') return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end == 0 && errno == 0;
}

/* "batch was 8, lr was 0.001" */
static void differences(const rw_trainer *t, const rw_weights *w, char *note, size_t cap) {
    facts f;
    size_t at = 0;
    facts_of(t, &f);
    for (int i = N_PLACE; i < N_FACTS && at < cap; i++) {
        const char *was = rw_weights_meta(w, f.name[i]);
        if (was == NULL || strcmp(was, f.value[i]) == 0) continue;
        at +=
            (size_t)snprintf(note + at, cap - at, "%s%s was %.12s", at ? ", " : "", f.name[i], was);
    }
}

rw_status rw_trainer_resume(rw_trainer *t, bool *found, char *note, size_t cap, rw_message *m) {
    uint64_t step = 0;
    rw_weights *w = NULL;
    if (cap > 0) note[0] = 0;
    rw_status s = rw_checkpoint_newest(t->o.dir, found, &step, m);
    if (s != RW_OK || !*found) return s;
    s = rw_checkpoint_load(t->o.dir, step, t->session, &w, m);
    if (s != RW_OK) return s;
    uint64_t samples, seed, kept;
    if (!read_number(w, "step", &kept) || kept != step || !read_number(w, "samples", &samples) ||
        !read_number(w, "seed", &seed)) {
        s = rw_fail(m, RW_BAD_FILE, "%s: the checkpoint of step %llu does not say where it is",
                    t->o.dir, (unsigned long long)step);
    } else {
        t->step = step;
        t->samples = samples;
        t->o.seed = t->sampler.seed = seed;
        differences(t, w, note, cap);
    }
    rw_weights_close(w);
    return s;
}

/* ---- metrics --------------------------------------------------------------------------------- */

/* The bytes of the lines up to step `last`; the first line is the header. */
static size_t lines_up_to(const char *text, size_t bytes, uint64_t last) {
    size_t at = 0, line = 0;
    while (at < bytes) {
        const char *end = memchr(text + at, '\n', bytes - at);
        uint64_t step = 0;
        if (end == NULL) break;
        for (const char *p = text + at; line > 0 && *p >= '0' && *p <= '9'; p++)
            step = step * 10 + (uint64_t)(*p - '0');
        if (line > 0 && (step == 0 || step > last)) break;
        at = (size_t)(end - text) + 1;
        line++;
    }
    return at;
}

static size_t write_header(const rw_trainer *t, size_t n_val, char *text, size_t cap) {
    size_t at = (size_t)snprintf(text, cap, "step,samples,lr,loss");
    for (size_t i = 0; i < t->n_metrics && at < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, ",%s", t->metric[i]);
    for (size_t i = 0; i < n_val && at < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, i > 0 ? ",val_loss_%zu" : ",val_loss", i + 1);
    if (at < cap) at += (size_t)snprintf(text + at, cap - at, "\n");
    return at < cap ? at : cap - 1;
}

/* What of an earlier file stays, with its header, or the header alone. */
static rw_status start_metrics(rw_trainer *t, const char *path, size_t n_val, rw_message *m) {
    char header[1024];
    size_t n = write_header(t, n_val, header, sizeof header);
    rw_file f = {0};
    rw_status s;
    bool goes_on = t->step > 0 && rw_file_map(path, &f, NULL) == RW_OK;
    const char *text = (const char *)f.data;
    if (goes_on && f.bytes >= n && memcmp(text, header, n) == 0)
        s = rw_file_save(path, text, lines_up_to(text, f.bytes, t->step), m);
    else
        s = rw_file_save(path, header, n, m);
    rw_file_unmap(&f);
    return s;
}

rw_status rw_trainer_open_metrics(rw_trainer *t, size_t n_val, rw_message *m) {
    size_t cap = strlen(t->o.dir) + 16;
    char *path = malloc(cap);
    if (path == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a name");
    snprintf(path, cap, "%s/metrics.csv", t->o.dir);
    rw_status s = start_metrics(t, path, n_val, m);
    if (s == RW_OK && (t->metrics = fopen(path, "a")) == NULL)
        s = rw_fail(m, RW_IO, "%s: %s", path, strerror(errno));
    free(path);
    return s;
}

rw_status rw_trainer_write_metrics(rw_trainer *t, const rw_train_report *r, const double *val,
                                   size_t n_val, rw_message *m) {
    if (t->metrics == NULL) return RW_OK;
    fprintf(t->metrics, "%llu,%llu,%.9g,%.9g", (unsigned long long)r->step,
            (unsigned long long)r->samples, r->lr, r->loss);
    for (size_t i = 0; i < t->n_metrics; i++) fprintf(t->metrics, ",%.9g", r->metric[i]);
    for (size_t i = 0; i < n_val; i++) fprintf(t->metrics, ",%.9g", val[i]);
    fputc('\n', t->metrics);
    if (fflush(t->metrics) == 0) return RW_OK;
    return rw_fail(m, RW_IO, "%s/metrics.csv: %s", t->o.dir, strerror(errno));
}

/* ---- steps ----------------------------------------------------------------------------------- */

static rw_status put(rw_trainer *t, const char *name, const int32_t *data, size_t batch, size_t ctx,
                     rw_message *m) {
    rw_tensor x = {.name = name,
                   .dtype = RW_I32,
                   .rank = 2,
                   .data = data,
                   .shape = {(int64_t)batch, (int64_t)ctx},
                   .bytes = batch * ctx * 4};
    return rw_put(t->session, name, &x, m);
}

/* random() of another step draws other numbers; whole numbers below 2^31 fit any type. */
static double step_seed(const rw_trainer *t) {
    uint32_t counter[4] = {(uint32_t)t->step, (uint32_t)(t->step >> 32), 0x73656564u, 0}, bits[4];
    uint32_t key[2] = {(uint32_t)t->o.seed, (uint32_t)(t->o.seed >> 32)};
    rw_philox(counter, key, bits);
    return (double)(bits[0] >> 1);
}

static rw_status put_numbers(rw_trainer *t, double lr, rw_message *m) {
    rw_session *s = t->session;
    rw_status r = RW_OK;
    if (t->has_lr) r = rw_put_number(s, "lr", lr, m);
    if (r == RW_OK && t->has_decay) r = rw_put_number(s, "decay", t->o.decay, m);
    if (r == RW_OK && t->has_step) r = rw_put_number(s, "step", (double)(t->step + 1), m);
    if (r == RW_OK && t->has_seed) r = rw_put_number(s, "seed", step_seed(t), m);
    return r;
}

static rw_status get_number(rw_trainer *t, const char *name, double *out, rw_message *m) {
    return rw_get(t->session, name, RW_F64, out, sizeof *out, m);
}

rw_status rw_trainer_step(rw_trainer *t, rw_train_report *r, rw_message *m) {
    size_t batch = t->o.batch, ctx = t->o.ctx;
    *r = (rw_train_report){.lr = rw_schedule_lr(&t->o.schedule, t->step)};
    for (size_t b = 0; b < batch; b++)
        rw_sampler_read(&t->sampler, t->samples + b, t->token + b * ctx, t->target + b * ctx);
    rw_status s = put(t, "token", t->token, batch, ctx, m);
    if (s == RW_OK) s = put(t, "target", t->target, batch, ctx, m);
    if (s == RW_OK) s = put_numbers(t, r->lr, m);
    if (s == RW_OK) s = rw_call(t->session, "train", m);
    if (s == RW_OK) s = get_number(t, t->loss, &r->loss, m);
    for (size_t i = 0; i < t->n_metrics && s == RW_OK; i++)
        s = get_number(t, t->metric[i], &r->metric[i], m);
    if (s != RW_OK) return s;
    t->step++;
    t->samples += batch;
    r->step = t->step;
    r->samples = t->samples;
    if (isfinite(r->loss)) return RW_OK;
    return rw_fail(m, RW_BAD_FILE, "the loss of step %llu is %g: the run has come apart",
                   (unsigned long long)t->step, r->loss);
}

/* ---- other data ------------------------------------------------------------------------------ */

/* Adds the loss of `batch` pieces of `ctx` tokens, in t->token and t->target, to a sum over tokens. */
static rw_status add_loss(rw_trainer *t, size_t batch, size_t ctx, double *sum, double *tokens,
                          rw_message *m) {
    double loss = 0;
    rw_status s = put(t, "token", t->token, batch, ctx, m);
    if (s == RW_OK) s = put(t, "target", t->target, batch, ctx, m);
    if (s == RW_OK) s = rw_call(t->session, "grad", m);
    if (s == RW_OK) s = get_number(t, t->loss, &loss, m);
    *sum += loss * (double)(batch * ctx);
    *tokens += (double)(batch * ctx);
    return s;
}

rw_status rw_trainer_measure(rw_trainer *t, const rw_data *data, double *loss, rw_message *m) {
    size_t ctx = t->o.ctx;
    uint64_t count = rw_data_count(data);
    if (count < 2) return rw_fail(m, RW_BAD_SHAPE, "a single token: nothing follows it");
    bool is_short = rw_data_row(data) == 0 && count - 1 < ctx;
    rw_sampler in_order = {0};
    double sum = 0, tokens = 0;
    rw_status s = RW_OK;
    if (t->has_seed) (void)rw_put_number(t->session, "seed", 0, NULL); /* grad may not take it */
    if (!is_short) s = rw_sampler_init(&in_order, data, RW_ORDER_SEQUENCE, ctx, 0, m);
    for (uint64_t i = 0; i < in_order.places && s == RW_OK;) {
        size_t batch = 0;
        for (; batch < t->o.batch && i < in_order.places; batch++, i++)
            rw_sampler_read(&in_order, i, t->token + batch * ctx, t->target + batch * ctx);
        s = add_loss(t, batch, ctx, &sum, &tokens, m);
    }
    size_t rest = rw_data_row(data) == 0 ? (size_t)((count - 1) % ctx) : 0;
    if (s == RW_OK && rest > 0) {
        rw_data_read(data, count - 1 - rest, rest, t->token);
        rw_data_read(data, count - rest, rest, t->target);
        s = add_loss(t, 1, rest, &sum, &tokens, m);
    }
    if (s == RW_OK) *loss = sum / tokens;
    return s;
}
