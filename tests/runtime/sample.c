/* Sampling and the schedule of learning rates. */
#include "check.h"

#include <math.h>

#include "runtime/sample.h"
#include "runtime/schedule.h"
#include "runtime/weights.h"

static rw_message m;

static rw_chooser *chooser(double temperature, double top_p, int64_t top_k, size_t n) {
    rw_sampling o = {temperature, top_p, top_k, 5};
    rw_chooser *c = NULL;
    CHECK(rw_chooser_create(&o, n, &c, &m) == RW_OK, "%s", m.text);
    return c;
}

/* What is kept of {log 0.4, log 0.3, log 0.2, log 0.1} in another order. */
static void kept(double temperature, double top_p, int64_t top_k, const double *want) {
    const float logits[4] = {logf(0.2f), logf(0.4f), logf(0.1f), logf(0.3f)};
    double p[4];
    rw_chooser *c = chooser(temperature, top_p, top_k, 4);
    rw_choose_probs(c, logits, 4, p);
    for (int i = 0; i < 4; i++)
        CHECK(fabs(p[i] - want[i]) < 1e-7, "T %g p %g k %d: p[%d] = %.9g, not %.9g", temperature,
              top_p, (int)top_k, i, p[i], want[i]);
    rw_chooser_destroy(c);
}

static void settings(void) {
    kept(1, 1, 0, (double[]){0.2, 0.4, 0.1, 0.3});
    kept(1, 0.5, 0, (double[]){0, 4 / 7.0, 0, 3 / 7.0});
    kept(1, 0.85, 2, (double[]){0, 4 / 7.0, 0, 3 / 7.0});
    kept(1, 0.85, 0, (double[]){2 / 9.0, 4 / 9.0, 0, 3 / 9.0});
    kept(1, 1, 3, (double[]){2 / 9.0, 4 / 9.0, 0, 3 / 9.0});
    kept(0.5, 1, 2, (double[]){0, 16 / 25.0, 0, 9 / 25.0});
    kept(0, 1, 0, (double[]){0, 1, 0, 0});
    kept(2, 1, 1, (double[]){0, 1, 0, 0});
}

static void equals(void) {
    const float same[6] = {1, 2, 2, 2, 2, 0};
    double p[6];
    rw_chooser *c = chooser(1, 1, 2, 6);
    rw_choose_probs(c, same, 6, p);
    CHECK(fabs(p[1] - 0.5) < 1e-12 && fabs(p[2] - 0.5) < 1e-12, "%g %g", p[1], p[2]);
    rw_chooser_destroy(c);
    c = chooser(1, 0.3, 0, 6);
    rw_choose_probs(c, same, 6, p);
    CHECK(fabs(p[1] - 0.25) < 1e-12 && fabs(p[4] - 0.25) < 1e-12, "%g %g", p[1], p[4]);
    rw_chooser_destroy(c);
    c = chooser(0, 1, 0, 6);
    CHECK(rw_choose(c, same, 6, 0) == 1, "the first of the largest");
    const float strange[4] = {NAN, -INFINITY, 3, NAN}, none[2] = {NAN, -INFINITY};
    CHECK(rw_choose(c, strange, 4, 0) == 2 && rw_choose(c, none, 2, 0) == -1, "NaN");
    rw_chooser_destroy(c);
    c = chooser(1, 0.9, 3, 6);
    CHECK(rw_choose(c, strange, 4, 0) == 2 && rw_choose(c, none, 2, 0) == -1, "NaN");
    const float large[3] = {1, INFINITY, 1};
    CHECK(rw_choose(c, large, 3, 7) == 1, "infinity");
    rw_chooser_destroy(c);
}

