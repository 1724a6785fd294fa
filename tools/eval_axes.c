/* The lengths of the run-time axes, from the shapes of what a call was given. */
#include "eval_axes.h"

#include <string.h>

void axes_begin(Axes *x, const char *command, Arena *a, Sizes *sizes) {
    uint32_t n = size_axes(sizes);
    *x = (Axes){.command = command,
                .arena = a,
                .sizes = sizes,
                .n = n,
                .length = NEWN(a, int64_t, n + 1),
                .origin = NEWN(a, const char *, n + 1)};
}

const char *dims_text(Arena *a, Sizes *s, const Size *dims, uint32_t rank) {
    Text t = text_new(a);
    for (uint32_t i = 0; i < rank; i++)
        text_printf(&t, "%s%s", i ? "," : "[", size_str(s, dims[i]));
    text_add(&t, rank ? "]" : "[]");
    return t.data;
}

const char *shape_text(Arena *a, const int64_t *shape, int rank) {
    Text t = text_new(a);
    for (int i = 0; i < rank; i++) text_printf(&t, "%s%lld", i ? "," : "[", (long long)shape[i]);
    text_add(&t, rank ? "]" : "[]");
    return t.data;
}

static int set_length(Axes *x, uint32_t axis, int64_t length, const char *origin) {
    const char *name = size_axis_name(x->sizes, axis);
    int64_t multiple = size_axis_multiple(x->sizes, axis);
    if (length % multiple != 0)
        return failed(x->command, EXIT_INPUT,
                      "%s: axis %s is %lld, and the text declares 'axis %s %% %lld': it must be a "
                      "multiple of %lld",
                      origin, name, (long long)length, name, (long long)multiple,
                      (long long)multiple);
    x->length[axis] = length;
    x->origin[axis] = origin;
    return EXIT_DONE;
}

int axes_set(Axes *x, const char *name, const char *number) {
    int64_t length;
    if (!parse_int(number, &length) || length < 1)
        return usage_error(x->command, "--axis %s=%s: a length is a whole number from 1", name,
                           number);
    for (uint32_t i = 0; i < x->n; i++)
        if (strcmp(size_axis_name(x->sizes, i), name) == 0)
            return set_length(x, i, length, arena_printf(x->arena, "--axis %s=%s", name, number));
    Text all = text_new(x->arena);
    for (uint32_t i = 0; i < x->n; i++) text_printf(&all, " %s", size_axis_name(x->sizes, i));
    return failed(x->command, EXIT_USAGE, "--axis %s: this text has no such axis; it has%s", name,
                  x->n ? all.data : " none");
}

int axes_claim(Axes *x, const char *what, const Size *dims, uint32_t rank, const int64_t *shape,
               int shape_rank) {
    const char *wanted = dims_text(x->arena, x->sizes, dims, rank);
    const char *found = shape_text(x->arena, shape, shape_rank);
    if (shape_rank != (int)rank) {
        bool batch = rank && shape_rank == (int)rank - 1 && size_has_axis(x->sizes, dims[0], "B");
        return failed(x->command, EXIT_INPUT, "%s: its shape is %s, the text wants %s%s", what,
                      found, wanted,
                      batch ? " (the batch axis comes first, even for one sample)" : "");
    }
    struct AxisClaim c = {.what = what, .rank = rank};
    for (uint32_t i = 0; i < rank; i++) {
        if (shape[i] < 1)
            return failed(x->command, EXIT_INPUT,
                          "%s: its shape is %s; every axis is at least 1 long", what, found);
        c.dims[i] = dims[i];
        c.shape[i] = shape[i];
    }
    *PUSH(x->arena, &x->claims) = c;
    return EXIT_DONE;
}

/* The only axis of `dim` that is not known; false if there is none or more than one. */
static bool one_unknown(const Axes *x, Size dim, uint32_t *axis) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->n; i++)
        if (!x->length[i] && size_has_axis(x->sizes, dim, size_axis_name(x->sizes, i))) {
            *axis = i;
            n++;
        }
    return n == 1;
}

/* The length at which a linear formula gives `wanted`: by its values at two lengths, both multiples
 * of what the axis is declared to be a multiple of. 0 if there is no whole one. */
