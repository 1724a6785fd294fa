/* Compiled matrix products against the float64 interpreter: layouts, odd sizes, run-time axes, batches,
 * what follows the sum, storage types; the same bits however the grid is cut; nothing touched that is
 * not ours. Every target this machine can run. */
#define _DEFAULT_SOURCE /* mmap of anonymous memory, syscall */
#include "contract_cases.h"
#include "contract_world.h"

#include "compiler/interp.h"

#include <math.h>
#include <sys/syscall.h>

static int failed(int add) {
    static int n;
    return n += add;
}

/* ---- one run --------------------------------------------------------------------------------------- */

typedef struct Run {
    Product *p;
    const int64_t *axes;
    void *args[WORLD_ARGS];
    size_t items[WORLD_ARGS], bytes[WORLD_ARGS];
    double *real[WORLD_ARGS]; /* the inputs as the interpreter has them */
    int64_t sizes[64], grid;
    size_t scratch_bytes;
    void *scratch;
    Interp *in;
} Run;

static uint8_t run_dtype(const Run *r, uint32_t arg) { return r->p->plan->bufs.data[arg].dtype; }

static const char *run_begin(Run *r, Product *p, const int64_t *axes) {
    *r = (Run){.p = p, .axes = axes};
    const Kernel *k = &p->plan->kernels.data[0];
    r->in = interp_new(p->g, NULL);
    const char *error = NULL;
    for (uint32_t i = 0; i < size_axes(p->g->sizes) && !error; i++)
        error = interp_axis(r->in, size_axis_name(p->g->sizes, i), axes[i]);
    uint64_t seed = 7;
    for (uint32_t i = 0; i < k->arg_values.n && !error; i++) {
        const ValueInfo *v = graph_value(p->g, k->arg_values.data[i]);
        Array array = {.type = T_REAL, .rank = v->rank};
        r->items[i] = 1;
        for (uint32_t j = 0; j < v->rank; j++) {
            array.dims[j] = product_size(p, v->dims[j], axes);
            r->items[i] *= (size_t)array.dims[j];
        }
        r->bytes[i] = r->items[i] * (run_dtype(r, i) == DT_F32 ? 4 : 2);
        r->args[i] = guarded(r->bytes[i], 64, 0xff);
        if (k->arg_writes.data[i]) continue;
        array.real = r->real[i] = malloc(8 * r->items[i]);
        for (size_t j = 0; j < r->items[i]; j++) {
            r->real[i][j] = (double)number_of(&seed);
            put_real(r->args[i], j, run_dtype(r, i), (float)r->real[i][j]);
        }
        error = interp_bind(r->in, k->arg_values.data[i], &array);
    }
    for (uint32_t i = 0; i < p->code.sizes.n; i++)
        r->sizes[i] = product_size(p, p->code.sizes.data[i], axes);
    r->grid = product_size(p, p->code.grid, axes);
    r->scratch_bytes = (size_t)product_size(p, p->code.scratch, axes);
    r->scratch = guarded(r->scratch_bytes, 0, 0xff);
    return error ? error : interp_run(r->in);
}

static void run_end(Run *r) {
    for (uint32_t i = 0; i < r->p->plan->bufs.n; i++) {
        guarded_free(r->args[i], r->bytes[i], 64);
        free(r->real[i]);
    }
    guarded_free(r->scratch, r->scratch_bytes, 0);
    interp_free(r->in);
}

static void run_part(Run *r, int64_t begin, int64_t end) {
    int64_t levels[WORLD_LEVELS] = {0};
    memset(r->scratch, 0xff, r->scratch_bytes);
    r->p->fn(r->args, r->sizes, levels, r->scratch, begin, end);
}

static bool is_output(const Run *r, uint32_t i) {
    return r->p->plan->bufs.data[i].role == ROLE_OUTPUT;
}

/* ---- checks ------------------------------------------------------------------------------------------ */

