/* What was measured, as lines and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "json.h"

static const char *const kind_name[KINDS] = {"decode", "prefill", "train"};
static const char *const limit_name[LIMITS] = {"read memory", "multiply f32",
                                               "multiply bf16 (amx)"};
static const char *const gpu_limit_name[LIMITS] = {"copy memory", "multiply f32", "multiply bf16"};

/* ---- what follows from a rate ----------------------------------------------------------------- */

/* The unit the products of this file are made with. */
static Limit unit_of(const Bench *b) {
    rw_dtype weights = rw_program_weights(b->c.program);
    if (!b->measure)
        return weights == RW_BF16 && b->limit[LIMIT_BF16].n_any > 0 ? LIMIT_BF16 : LIMIT_F32;
    bool tiles = rw_dtype_bytes(weights) == 2 && strstr(rw_program_target(b->c.program), "amx") &&
                 measure_has(b->measure, LIMIT_BF16);
    return tiles ? LIMIT_BF16 : LIMIT_F32;
}

/* Operations of products, of a token. */
static double products(const Bench *b, Kind k) {
    return (b->work[k].of[RW_WORK_WEIGHTS] + b->work[k].of[RW_WORK_PRODUCTS]) / bench_tokens(b, k);
}

static double given(const Bench *b, Kind k) {
    return b->work[k].of[RW_WORK_GIVEN] / bench_tokens(b, k);
}

/* `rate` times `each` of what the machine can do at most; NaN where that is not known. */
static double share(const Bench *b, Limit limit, double rate, double each) {
    double most = series_spread(&b->limit[limit]).median;
    return most > 0 ? rate * each / most : (double)NAN;
}

/* ---- lines ------------------------------------------------------------------------------------ */

static void print_limits(const Bench *b) {
    if (b->measure)
        printf("machine, %u thread%s\n", rw_context_threads(b->c.context),
               rw_context_threads(b->c.context) == 1 ? "" : "s");
    else
        printf("device %s\n", rw_context_device(b->c.context));
    for (int i = 0; i < LIMITS; i++) {
        Spread s = series_spread(&b->limit[i]);
        if (s.n == 0) continue;
        printf("  %-20s %9.1f %-8s (%.1f to %.1f)\n",
               b->measure ? limit_name[i] : gpu_limit_name[i], s.median / 1e9,
               i == LIMIT_READ ? "GB/s" : "GFLOP/s", s.low / 1e9, s.high / 1e9);
    }
}

static void print_rate(const Bench *b, Kind k) {
    Spread s = series_spread(&b->rate[k]);
    Limit unit = unit_of(b);
    char what[64];
    if (k == K_TRAIN)
        snprintf(what, sizeof what, "train %llu x %llu", (unsigned long long)b->batch,
                 (unsigned long long)b->size[k]);
    else
        snprintf(what, sizeof what, "%s %llu", kind_name[k], (unsigned long long)b->size[k]);
    printf("  %-20s %9.1f %-8s (%.1f to %.1f)", what, s.median, "tok/s", s.low, s.high);
    printf("  %.1f GFLOP/s", products(b, k) * s.median / 1e9);
    double part = share(b, unit, s.median, products(b, k));
    if (!isnan(part))
        printf(" = %.0f %% of multiplying %s", 100 * part, unit == LIMIT_BF16 ? "bf16" : "f32");
    part = share(b, LIMIT_READ, s.median, given(b, k));
    if (k == K_DECODE) printf("; %.1f GB/s", given(b, k) * s.median / 1e9);
    if (k == K_DECODE && !isnan(part))
        printf(" = %.0f %% of %s", 100 * part, b->measure ? "reading" : "copying");
    putchar('\n');
}

/* "  decode   281.4 MFLOP of products, 5.3 in recurrences, ..." of a token */
static void print_work(const Bench *b, Kind k) {
    const rw_work *w = &b->work[k];
    double n = bench_tokens(b, k);
    printf("  a token of %-9s %.2f MFLOP: %.2f products with parameters, %.2f other products, "
           "%.2f recurrences, %.2f rest\n",
           kind_name[k], work_operations(w) / n / 1e6, w->of[RW_WORK_WEIGHTS] / n / 1e6,
           w->of[RW_WORK_PRODUCTS] / n / 1e6, w->of[RW_WORK_RECURRENCE] / n / 1e6,
           w->of[RW_WORK_REST] / n / 1e6);
    printf("  %20s %.2f MB: %.2f read of parameters, states and inputs, %.2f of what was made, "
           "%.2f written\n",
           "", work_bytes(w) / n / 1e6, w->of[RW_WORK_GIVEN] / n / 1e6,
           w->of[RW_WORK_MADE] / n / 1e6, w->of[RW_WORK_WRITTEN] / n / 1e6);
}