static int64_t solve(const Axes *x, Size dim, uint32_t axis, int64_t wanted) {
    Size coef, rest;
    if (!size_linear_in(x->sizes, dim, size_axis_name(x->sizes, axis), &coef, &rest)) return 0;
    int64_t step = size_axis_multiple(x->sizes, axis), at[2];
    int64_t *trial = arena_copy(x->arena, x->length, sizeof(int64_t) * x->n);
    for (int k = 0; k < 2; k++) {
        trial[axis] = step * (k + 1);
        if (!size_eval(x->sizes, dim, trial, &at[k])) return 0;
    }
    int64_t slope = at[1] - at[0];
    int64_t offset;
    if (slope == 0 || __builtin_mul_overflow(wanted - at[0], step, &offset) || offset % slope)
        return 0;
    int64_t length = step + offset / slope;
    return length >= 1 ? length : 0;
}

/* Goes through the claims until no new axis comes out of them. */
static int find_lengths(Axes *x) {
    for (bool again = true; again;) {
        again = false;
        for (uint32_t c = 0; c < x->claims.n; c++) {
            const struct AxisClaim *k = &x->claims.data[c];
            for (uint32_t d = 0; d < k->rank; d++) {
                uint32_t axis = 0;
                if (!one_unknown(x, k->dims[d], &axis)) continue;
                int64_t length = solve(x, k->dims[d], axis, k->shape[d]);
                if (!length) continue;
                const char *origin = arena_printf(x->arena, "%s %s", k->what,
                                                  shape_text(x->arena, k->shape, (int)k->rank));
                int code = set_length(x, axis, length, origin);
                if (code != EXIT_DONE) return code;
                again = true;
            }
        }
    }
    return EXIT_DONE;
}

static bool is_known(const Axes *x, Size dim) {
    for (uint32_t i = 0; i < x->n; i++)
        if (!x->length[i] && size_has_axis(x->sizes, dim, size_axis_name(x->sizes, i)))
            return false;
    return true;
}

/* "; T is 64 by input 'token' [2,64]" for every axis in dim. */
static const char *because(const Axes *x, Size dim) {
    Text t = text_new(x->arena);
    for (uint32_t i = 0; i < x->n; i++) {
        const char *name = size_axis_name(x->sizes, i);
        if (x->length[i] && size_has_axis(x->sizes, dim, name))
            text_printf(&t, "; %s is %lld by %s", name, (long long)x->length[i], x->origin[i]);
    }
    return t.data;
}

static int check_claim(const Axes *x, const struct AxisClaim *k) {
    for (uint32_t d = 0; d < k->rank; d++) {
        Size dim = k->dims[d];
        int64_t length = -1;
        uint32_t axis;
        if (!is_known(x, dim) && !one_unknown(x, dim, &axis)) continue; /* see axes_known */
        if (is_known(x, dim) && size_eval(x->sizes, dim, x->length, &length) &&
            length == k->shape[d])
            continue;
        const char *is = "", *formula = size_str(x->sizes, dim);
        if (!is_known(x, dim))
            is = arena_printf(x->arena, ", which it is for no %s from 1",
                              size_axis_name(x->sizes, axis));
        else if (length >= 0 && size_has_axis(x->sizes, dim, NULL))
            is = arena_printf(x->arena, " = %lld", (long long)length);
        return failed(
            x->command, EXIT_INPUT,
            "%s: its shape is %s, the text wants %s: axis %u is %lld and should be %s%s%s", k->what,
            shape_text(x->arena, k->shape, (int)k->rank),
            dims_text(x->arena, x->sizes, k->dims, k->rank), d, (long long)k->shape[d], formula, is,
            because(x, dim));
    }
    return EXIT_DONE;
}

int axes_solve(Axes *x) {
    int code = find_lengths(x);
    for (uint32_t c = 0; code == EXIT_DONE && c < x->claims.n; c++)
        code = check_claim(x, &x->claims.data[c]);
    return code;
}

int axes_known(const Axes *x, const char *what, const Size *dims, uint32_t rank) {
    for (uint32_t d = 0; d < rank; d++)
        for (uint32_t i = 0; i < x->n; i++) {
            const char *name = size_axis_name(x->sizes, i);
            if (x->length[i] || !size_has_axis(x->sizes, dims[d], name)) continue;
            return failed(x->command, EXIT_USAGE,
                          "%s is %s, and nothing given says how long axis %s is: --axis %s=LENGTH",
                          what, dims_text(x->arena, x->sizes, dims, rank), name, name);
        }
    return EXIT_DONE;
}
