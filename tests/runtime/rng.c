/* First values: known bits, independence of order, distributions, orthogonality. */
#include <math.h>

#include "check.h"
#include "runtime/rng.h"

/* The vectors the authors of Philox publish with it. */
static void test_philox(void) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        rw_philox(known[i].counter, known[i].key, out);
        CHECK(memcmp(out, known[i].out, sizeof out) == 0, "vector %zu: %08x", i, out[0]);
    }
}

/* FNV-1a over the bits, to compare many numbers with one. */
static uint64_t digest(const double *x, size_t n) {
    uint64_t h = 0xcbf29ce484222325u, bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, &x[i], sizeof bits);
        h = (h ^ bits) * 0x100000001b3u;
    }
    return h;
}

/* Bits that must never change: a seed has to mean the same in every version, on every machine. */
static void test_known(void) {
    static double x[1001];
    rw_draw_uniform(42, "emb.weight", -1e-4, 1e-4, x, 1001);
    CHECK(digest(x, 1001) == 0x8d5a0d82d6890cfdu, "0x%016llx", (unsigned long long)digest(x, 1001));
    rw_draw_normal(42, "emb.weight", 0.02, x, 1001);
    CHECK(digest(x, 1001) == 0x258f1757283be563u, "0x%016llx", (unsigned long long)digest(x, 1001));
    rw_draw_trunc_normal(42, "emb.weight", 1.5, x, 1001);
    CHECK(digest(x, 1001) == 0x0b7bd21f24a54e27u, "0x%016llx", (unsigned long long)digest(x, 1001));
    CHECK(rw_draw_orthogonal(42, "emb.weight", 0.5, 77, 13, x, NULL) == RW_OK, "memory");
    CHECK(digest(x, 1001) == 0x3c8b00c3c819ec6cu, "0x%016llx", (unsigned long long)digest(x, 1001));
}

static void test_independence(void) {
    double a[7], b[5], c[7];
    rw_draw_normal(1, "w", 1, a, 7);
    rw_draw_normal(1, "w", 1, b, 5);
    CHECK(memcmp(a, b, sizeof b) == 0, "the first numbers do not depend on how many there are");
    rw_draw_normal(1, "v", 1, c, 7);
    CHECK(memcmp(a, c, sizeof a) != 0, "another name, other numbers");
    rw_draw_normal(2, "w", 1, c, 7);
    CHECK(memcmp(a, c, sizeof a) != 0, "another seed, other numbers");
    rw_draw_normal((uint64_t)1 << 32 | 1, "w", 1, c, 7);
    CHECK(memcmp(a, c, sizeof a) != 0, "all 64 bits of the seed count");
    rw_draw_normal(1, "w", 3, c, 7);
    for (int i = 0; i < 7; i++)
        CHECK(c[i] == 3 * a[i], "sigma is a factor");
    rw_draw_trunc_normal(1, "w", 0, c, 7);
    CHECK(c[0] == 0 && c[6] == 0, "no spread");
    rw_draw_trunc_normal(1, "w", NAN, c, 7);
    CHECK(c[0] != c[0], "no number stays none");
}

/* The share of the standard normal distribution below x. */
static double below(double x) {
    return 0.5 * erfc(-x / sqrt(2));
}

/* Largest distance of the numbers' distribution from `share` over n sorted numbers
 * (Kolmogorov and Smirnov); 1.95 / sqrt(n) is exceeded once in a thousand times. */
static int order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double distance(double *x, size_t n, double (*share)(double, double), double sigma) {
    double most = 0;
    qsort(x, n, sizeof *x, order);
    for (size_t i = 0; i < n; i++) {
        double p = share(x[i], sigma);
        most = fmax(most, fmax(fabs(p - (double)i / (double)n), fabs(p - (double)(i + 1) / (double)n)));
    }
    return most * sqrt((double)n);
}

static double share_uniform(double x, double width) {
    return x / width;
}

static double share_normal(double x, double sigma) {
    return below(x / sigma);
}

static double share_truncated(double x, double sigma) {
    return (below(x / sigma) - below(-2 / sigma)) / (below(2 / sigma) - below(-2 / sigma));
}

