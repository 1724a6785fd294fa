/* Checks that go on after a failure, counted. Each test is one program: include this in one file only. */
#ifndef TESTS_FAILURES_H
#define TESTS_FAILURES_H

#include <stdio.h>

static int n_failures;

/* The condition, then a printf text that says what was seen. */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            n_failures++;                                                                          \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);                                 \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

static inline int finish(void) {
    if (n_failures > 0) printf("%d failures\n", n_failures);
    return n_failures > 0;
}

#endif
