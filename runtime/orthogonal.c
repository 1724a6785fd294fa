/* Matrices with orthonormal columns: the Q of a normal matrix A [m,n], m >= n, whose R has a
 * positive diagonal. There is one such Q, whatever the method; here R is the Cholesky factor of
 * A^T A and Q = A R^-1, all of it matrix products over one small kernel. That is exact to rounding
 * while A is well conditioned, as a tall normal matrix is; a nearly square one is done twice, since
 * the Q of the first time is nearly orthonormal already (Cholesky QR 2, and shifted Cholesky QR
 * where a pivot is lost; Fukaya et al. 2020). Cost: 2 m n^2 operations a time.
 *
 * Vectors are of GCC's and clang's kind: they say which operations are done, on any machine. */
#include "rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { W = 4, PANEL = 128, BLOCK = 64, ROWS = 32 };

typedef double vec __attribute__((vector_size(W * sizeof(double))));

/* A square matrix of order n, n a multiple of W; kept in strips of W columns: element (i,j) is at
 * [j / W][i][j % W]. So are the panels of A. */
typedef struct work {
    size_t m, n, order; /* order = n rounded up to W: the added columns are those of identity */
    double *a;          /* [m,n], C order */
    double *r;          /* order * order, in strips: A^T A, then R */
    double *inverse;    /* order * BLOCK: the inverses of R's diagonal blocks, in strips */
    double *panel;      /* PANEL * order, in strips */
    double *rows;       /* ROWS / W groups of order * W */
} work;

/* acc[i][j] = sum over k of x[k][i] * y[k][j], W by W */
static void multiply(const double *x, const double *y, size_t n, vec acc[W]) {
    vec c0 = {0}, c1 = {0}, c2 = {0}, c3 = {0};
    for (size_t k = 0; k < n; k++, x += W, y += W) {
        vec b;
        memcpy(&b, y, sizeof b);
        c0 += x[0] * b;
        c1 += x[1] * b;
        c2 += x[2] * b;
        c3 += x[3] * b;
    }
    acc[0] = c0;
    acc[1] = c1;
    acc[2] = c2;
    acc[3] = c3;
}

static double *strip_of(double *matrix, size_t rows, size_t strip) {
    return matrix + strip * rows * W;
}

/* The W by W tile of r that begins at row i, in strip j, takes sign * acc. */
static void add_tile(work *w, size_t i, size_t strip, const vec acc[W], double sign) {
    double *tile = strip_of(w->r, w->order, strip) + i * W;
    for (int k = 0; k < W; k++) {
        vec t;
        memcpy(&t, tile + k * W, sizeof t);
        t += sign * acc[k];
        memcpy(tile + k * W, &t, sizeof t);
    }
}

/* r += sign * P^T P for a panel of n rows, in the strips from `first` on; upper tiles only. */
static void add_products(work *w, size_t n, size_t first, double sign) {
    vec acc[W];
    for (size_t j = first; j < w->order / W; j++) {
        for (size_t i = first; i <= j; i++) {
            multiply(strip_of(w->panel, PANEL, i), strip_of(w->panel, PANEL, j), n, acc);
            add_tile(w, i * W, j, acc, sign);
        }
    }
}

/* r = A^T A, and 1 on the diagonal of the added columns */
static void square(work *w) {
    memset(w->r, 0, w->order * w->order * sizeof *w->r);
    memset(w->panel, 0, PANEL * w->order * sizeof *w->panel);
    for (size_t at = 0; at < w->m; at += PANEL) {
        size_t n = w->m - at < PANEL ? w->m - at : PANEL;
        for (size_t j = 0; j < w->n; j++)
            for (size_t k = 0; k < n; k++)
                strip_of(w->panel, PANEL, j / W)[k * W + j % W] = w->a[(at + k) * w->n + j];
        add_products(w, n, 0, 1);
    }
    for (size_t j = w->n; j < w->order; j++)
        strip_of(w->r, w->order, j / W)[j * W + j % W] = 1;
}

static double *element(work *w, size_t i, size_t j) {
    return &strip_of(w->r, w->order, j / W)[i * W + j % W];
}

/* Row k of r, all rows before it in the same block being done, becomes a row of R. */
static bool finish_row(work *w, size_t block, size_t k, double least) {
    for (size_t i = block; i < k; i++) {
        double f = *element(w, i, k);
        for (size_t j = k; j < w->order; j++)
            *element(w, k, j) -= f * *element(w, i, j);
    }
    double pivot = *element(w, k, k);
    if (!(pivot > least))
        return false;
    double root = sqrt(pivot);
    *element(w, k, k) = root;
    for (size_t j = k + 1; j < w->order; j++)
        *element(w, k, j) /= root;
    return true;
}

/* r becomes R with R^T R = r, block by block of rows: a block is finished by itself, then what it
 * adds to all that follows is taken off. False if a pivot is lost in rounding. */
static bool factor(work *w) {
    double most = 0;
    for (size_t k = 0; k < w->n; k++)
        most = *element(w, k, k) > most ? *element(w, k, k) : most;
    double least = most * (double)w->n * 0x1p-50;
    for (size_t block = 0; block < w->order; block += BLOCK) {
        size_t end = block + BLOCK < w->order ? block + BLOCK : w->order;
        for (size_t k = block; k < end; k++)
            if (!finish_row(w, block, k, k < w->n ? least : 0))
                return false;
        for (size_t s = end / W; s < w->order / W; s++)
            memcpy(strip_of(w->panel, PANEL, s), strip_of(w->r, w->order, s) + block * W,
                   (end - block) * W * sizeof(double));
        if (end < w->order)
            add_products(w, end - block, end / W, -1);
    }
    return true;
}

