/* Sampling. A vocabulary is large and few of its tokens matter, so that sorting all of them would
 * take longer than the model: a histogram of exponents finds how small a probability can be that is
 * kept, and only what is at least that is sorted. */
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

typedef struct candidate {
    double p;
    size_t token;
} candidate;

struct rw_chooser {
    rw_sampling o;
    size_t cap;
    double *p;       /* [cap] */
    candidate *kept; /* [cap] */
};

rw_status rw_chooser_create(const rw_sampling *o, size_t n, rw_chooser **out, rw_message *m) {
    *out = NULL;
    if (!(o->temperature >= 0) || isinf(o->temperature))
        return rw_fail(m, RW_BAD_ARG, "temperature %g: it is at least 0", o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return rw_fail(m, RW_BAD_ARG, "top-p %g: above 0 and at most 1", o->top_p);
    if (o->top_k < 0)
        return rw_fail(m, RW_BAD_ARG, "top-k %lld: from 0", (long long)o->top_k);
    if (n == 0 || n > SIZE_MAX / sizeof(candidate))
        return rw_fail(m, RW_BAD_ARG, "a choice among %zu tokens", n);
    rw_chooser *c = calloc(1, sizeof *c);
    if (c != NULL) {
        *c = (rw_chooser){.o = *o, .cap = n, .p = malloc(n * sizeof *c->p)};
        c->kept = malloc(n * sizeof *c->kept);
    }
    if (c == NULL || c->p == NULL || c->kept == NULL) {
        rw_chooser_destroy(c);
        return rw_fail(m, RW_NO_MEMORY, "no memory for a choice among %zu tokens", n);
    }
    *out = c;
    return RW_OK;
}

void rw_chooser_destroy(rw_chooser *c) {
    if (c == NULL) return;
    free(c->p);
    free(c->kept);
    free(c);
}

/* The first of the largest, or n. */
static size_t largest(const float *logits, size_t n) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (logits[i] > (best < n ? logits[best] : -INFINITY)) best = i;
    return best;
}

/* Probabilities into c->p; logits that are NaN or far below the largest get 0. */
static void softmax(rw_chooser *c, const float *logits, size_t n, double max) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = logits[i] - max;
        if (isinf(max)) d = logits[i] == max ? 0 : -INFINITY; /* +infinity beside anything */
        c->p[i] = d > -700 ? exp(d) : 0;
        sum += c->p[i];
    }
    for (size_t i = 0; i < n; i++) c->p[i] /= sum;
}

/* 0 for (1/2,1], 1 for (1/4,1/2], ...: the larger the smaller. */
enum { BINS = 1088 };
static int bin_of(double p) {
    int e;
    frexp(p, &e);
    e = -e;
    return e < 0 ? 0 : e < BINS ? e : BINS - 1;
}

static int last_bin(const rw_chooser *c, size_t n) {
    double mass[BINS] = {0}, sum = 0;
    size_t count[BINS] = {0}, seen = 0;
    for (size_t i = 0; i < n; i++) {
        if (c->p[i] <= 0) continue;
        int b = bin_of(c->p[i]);
        mass[b] += c->p[i];
        count[b]++;
    }
    for (int b = 0; b < BINS; b++) {
        sum += mass[b];
        seen += count[b];
        /* a little more than enough: the sum below is made in another order */
        if (c->o.top_p < 1 && sum >= c->o.top_p + 1e-9) return b;
        if (c->o.top_k > 0 && seen >= (uint64_t)c->o.top_k) return b;
    }
    return BINS - 1;
}

static int by_probability(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* Candidates that stay, the first of c->kept; in order of tokens if all of them stay. */
static size_t keep(rw_chooser *c, size_t n) {
    const rw_sampling *o = &c->o;
    int is_cut = o->top_p < 1 || (o->top_k > 0 && (uint64_t)o->top_k < n);
    int last = is_cut ? last_bin(c, n) : BINS - 1;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (c->p[i] > 0 && bin_of(c->p[i]) <= last)
            c->kept[kept++] = (candidate){.p = c->p[i], .token = i};
    if (!is_cut) return kept;
    qsort(c->kept, kept, sizeof *c->kept, by_probability);
    if (o->top_p < 1) {
        double sum = 0;
        size_t i = 0;
        while (i < kept && sum < o->top_p) sum += c->kept[i++].p;
        while (i < kept && c->kept[i].p == c->kept[i - 1].p) i++;
        kept = i;
    }
    return o->top_k > 0 && kept > (uint64_t)o->top_k ? (size_t)o->top_k : kept;
}

/* The sum of the powers, which take the place of the probabilities. */
static double sharpen(rw_chooser *c, size_t kept) {
    double sum = 0, max = 0;
    for (size_t i = 0; i < kept; i++)
        if (c->kept[i].p > max) max = c->kept[i].p;
    for (size_t i = 0; i < kept; i++) {
        double p = c->kept[i].p;
        if (c->o.temperature != 1) p = exp(log(p / max) / c->o.temperature);
        c->kept[i].p = p;
        sum += p;
    }
    return sum;
}

/* The candidates with their weights; *sum = the sum of those. 0 if no token can be chosen. */
static size_t prepare(rw_chooser *c, const float *logits, size_t n, double *sum) {
    *sum = 1;
    n = n < c->cap ? n : c->cap;
    size_t best = largest(logits, n);
    if (best == n) return 0;
    if (c->o.temperature <= 0 || c->o.top_k == 1) {
        c->kept[0] = (candidate){.p = 1, .token = best};
        return 1;
    }
    softmax(c, logits, n, logits[best]);
    size_t kept = keep(c, n);
    *sum = sharpen(c, kept);
    return kept;
}

int64_t rw_choose(rw_chooser *c, const float *logits, size_t n, uint64_t draw) {
    double sum;
    size_t kept = prepare(c, logits, n, &sum);
    if (kept == 0) return -1;
    uint32_t counter[4] = {(uint32_t)draw, (uint32_t)(draw >> 32), 0x6b6f74u, 0}, bits[4];
    uint32_t key[2] = {(uint32_t)c->o.seed, (uint32_t)(c->o.seed >> 32)};
    rw_philox(counter, key, bits);
    double u = (double)(((uint64_t)bits[1] << 32 | bits[0]) >> 11) * 0x1p-53 * sum;
    size_t i = 0;
    while (i + 1 < kept && u >= c->kept[i].p) u -= c->kept[i++].p;
    return (int64_t)c->kept[i].token;
}

void rw_choose_probs(rw_chooser *c, const float *logits, size_t n, double *p) {
    double sum;
    size_t kept = prepare(c, logits, n, &sum);
    memset(p, 0, n * sizeof *p);
    for (size_t i = 0; i < kept; i++) p[c->kept[i].token] = c->kept[i].p / sum;
}