static void wrong(const char *target, int c, const int64_t *axes, const char *what, double a,
                  double b) {
    printf("%s: case %d, axes %lld %lld: %s (%.9g, %.9g)\n", target, c, (long long)axes[0],
           (long long)axes[1], what, a, b);
    failed(1);
}

static void check_numbers(const Run *r, const char *target, int c) {
    for (uint32_t i = 0; i < r->p->plan->bufs.n; i++) {
        if (!is_output(r, i)) continue;
        const unsigned char *after = (const unsigned char *)r->args[i] + r->bytes[i];
        for (int j = 0; j < 64; j++)
            if (after[j] != 0xff) {
                wrong(target, c, r->axes, "written past the end", j, after[j]);
                return;
            }
        const Array *want = interp_get(r->in, r->p->plan->bufs.data[i].value);
        if (!want) continue; /* only the last equation is an output of the graph */
        double bar = run_dtype(r, i) == DT_F32 ? 2e-5 : 8e-3;
        for (size_t j = 0; j < r->items[i]; j++) {
            double got = (double)real_of(r->args[i], j, run_dtype(r, i));
            if (!(fabs(got - want->real[j]) <= bar * (1 + fabs(want->real[j])))) {
                wrong(target, c, r->axes, "not the number", got, want->real[j]);
                return;
            }
        }
    }
}

/* The grid in pieces, last first: the same bits. */
static void check_pieces(Run *r, const char *target, int c, int64_t piece) {
    void *kept[WORLD_ARGS] = {NULL};
    for (uint32_t i = 0; i < r->p->plan->bufs.n; i++) {
        if (!is_output(r, i)) continue;
        kept[i] = malloc(r->bytes[i]);
        memcpy(kept[i], r->args[i], r->bytes[i]);
        memset(r->args[i], 0xff, r->bytes[i]);
    }
    for (int64_t end = r->grid; end > 0; end -= piece)
        run_part(r, end > piece ? end - piece : 0, end);
    for (uint32_t i = 0; i < r->p->plan->bufs.n; i++) {
        if (kept[i] && memcmp(kept[i], r->args[i], r->bytes[i]))
            wrong(target, c, r->axes, "other bits in pieces", (double)piece, (double)r->grid);
        free(kept[i]);
    }
}

static void check_case(Product *p, const char *target, int c) {
    for (int i = 0; i < 6 && cases[c].axes[i][0]; i++) {
        Run r;
        const char *error = run_begin(&r, p, cases[c].axes[i]);
        if (error) {
            printf("%s: case %d: %s\n", target, c, error);
            failed(1);
        } else {
            run_part(&r, 0, r.grid);
            check_numbers(&r, target, c);
            check_pieces(&r, target, c, 1);
            if (r.grid > 3) check_pieces(&r, target, c, r.grid / 2 + 1);
            if (r.grid > 30) check_pieces(&r, target, c, 7);
        }
        run_end(&r);
    }
}

static bool runs_here(const TargetInfo *t) {
    const TargetInfo *native = target_find("native");
    if (t->lanes > native->lanes || (t->amx && !native->amx)) return false;
    return !t->amx || syscall(SYS_arch_prctl, 0x1023, 18) == 0; /* leave to use the tile unit */
}

static void check_target(const char *name) {
    const TargetInfo *t = target_find(name);
    if (!t || !runs_here(t)) return;
    Product p[CASES] = {{0}};
    for (int i = 0; i < CASES; i++) {
        const char *error = product_read(&p[i], cases[i].text);
        if (error) {
            printf("case %d: %s\n", i, error);
            failed(1);
            return;
        }
        product_plan(&p[i], arena_printf(p[i].arena, "case%d", i), cases[i].stored);
    }
    Arena *a = arena_new();
    if (products_make(a, p, CASES, t)) failed(1);
    for (int i = 0; i < CASES; i++) {
        if (!failed(0)) check_case(&p[i], name, i);
        arena_free(p[i].arena);
    }
    arena_free(a);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        check_target(argv[1]);
    } else {
        check_target("x86-64-v3");
        check_target("x86-64-v4");
        check_target("x86-64-amx");
    }
    return failed(0) != 0;
}
