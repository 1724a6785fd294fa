/* Profiles as tables. */
#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest first; of equal ones the order of names, so that two tables can be compared. */
static int by_time(const void *a, const void *b) {
    const rw_kernel_time *x = a, *y = b;
    if (x->seconds != y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void print_line(const rw_kernel_time *x, double calls, double all, unsigned threads) {
    printf("  %-36s %9.1f %10.3f %6.1f %% %10.2f %5.0f %%\n", x->name, (double)x->launches / calls,
           1e3 * x->seconds / calls, all > 0 ? 100 * x->seconds / all : 0,
           1e6 * x->seconds / (double)x->launches,
           x->seconds > 0 ? 100 * x->busy / (x->seconds * threads) : 0);
}

bool profile_print(const rw_session *s, const char *entry, unsigned threads) {
    size_t n = rw_profile_count(s), used = 0;
    double calls = (double)rw_profile_calls(s), all = 0, launches = 0;
    rw_kernel_time *line = malloc((n + 1) * sizeof *line);
    if (!line) return false;
    for (size_t i = 0; i < n; i++) {
        if (rw_profile_line(s, i, &line[used]) != RW_OK || line[used].launches == 0) continue;
        all += line[used].seconds;
        launches += i + 1 < n ? (double)line[used].launches : 0;
        used++;
    }
    qsort(line, used, sizeof *line, by_time);
    if (calls > 0)
        printf(
            "profile of %s, %.0f call%s: a call %.3f ms, %.1f launches and copies, %u thread%s\n",
            entry, calls, calls == 1 ? "" : "s", 1e3 * all / calls, launches / calls, threads,
            threads == 1 ? "" : "s");
    printf("  %-36s %9s %10s %8s %10s %7s\n", "kernel", "launches", "ms a call", "share", "us each",
           "busy");
    for (size_t i = 0; i < used; i++) print_line(&line[i], calls, all, threads);
    free(line);
    return true;
}