/* The inverse T of the diagonal block of R from `at` on: R T = 1, column by column, upwards. */
static void invert_block(work *w, size_t at) {
    size_t n = w->order - at < BLOCK ? w->order - at : BLOCK;
    double *t = w->inverse + at * BLOCK;
    memset(t, 0, BLOCK * BLOCK * sizeof *t);
    for (size_t j = 0; j < n; j++) {
        double *column = t + j / W * BLOCK * W + j % W;
        for (size_t i = j + 1; i-- > 0;) {
            double x = i == j ? 1 : 0;
            for (size_t k = i + 1; k <= j; k++)
                x -= *element(w, at + i, at + k) * column[k * W];
            column[i * W] = x / *element(w, at + i, at + i);
        }
    }
}

/* One group of W rows of A in `rows` [order][W]: block `at` of X R = A, those before being done. */
static void solve_block(work *w, double *rows, size_t at) {
    size_t n = w->order - at < BLOCK ? w->order - at : BLOCK;
    double rest[BLOCK * W];
    vec acc[W];
    for (size_t j = 0; j < n; j += W) {
        multiply(rows, strip_of(w->r, w->order, (at + j) / W), at, acc);
        for (size_t k = 0; k < W; k++)
            for (size_t i = 0; i < W; i++)
                rest[(j + k) * W + i] = rows[(at + j + k) * W + i] - acc[i][k];
    }
    for (size_t j = 0; j < n; j += W) {
        multiply(rest, w->inverse + at * BLOCK + j / W * BLOCK * W, j + W, acc);
        for (size_t k = 0; k < W; k++)
            for (size_t i = 0; i < W; i++)
                rows[(at + j + k) * W + i] = acc[i][k];
    }
}

/* ROWS rows of A from `at` on, into groups of W or back. */
static void move_rows(work *w, size_t at, bool is_back) {
    for (size_t r = 0; r < ROWS && at + r < w->m; r++) {
        double *group = w->rows + r / W * w->order * W + r % W, *row = w->a + (at + r) * w->n;
        for (size_t j = 0; j < w->n; j++) {
            if (is_back)
                row[j] = group[j * W];
            else
                group[j * W] = row[j];
        }
    }
}

/* A = A R^-1 */
static void solve(work *w) {
    for (size_t at = 0; at < w->order; at += BLOCK)
        invert_block(w, at);
    memset(w->rows, 0, ROWS * w->order * sizeof *w->rows);
    for (size_t at = 0; at < w->m; at += ROWS) {
        move_rows(w, at, false);
        for (size_t block = 0; block < w->order; block += BLOCK)
            for (size_t g = 0; g < ROWS / W; g++)
                solve_block(w, w->rows + g * w->order * W, block);
        move_rows(w, at, true);
    }
}

/* Largest over smallest number on R's diagonal: near 1 when A was nearly orthonormal. */
static double spread(work *w) {
    double least = *element(w, 0, 0), most = least;
    for (size_t k = 1; k < w->n; k++) {
        double x = *element(w, k, k);
        least = x < least ? x : least;
        most = x > most ? x : most;
    }
    return most / least;
}

/* Lost pivots: adds to the diagonal what rounding may have taken. */
static void shift(work *w) {
    double trace = 0;
    for (size_t k = 0; k < w->n; k++)
        trace += *element(w, k, k);
    double s = 11 * ((double)w->m + (double)w->n + 1) * (double)w->n * 0x1p-53 * trace;
    for (size_t k = 0; k < w->n; k++)
        *element(w, k, k) += s;
}

static void orthonormalize(work *w) {
    for (int pass = 0; pass < 8; pass++) {
        square(w);
        bool is_sound = factor(w);
        if (!is_sound) {
            square(w);
            shift(w);
            if (!factor(w))
                return; /* no normal matrix: only zeros or infinities get here */
        }
        solve(w);
        if (is_sound && spread(w) < 2)
            return;
    }
}

static void transpose(const double *src, double *dst, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            dst[c * rows + r] = src[r * columns + c];
}

rw_status rw_draw_orthogonal(uint64_t seed, const char *name, double gain, size_t rows,
                             size_t cols, double *dst, rw_message *m) {
    bool is_wide = rows < cols;
    work w = {.m = is_wide ? cols : rows, .n = is_wide ? rows : cols, .a = dst};
    size_t count;
    if (__builtin_mul_overflow(rows, cols, &count) || count > (size_t)1 << 48)
        return rw_fail(m, RW_BAD_ARG, "%s: an orthogonal matrix [%zu,%zu] is too large", name, rows,
                       cols);
    if (count == 0)
        return RW_OK;
    w.order = (w.n + W - 1) / W * W;
    size_t blocks = (w.order + BLOCK - 1) / BLOCK;
    size_t n = w.order * w.order + blocks * BLOCK * BLOCK + (PANEL + ROWS) * w.order;
    double *memory = malloc((n + (is_wide ? count : 0)) * sizeof *memory);
    if (memory == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory to make [%zu,%zu] orthogonal", name, rows,
                       cols);
    w.r = memory;
    w.inverse = w.r + w.order * w.order;
    w.panel = w.inverse + blocks * BLOCK * BLOCK;
    w.rows = w.panel + PANEL * w.order;
    rw_draw_normal(seed, name, 1, dst, count);
    if (is_wide) {
        w.a = memory + n;
        transpose(dst, w.a, rows, cols);
    }
    orthonormalize(&w);
    if (is_wide)
        transpose(w.a, dst, cols, rows);
    for (size_t i = 0; i < count; i++)
        dst[i] *= gain;
    free(memory);
    return RW_OK;
}