/* Draws come with their probabilities, and by their number alone. */
static void draws(void) {
    const float logits[4] = {logf(0.2f), logf(0.4f), logf(0.1f), logf(0.3f)};
    const double want[4] = {0.2, 0.4, 0.1, 0.3};
    enum { N = 40000 };
    int count[4] = {0};
    rw_chooser *c = chooser(1, 1, 0, 4), *again = chooser(1, 1, 0, 4);
    for (uint64_t i = 0; i < N; i++) {
        int64_t t = rw_choose(c, logits, 4, i);
        count[t]++;
        if (i % 100 == 7) CHECK(rw_choose(again, logits, 4, i) == t, "draw %d", (int)i);
    }
    for (int i = 0; i < 4; i++) {
        double sigma = sqrt(want[i] * (1 - want[i]) / N);
        CHECK(fabs((double)count[i] / N - want[i]) < 4.5 * sigma, "token %d: %d", i, count[i]);
    }
    rw_chooser_destroy(c);
    rw_chooser_destroy(again);
}

static void refused(double temperature, double top_p, int64_t top_k) {
    rw_sampling o = {temperature, top_p, top_k, 0};
    rw_chooser *c = NULL;
    CHECK(rw_chooser_create(&o, 4, &c, &m) == RW_BAD_ARG && c == NULL, "%g %g %d", temperature,
          top_p, (int)top_k);
}

static void rates(void) {
    rw_schedule o = {.lr = 6e-4, .lr_final = 6e-5, .steps = 110, .warmup = 10};
    CHECK(fabs(rw_schedule_lr(&o, 0) - 6e-6) < 1e-18, "%g", rw_schedule_lr(&o, 0));
    CHECK(fabs(rw_schedule_lr(&o, 5) - 6e-4 * 0.505) < 1e-18, "%g", rw_schedule_lr(&o, 5));
    CHECK(fabs(rw_schedule_lr(&o, 10) - 6e-4) < 1e-18, "%g", rw_schedule_lr(&o, 10));
    CHECK(fabs(rw_schedule_lr(&o, 60) - 3.3e-4) < 1e-17, "%g", rw_schedule_lr(&o, 60));
    CHECK(fabs(rw_schedule_lr(&o, 110) - 6e-5) < 1e-17, "%g", rw_schedule_lr(&o, 110));
    CHECK(fabs(rw_schedule_lr(&o, 999) - 6e-5) < 1e-17, "%g", rw_schedule_lr(&o, 999));
    o = (rw_schedule){.lr = 1, .lr_final = 1, .steps = 10, .warmup = 20};
    CHECK(fabs(rw_schedule_lr(&o, 15) - (0.01 + 0.99 * 0.75)) < 1e-15, "warm-up beyond the end");
    o = (rw_schedule){.lr = 0, .lr_final = 0, .steps = 10, .warmup = 0};
    CHECK(rw_schedule_lr(&o, 3) == 0, "no rate");
}

static bool reference(void) {
    const char *path = shared("ref/sampling.safetensors");
    rw_weights *w = NULL;
    if (path == NULL) return false;
    CHECK(rw_weights_open(path, &w, &m) == RW_OK, "%s", m.text);
    const float *logits = rw_weights_find(w, "logits")->data;
    const float *set = rw_weights_find(w, "temp_topp_topk")->data;
    const float *probs = rw_weights_find(w, "probs")->data;
    double p[256];
    for (int i = 0; i < 5; i++) {
        /* the settings were decimal numbers before they were rounded to float32 */
        char text[2][32];
        for (int k = 0; k < 2; k++) snprintf(text[k], sizeof text[k], "%.6g", (double)set[3 * i + k]);
        rw_chooser *c = chooser(strtod(text[0], NULL), strtod(text[1], NULL),
                                (int64_t)set[3 * i + 2], 256);
        rw_choose_probs(c, logits, 256, p);
        for (int k = 0; k < 256; k++)
            CHECK(fabs(p[k] - (double)probs[256 * i + k]) < 1e-6 &&
                      (p[k] > 0) == (probs[256 * i + k] > 0),
                  "row %d, token %d: %g, not %g", i, k, p[k], (double)probs[256 * i + k]);
        rw_chooser_destroy(c);
    }
    rw_weights_close(w);
    return true;
}

int main(void) {
    settings();
    equals();
    draws();
    refused(-1, 1, 0);
    refused(NAN, 1, 0);
    refused(1, 0, 0);
    refused(1, 1.5, 0);
    refused(1, 1, -1);
    rates();
    return reference() ? finish() : finish_without_shared();
}