void bench_print(const Bench *b) {
    print_limits(b);
    printf("%s for %s, weights %s\n", rw_program_name(b->c.program),
           rw_program_target(b->c.program), rw_dtype_name(rw_program_weights(b->c.program)));
    int first = -1;
    for (int k = KINDS - 1; k >= 0; k--)
        if (b->size[k]) first = k;
    for (int k = 0; k < KINDS; k++)
        if (b->size[k]) print_rate(b, (Kind)k);
    for (int k = 0; k < KINDS; k++)
        if (b->size[k]) print_work(b, (Kind)k);
    Spread peer = series_spread(&b->peer_rate);
    if (b->peer && first >= 0)
        printf("peer\n  %-20s %9.1f %-8s (%.1f to %.1f)  we are at %.2f times that\n", "",
               peer.median, "tok/s", peer.low, peer.high,
               peer.median > 0 ? series_spread(&b->rate[first]).median / peer.median : 0);
    for (int k = 0; k < KINDS; k++) {
        if (!b->profiles[k].line) continue;
        putchar('\n');
        profile_print(&b->profiles[k]);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static void json_spread(const Series *series) {
    Spread s = series_spread(series);
    fputs("{\"median\": ", stdout);
    json_put_number(s.median);
    fputs(", \"low\": ", stdout);
    json_put_number(s.low);
    fputs(", \"high\": ", stdout);
    json_put_number(s.high);
    printf(", \"samples\": %d}", s.n);
}

static void json_work(const Bench *b, Kind k) {
    static const char *const keys[RW_WORKS] = {"weights", "products", "recurrence", "rest",
                                               "given",   "made",     "written"};
    fputs(",\n   \"per_token\": {", stdout);
    for (int i = 0; i < RW_WORKS; i++) {
        printf("%s\"%s\": ", i ? ", " : "", keys[i]);
        json_put_number(b->work[k].of[i] / bench_tokens(b, k));
    }
    putchar('}');
}

static void json_kind(const Bench *b, Kind k) {
    double rate = series_spread(&b->rate[k]).median;
    printf("{\"entry\": \"%s\", \"batch\": %llu, \"tokens\": %llu,\n   \"tokens_per_second\": ",
           bench_entry[k], (unsigned long long)(k == K_TRAIN ? b->batch : 1),
           (unsigned long long)b->size[k]);
    json_spread(&b->rate[k]);
    json_work(b, k);
    fputs(",\n   \"share_of_multiplying\": ", stdout);
    json_put_number(share(b, unit_of(b), rate, products(b, k)));
    fputs(", \"share_of_reading\": ", stdout);
    json_put_number(share(b, LIMIT_READ, rate, given(b, k)));
    if (b->profiles[k].line) {
        fputs(",\n   \"profile\": ", stdout);
        profile_json(&b->profiles[k]);
    }
    putchar('}');
}

void bench_json(const Bench *b) {
    static const char *const keys[LIMITS] = {"read_bytes", "multiply_f32", "multiply_bf16"};
    fputs("{\"kind\": \"bench\", \"name\": ", stdout);
    json_put_text(rw_program_name(b->c.program));
    fputs(", \"target\": ", stdout);
    json_put_text(rw_program_target(b->c.program));
    fputs(", \"device\": ", stdout);
    json_put_text(rw_context_device(b->c.context));
    printf(", \"weights\": \"%s\", \"threads\": %u,\n \"machine\": {",
           rw_dtype_name(rw_program_weights(b->c.program)), rw_context_threads(b->c.context));
    bool any = false;
    for (int i = 0; i < LIMITS; i++) {
        if (b->limit[i].n_any == 0) continue;
        printf("%s\"%s\": ", any ? ", " : "",
               i == LIMIT_READ && !b->measure ? "copy_bytes" : keys[i]);
        json_spread(&b->limit[i]);
        any = true;
    }
    fputs("},\n \"results\": [", stdout);
    any = false;
    for (int k = 0; k < KINDS; k++) {
        if (!b->size[k]) continue;
        fputs(any ? ",\n  " : "\n  ", stdout);
        json_kind(b, (Kind)k);
        any = true;
    }
    fputs("]", stdout);
    if (b->peer) {
        fputs(",\n \"peer\": ", stdout);
        json_spread(&b->peer_rate);
    }
    puts("}");
}
