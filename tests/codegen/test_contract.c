/* Compiled matrix products against the float64 interpreter: layouts, odd sizes, run-time axes, batches,
 * what follows the sum, storage types; the same bits however the grid is cut; nothing touched that is
 * not ours. Every target this machine can run. */
#define _DEFAULT_SOURCE /* mmap of anonymous memory, syscall */
#include "contract_world.h"

#include "compiler/interp.h"

#include <math.h>
#include <sys/syscall.h>

typedef struct Case {
    const char *text;
    uint32_t stored;
    int64_t axes[6][2]; /* lengths of the axes of the text, in order; 0 ends */
} Case;

#define HEAD "graph \"t\"\naxis B, T\n"
#define IN(n, type) "input %" #n " \"x" #n "\": real " type "\n"
#define LAST(n) "output result \"y\" %" #n "\n"

/* clang-format off */
static const Case cases[] = {
    /* linear layers: weights [N, K], of every type; rows from one to many */
    {HEAD IN(1, "[96, 80]") IN(2, "[B, T, 80]")
     "%3: real [B, T, 96] = sum[i3: 80] %1[i2, i3]*%2[i0, i1, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 5}, {2, 4}, {1, 17}, {3, 50}, {1, 300}}},
    {HEAD IN(1, "bf16 [97, 300]") IN(2, "[B, T, 300]")
     "%3: real [B, T, 97] = sum[i3: 300] %1[i2, i3]*%2[i0, i1, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 3}, {2, 4}, {1, 17}, {1, 50}, {3, 60}}},
    {HEAD IN(1, "f16 [33, 77]") IN(2, "[B, T, 77]")
     "%3: real [B, T, 33] = sum[i3: 77] %1[i2, i3]*%2[i0, i1, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 7}, {1, 9}, {2, 31}}},
    /* weights [K, N] (low-rank pairs), and what follows: bias, tanh, the one before kept as well */
    {HEAD IN(1, "[80, 72]") IN(2, "[B, T, 80]") IN(3, "[72]")
     "%4: real [B, T, 72] = sum[i3: 80] %2[i0, i1, i3]*%1[i3, i2]\n"
     "%5: real [B, T, 72] = tanh(%4[i0, i1, i2] + %3[i2])\n"
     "%6: real bf16 [B, T, 72] = %5[i0, i1, i2]*%4[i0, i1, i2]\n"
     LAST(6),
     2, {{1, 1}, {2, 3}, {1, 8}, {5, 11}}},
    {HEAD IN(1, "bf16 [65, 300]") IN(2, "bf16 [B, T, 65]")
     "%3: real bf16 [B, T, 300] = sum[i3: 65] %2[i0, i1, i3]*%1[i3, i2]\n"
     LAST(3),
     1, {{1, 1}, {1, 6}, {1, 40}, {2, 65}}},
    {HEAD IN(1, "f16 [270, 37]") IN(2, "f16 [B, T, 270]")
     "%3: real [B, T, 37] = sum[i3: 270] %2[i0, i1, i3]*%1[i3, i2]\n"
     LAST(3),
     1, {{1, 1}, {2, 2}, {3, 19}}},
    /* gradient of weights: both factors lie along the points, the sum is over two run-time axes */
    {HEAD IN(1, "[B, T, 50]") IN(2, "[B, T, 40]")
     "%3: real [50, 40] = sum[i2: B, i3: T] %1[i2, i3, i0]*%2[i2, i3, i1]\n"
     LAST(3),
     1, {{1, 1}, {2, 9}, {1, 300}, {3, 111}}},
    {HEAD IN(1, "bf16 [B, T, 37]") IN(2, "[B, T, 45]")
     "%3: real [37, 45] = sum[i2: B, i3: T] %1[i2, i3, i0]*%2[i2, i3, i1]\n"
     LAST(3),
     1, {{1, 1}, {2, 9}, {1, 300}, {3, 111}}},
    /* gradient of the input: weights across; one step ahead */
    {HEAD IN(1, "[96, 80]") IN(2, "[B, T + 1, 96]")
     "%3: real [B, T, 80] = sum[i3: 96] %1[i3, i2]*%2[i0, i1 + 1, i3]\n"
     LAST(3),
     1, {{1, 1}, {2, 3}, {2, 31}}},
    {HEAD IN(1, "bf16 [96, 80]") IN(2, "[B, T + 1, 96]")
     "%3: real [B, T, 80] = sum[i3: 96] %1[i3, i2]*%2[i0, i1 + 1, i3]\n"
     LAST(3),
     1, {{1, 1}, {2, 3}, {2, 31}}},
    /* heads as batch: attention scores and their use, both orders of axes */
    {HEAD IN(1, "[B, 6, T, 24]") IN(2, "[T]")
     "%3: real [B, 3, T, T] = sum[i4: 24] %1[i0, i1, i2, i4]*%1[i0, i1 + 3, i3, i4]\n"
     "%4: real [B, 3, T, T] = %3[i0, i1, i2, i3]*0.25 - %2[i2]\n"
     LAST(4),
     1, {{1, 1}, {2, 7}, {2, 33}}},
    {HEAD IN(1, "[B, 3, T, T]") IN(2, "[B, T, 72]")
     "%3: real [B, T, 3, 24] = sum[i4: T] %1[i0, i2, i1, i4]*%2[i0, i4, i2*24 + i3]\n"
     LAST(3),
     1, {{1, 1}, {2, 7}, {2, 65}}},
    /* heads in the columns, of odd size; the rows' axis last */
    {HEAD IN(1, "[60, 64]") IN(2, "[B, 64, T]")
     "%3: real [B, T, 5, 12] = sum[i4: 64] %1[i2*12 + i3, i4]*%2[i0, i4, i1]\n"
     LAST(3),
     1, {{1, 1}, {1, 6}, {3, 19}}},
    {HEAD IN(1, "[60, 64]") IN(2, "[B, T, 64]")
     "%3: real [60, B, T] = sum[i3: 64] %1[i0, i3]*%2[i1, i2, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 6}, {3, 19}}},
    /* convolution without a border: sums over three axes, points that join no axes */
    {HEAD IN(1, "[10, 4, 3, 3]") IN(2, "[B, 4, T + 2, 14]")
     "%3: real [B, 10, T, 12] = sum[i4: 4, i5: 3, i6: 3] %1[i1, i4, i5, i6]*%2[i0, i4, i2 + i5, i3 + i6]\n"
     LAST(3),
     1, {{1, 1}, {2, 9}}},
    {HEAD IN(1, "bf16 [3, 16, 1, 1]") IN(2, "[B, 16, T, 12]")
     "%3: real [B, 3, T, 12] = sum[i4: 16, i5: 1, i6: 1] %1[i1, i4, i5, i6]*%2[i0, i4, i2 + i5, i3 + i6]\n"
     LAST(3),
     1, {{1, 1}, {2, 9}}},
    /* strided terms; sums of several blocks and a rest, of more blocks than are packed at once; single points */
    {HEAD IN(1, "[40, 1200]") IN(2, "[B, T, 1200]")
     "%3: real [B, T, 40] = sum[i3: 600] %1[i2, i3*2]*%2[i0, i1, i3*2 + 1]\n"
     LAST(3),
     1, {{1, 1}, {1, 30}}},
    {HEAD IN(1, "[B, 770]") IN(2, "[T, 770]")
     "%3: real [T, B] = sum[i2: 770] %1[i1, i2]*%2[i0, i2]\n"
     LAST(3),
     1, {{1, 1}, {1, 40}, {40, 1}, {530, 60}, {600, 4}}},
    {HEAD IN(1, "bf16 [B, 770]") IN(2, "[T, 770]")
     "%3: real [T, B] = sum[i2: 770] %1[i1, i2]*%2[i0, i2]\n"
     LAST(3),
     1, {{1, 1}, {1, 40}, {40, 1}, {530, 60}, {600, 4}}},
    {HEAD IN(1, "bf16 [70, B]") IN(2, "[T, B]")
     "%3: real [T, 70] = sum[i2: B] %1[i1, i2]*%2[i0, i2]\n"
     LAST(3),
     1, {{1300, 70}, {1025, 5}, {1023, 9}}},
    /* several rectangles of rows and of columns in every target */
    {HEAD IN(1, "bf16 [1100, 33]") IN(2, "[T, B, 33]")
     "%3: real [T, 1100] = sum[i2: B, i3: 33] %1[i1, i3]*%2[i0, i2, i3]\n"
     LAST(3),
     1, {{1, 530}, {2, 40}}},
};
/* clang-format on */
enum { CASES = sizeof cases / sizeof *cases };

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
