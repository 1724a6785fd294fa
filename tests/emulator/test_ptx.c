/* The emulator of NVIDIA's processors: every row of its tables, memory, warps that part, matrix products, and every
 * check provoked once. */
#include "ptx_rig.h"

#include <stdio.h>

int main(void) {
    int bad =
        ptx_test_rows() + ptx_test_memory() + ptx_test_warps() + ptx_test_mma() + ptx_test_checks();
    bad += ptx_rig_missing();
    if (bad > 0) printf("%d wrong\n", bad);
    return bad > 0;
}