static void test_distributions(void) {
    enum { N = 200000 };
    double *x = malloc(N * sizeof *x), sum = 0, squares = 0, product = 0;
    rw_draw_normal(7, "n", 1, x, N);
    for (size_t i = 0; i < N; i++) {
        sum += x[i];
        squares += x[i] * x[i];
        product += x[i] * x[(i + 1) % N];
    }
    CHECK(fabs(sum / (double)N) < 0.01, "mean %g", sum / (double)N);
    CHECK(fabs(squares / (double)N - 1) < 0.015, "variance %g", squares / (double)N);
    CHECK(fabs(product / (double)N) < 0.01, "neighbours %g", product / (double)N);
    CHECK(distance(x, N, share_normal, 1) < 1.95, "normal");
    CHECK(x[0] < -4 && x[0] > -7 && x[N - 1] > 4 && x[N - 1] < 7, "tails %g %g", x[0], x[N - 1]);
    rw_draw_uniform(7, "u", 0, 3, x, N);
    CHECK(distance(x, N, share_uniform, 3) < 1.95, "uniform");
    CHECK(x[0] > 0 && x[N - 1] < 3, "open at both ends");
    const double sigmas[] = {0.02, 0.9, 1, 1.5, 1000};
    for (int k = 0; k < 5; k++) {
        rw_draw_trunc_normal(7, "t", sigmas[k], x, N);
        CHECK(distance(x, N, share_truncated, sigmas[k]) < 1.95, "truncated, sigma %g", sigmas[k]);
        CHECK(x[0] >= -2 && x[N - 1] <= 2, "cut at 2: %g %g", x[0], x[N - 1]);
    }
    free(x);
}

/* |Q^T Q - 1| over the shorter side, and R = Q^T A of the normal matrix A it came from: upper
 * triangular with a positive diagonal. */
static void check_orthogonal(size_t rows, size_t cols) {
    double *q = malloc(rows * cols * sizeof *q), *a = malloc(rows * cols * sizeof *a);
    rw_message m = {""};
    CHECK(rw_draw_orthogonal(5, "q", 2, rows, cols, q, &m) == RW_OK, "%s", m.text);
    rw_draw_normal(5, "q", 1, a, rows * cols);
    size_t n = rows < cols ? rows : cols, length = rows < cols ? cols : rows;
    size_t across = rows < cols ? cols : 1, along = rows < cols ? 1 : cols;
    double error = 0, lower = 0, least = 1;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double g = 0, r = 0;
            for (size_t k = 0; k < length; k++) {
                g += q[i * across + k * along] * q[j * across + k * along] / 4;
                r += q[i * across + k * along] * a[j * across + k * along] / 2;
            }
            error = fmax(error, fabs(g - (i == j)));
            if (i > j)
                lower = fmax(lower, fabs(r));
            if (i == j)
                least = fmin(least, r);
        }
    }
    CHECK(error < 1e-13, "[%zu,%zu]: %g from orthonormal", rows, cols, error);
    CHECK(lower < 1e-11 * (double)length, "[%zu,%zu]: R has %g below its diagonal", rows, cols, lower);
    CHECK(least > 0, "[%zu,%zu]: R has %g on its diagonal", rows, cols, least);
    free(q);
    free(a);
}

static void test_orthogonal(void) {
    static const size_t sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {2, 2}, {3, 5}, {5, 3}, {64, 64},
                                      {65, 65}, {130, 67}, {67, 130}, {200, 200}, {129, 1}, {260, 90}};
    rw_message m = {""};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_orthogonal(sizes[i][0], sizes[i][1]);
    CHECK(rw_draw_orthogonal(1, "q", 1, 0, 5, NULL, &m) == RW_OK, "nothing to do");
    CHECK(rw_draw_orthogonal(1, "q", 1, SIZE_MAX, 2, NULL, &m) == RW_BAD_ARG, "too large");
    CHECK(rw_draw_orthogonal(1, "q", 1, (size_t)1 << 31, (size_t)1 << 31, NULL, &m) == RW_BAD_ARG,
          "too large");
}

int main(void) {
    test_philox();
    test_known();
    test_independence();
    test_distributions();
    test_orthogonal();
    return finish();
}
