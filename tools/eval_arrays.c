/* Arrays of the interpreter from and to the tensors of files. */
#include <math.h>
#include <string.h>

#include "eval.h"

size_t array_count(const Array *a) {
    size_t n = 1;
    for (uint32_t i = 0; i < a->rank; i++) n *= (size_t)a->dims[i];
    return n;
}

Array array_new(Arena *a, Type type, const int64_t *dims, uint32_t rank) {
    Array x = {.type = (uint8_t)type, .rank = (uint8_t)rank};
    if (rank) memcpy(x.dims, dims, sizeof *dims * rank);
    x.real = arena_alloc(a, 8 * array_count(&x)); /* a double or an int64_t an item */
    return x;
}

size_t memory_limit(const Eval *e) {
    return e->options->memory_limit ? e->options->memory_limit : (size_t)8 << 30;
}

int value_dims(const Eval *e, Graph *g, Value v, const char *what, int64_t *dims) {
    const ValueInfo *info = graph_value(g, v);
    size_t limit = memory_limit(e);
    size_t bytes = 8;
    for (uint32_t i = 0; i < info->rank; i++) {
        bool good = size_eval(g->sizes, info->dims[i], e->axes.length, &dims[i]) && dims[i] >= 0;
        if (good && !__builtin_mul_overflow(bytes, (size_t)dims[i], &bytes) && bytes <= limit)
            continue;
        return failed(e->command, EXIT_INPUT,
                      "%s %s is larger than the %zu MiB this run may take (--memory-limit)", what,
                      dims_text(e->arena, g->sizes, info->dims, info->rank), limit >> 20);
    }
    return EXIT_DONE;
}

/* "[0,5]" for item `at` of a tensor. */
static const char *place_text(Arena *a, const rw_tensor *t, size_t at) {
    int64_t idx[RW_MAX_RANK];
    for (int i = t->rank - 1; i >= 0; i--) {
        idx[i] = (int64_t)(at % (size_t)t->shape[i]);
        at /= (size_t)t->shape[i];
    }
    return shape_text(a, idx, t->rank);
}

int array_take(const Eval *e, const char *what, const rw_tensor *t, Array *to, size_t at) {
    size_t n;
    rw_message m = {""};
    if (rw_tensor_count(t, &n) != RW_OK)
        return failed(e->command, EXIT_INPUT, "%s: bad shape", what);
    if (to->type == T_REAL) {
        rw_tensor_to_f64(t, to->real + at);
        return EXIT_DONE;
    }
    if (!rw_dtype_is_float(t->dtype)) {
        rw_status s = rw_tensor_to_i64(t, to->ints + at, &m);
        return s == RW_OK ? EXIT_DONE
                          : failed(e->command, exit_of_status(s), "%s: %s", what, m.text);
    }
    double *real = NEWN(e->arena, double, n);
    rw_tensor_to_f64(t, real);
    for (size_t i = 0; i < n; i++) {
        if (real[i] != floor(real[i]) || fabs(real[i]) > 0x1p53)
            return failed(e->command, EXIT_INPUT,
                          "%s: the text wants whole numbers, and the one at %s is %g", what,
                          place_text(e->arena, t, i), real[i]);
        to->ints[at + i] = (int64_t)real[i];
    }
    return EXIT_DONE;
}

int array_give(const Eval *e, const char *what, const Array *a, size_t from, const int64_t *shape,
               int rank, rw_tensor *out) {
    if (rank > RW_MAX_RANK)
        return failed(e->command, EXIT_INPUT, "%s has %d axes; files hold at most %d", what, rank,
                      RW_MAX_RANK);
    *out = (rw_tensor){.name = what, .rank = rank};
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= (size_t)(out->shape[i] = shape[i]);
    if (a->type == T_INT) {
        int32_t *items = NEWN(e->arena, int32_t, n);
        for (size_t i = 0; i < n; i++) {
            int64_t v = a->ints[from + i];
            if (v < INT32_MIN || v > INT32_MAX)
                return failed(e->command, EXIT_INPUT, "%s holds %lld, which no int32 can", what,
                              (long long)v);
            items[i] = (int32_t)v;
        }
        out->dtype = RW_I32;
        out->data = items;
    } else if (e->options->float32) {
        float *items = NEWN(e->arena, float, n);
        for (size_t i = 0; i < n; i++) items[i] = (float)a->real[from + i];
        out->dtype = RW_F32;
        out->data = items;
    } else {
        out->dtype = RW_F64;
        out->data = a->real + from;
    }
    out->bytes = n * rw_dtype_bytes(out->dtype);
    return EXIT_DONE;
}
