/* Any bytes as a file of weights, as an array, and as the pickle of a .pth whose check sums are
 * right: opened and read to the last byte. Build with clang -fsanitize=fuzzer,address,undefined and
 * the sources of the runtime. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../runtime/build.h"
#include "runtime/npy.h"
#include "runtime/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sum_of(const rw_tensor *t) {
    unsigned sum = 0;
    for (size_t i = 0; i < t->bytes; i++)
        sum += ((const uint8_t *)t->data)[i];
    return sum;
}

/* The one file of this process, without a name of its own. */
static const char *path_of(const uint8_t *data, size_t size) {
    static FILE *f;
    static char path[64];
    if (f == NULL) {
        f = tmpfile();
        if (f == NULL)
            abort();
        snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(f));
    }
    if (ftruncate(fileno(f), 0) != 0 || pwrite(fileno(f), data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

static unsigned open_and_sum(const uint8_t *data, size_t size) {
    rw_weights *w = NULL;
    rw_message m;
    unsigned sum = 0;
    if (rw_weights_open(path_of(data, size), &w, &m) == RW_OK) {
        for (size_t i = 0; i < rw_weights_count(w); i++) {
            const rw_tensor *t = rw_weights_at(w, i);
            if (rw_weights_find(w, t->name) != t)
                abort();
            sum += sum_of(t);
        }
    }
    rw_weights_close(w);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const float four[] = {1, 2, 3, 4};
    const bytes pickle = {(uint8_t *)(uintptr_t)data, size, size};
    volatile unsigned sum = 0;
    archive z = {.n = 0};
    rw_message m;
    rw_array a;
    if (rw_npy_parse("input", data, size, &a, &m) == RW_OK)
        sum += sum_of(&a.t);
    rw_array_free(&a);
    if (size > 0 && data[0] == 0x80) {
        make_pth(&z, &pickle, four, 4);
        sum += open_and_sum(z.file.p, z.file.n);
        reset_archive(&z);
    } else {
        sum += open_and_sum(data, size);
    }
    return 0;
}
