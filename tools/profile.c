/* Profiles as tables and as JSON. */
#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

double work_operations(const rw_work *w) {
    double sum = 0;
    for (int i = 0; i < RW_WORK_GIVEN; i++) sum += w->of[i];
    return sum;
}

double work_bytes(const rw_work *w) {
    double sum = 0;
    for (int i = RW_WORK_GIVEN; i < RW_WORKS; i++) sum += w->of[i];
    return sum;
}

/* The longest first; of equal ones the order of names, so that two tables can be compared. */
static int by_time(const void *a, const void *b) {
    const rw_kernel_time *x = a, *y = b;
    if (x->seconds != y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return strcmp(x->name, y->name);
}

bool profile_take(const rw_session *s, const char *entry, unsigned threads, Profile *out) {
    size_t n = rw_profile_count(s);
    *out = (Profile){.entry = entry, .threads = threads, .calls = (double)rw_profile_calls(s)};
    out->line = malloc((n + 1) * sizeof *out->line);
    if (!out->line) return false;
    for (size_t i = 0; i < n; i++) {
        rw_kernel_time *x = &out->line[out->n];
        if (rw_profile_line(s, i, x) != RW_OK || x->launches == 0) continue;
        out->seconds += x->seconds;
        if (i + 1 < n) out->launches += (double)x->launches; /* the last is what is around them */
        out->n++;
    }
    qsort(out->line, out->n, sizeof *out->line, by_time);
    return true;
}

void profile_drop(Profile *p) { free(p->line); }

/* What is not counted is not said. */
static void print_rate(double per_second) {
    if (per_second > 0)
        printf(" %9.2f", per_second / 1e9);
    else
        printf(" %9s", "");
}

static void print_line(const rw_kernel_time *x, const Profile *p) {
    printf("  %-40s %8.1f %9.3f %6.1f %% %9.2f %5.0f %%", x->name, (double)x->launches / p->calls,
           1e3 * x->seconds / p->calls, 100 * x->seconds / p->seconds,
           1e6 * x->seconds / (double)x->launches, 100 * x->busy / (x->seconds * p->threads));
    print_rate(work_operations(&x->work) / x->seconds);
    print_rate(work_bytes(&x->work) / x->seconds);
    printf("  %s\n", x->symbol);
}

void profile_print(const Profile *p) {
    printf("profile of %s, %.0f call%s: a call %.3f ms, %.0f launches and copies, %u thread%s\n",
           p->entry, p->calls, p->calls == 1 ? "" : "s", 1e3 * p->seconds / p->calls,
           p->launches / p->calls, p->threads, p->threads == 1 ? "" : "s");
    printf("  %-40s %8s %9s %8s %9s %7s %9s %9s  %s\n", "kernel", "launches", "ms a call", "share",
           "us each", "busy", "GFLOP/s", "GB/s", "function");
    for (size_t i = 0; i < p->n; i++) print_line(&p->line[i], p);
}

static void json_line(const rw_kernel_time *x) {
    fputs("{\"kernel\": ", stdout);
    json_put_text(x->name);
    fputs(", \"function\": ", stdout);
    json_put_text(x->symbol);
    printf(", \"launches\": %llu, \"seconds\": ", (unsigned long long)x->launches);
    json_put_number(x->seconds);
    fputs(", \"busy\": ", stdout);
    json_put_number(x->busy);
    fputs(", \"operations\": ", stdout);
    json_put_number(work_operations(&x->work));
    fputs(", \"bytes\": ", stdout);
    json_put_number(work_bytes(&x->work));
    putchar('}');
}

void profile_json(const Profile *p) {
    printf("{\"calls\": %.0f, \"seconds\": ", p->calls);
    json_put_number(p->seconds);
    fputs(", \"kernels\": [", stdout);
    for (size_t i = 0; i < p->n; i++) {
        fputs(i ? ",\n    " : "\n    ", stdout);
        json_line(&p->line[i]);
    }
    fputs("]}", stdout);
}
