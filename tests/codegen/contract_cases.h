/* Graphs of one matrix product: layouts, odd sizes, run-time axes, batches, what follows the sum, storage
 * types. */
#ifndef RWKVC_CONTRACT_CASES_H
#define RWKVC_CONTRACT_CASES_H

#include <stdint.h>

typedef struct Case {
    const char *text;
    uint32_t stored;
    int64_t axes[6][2]; /* lengths of the axes of the text, in order; 0 ends */
} Case;

#define HEAD        "graph \"t\"\naxis B, T\n"
#define IN(n, type) "input %" #n " \"x" #n "\": real " type "\n"
#define LAST(n)     "output result \"y\" %" #n "\n"

/* clang-format off */
static const Case cases[] = {
    /* a row a sample, as in decoding: weights [N, K] and [K, N], what follows, odd sizes, products of samples alone */
    {HEAD IN(1, "[96, 256]") IN(2, "[T, 256]") IN(3, "[T, 96]")
     "%4: real [T, 96] = sum[i2: 256] %1[i1, i2]*%2[i0, i2]\n%5: real [T, 96] = %3[i0, i1] + tanh(%4[i0, i1])\n"
     LAST(5),
     1, {{1, 1}, {1, 2}, {1, 16}, {1, 21}}},
    {HEAD IN(1, "bf16 [40, 1024]") IN(2, "[T, 1024]")
     "%3: real [T, 40] = sum[i2: 1024] %1[i1, i2]*%2[i0, i2]\n"
     LAST(3),
     1, {{1, 1}, {1, 5}, {1, 35}}},
    {HEAD IN(1, "bf16 [77, 33]") IN(2, "[T, 77]")
     "%3: real [T, 33] = sum[i2: 77] %1[i2, i1]*%2[i0, i2]\n"
     LAST(3),
     1, {{1, 1}, {1, 19}}},
    {HEAD IN(1, "[3, 53, 45]") IN(2, "[T, 3, 53]")
     "%3: real [T, 3, 45] = sum[i3: 53] %1[i1, i3, i2]*%2[i0, i1, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 18}}},
    /* linear layers: weights [N, K], of every type; rows from one to many */
    {HEAD IN(1, "[96, 80]") IN(2, "[B, T, 80]")
     "%3: real [B, T, 96] = sum[i3: 80] %1[i2, i3]*%2[i0, i1, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 5}, {2, 4}, {1, 17}, {3, 50}, {1, 300}}},
    {HEAD IN(1, "bf16 [97, 300]") IN(2, "[B, T, 300]")
     "%3: real [B, T, 97] = sum[i3: 300] %1[i2, i3]*%2[i0, i1, i3]\n"
     LAST(3),
     1, {{1, 1}, {1, 3}, {2, 4}, {1, 17}, {3, 60}, {1, 1300}}},
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
    {HEAD IN(1, "[B, T, 150]") IN(2, "[B, T, 40]")
     "%3: real [150, 40] = sum[i2: B, i3: T] %1[i2, i3, i0]*%2[i2, i3, i1]\n"
     LAST(3),
     1, {{1, 1}, {2, 9}, {1, 300}, {3, 411}}},
    {HEAD IN(1, "bf16 [B, T, 87]") IN(2, "[B, T, 45]")
     "%3: real [87, 45] = sum[i2: B, i3: T] %1[i2, i3, i0]*%2[i2, i3, i1]\n"
     LAST(3),
     1, {{1, 1}, {2, 9}, {1, 300}, {3, 411}}},
    /* rows that wait, packed, for several panels of columns; the sums of a rectangle that wait for terms */
    {HEAD IN(1, "bf16 [900, T]") IN(2, "bf16 [T, B]")
     "%3: real [B, 900] = sum[i2: T] %1[i1, i2]*%2[i2, i0]\n"
     LAST(3),
     1, {{70, 130}, {70, 1100}, {9, 40}}},
    {HEAD IN(1, "[T, 600]") IN(2, "bf16 [B, T]")
     "%3: real [B, 600] = sum[i2: T] %1[i2, i1]*%2[i0, i2]\n"
     LAST(3),
     1, {{70, 130}, {70, 1100}, {9, 40}}},
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

#undef HEAD
#undef IN
#undef LAST

#endif
