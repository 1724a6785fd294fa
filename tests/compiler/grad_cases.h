/* The cases of test_grad.c; the shorthand is at its head. */

static const Case cases[] = {
    /* ---- affine reads ------------------------------------------------------------------------ */
    {.name = "stride 2",
     .text = "w 1 [11]\n"
             "%2: real [5] = %1[2*i0 + 1]\n"
             "loss 2 [5]\n"},
    {.name = "stride 3",
     .text = "w 1 [14]\n"
             "%2: real [4] = %1[3*i0 + 2]\n"
             "loss 2 [4]\n"},
    {.name = "stride T",
     .text = "w 1 [20]\n"
             "%2: real [4] = %1[i0*T]\n"
             "loss 2 [4]\n"},
    {.name = "backward",
     .text = "w 1 [T]\n"
             "%2: real [T] = %1[{T - 1} - i0]\n"
             "loss 2 [T]\n"},
    {.name = "last",
     .text = "w 1 [T, 3]\n"
             "%2: real [3] = %1[{T - 1}, i0]\n"
             "loss 2 [3]\n"},
    {.name = "diagonal",
     .text = "w 1 [T, T]\n"
             "%2: real [T] = %1[i0, i0]*%1[{T - 1} - i0, i0]\n"
             "loss 2 [T]\n"},
    {.name = "band",
     .text = "w 1 [5, 7]\n"
             "%2: real [5, 3] = %1[i0, i0 + i1]\n"
             "loss 2 [5, 3]\n"},
    {.name = "sum of three",
     .text = "w 1 [30]\n"
             "%2: real [5, 3, 4] = %1[3*i0 + 2*i1 + i2]\n"
             "loss 2 [5, 3, 4]\n"},
    {.name = "broadcast",
     .text = "w 1 [3]\n"
             "w 2 []\n"
             "%3: real [T, 3] = %1[i1]*%2[]\n"
             "loss 3 [T, 3]\n"},
    {.name = "transposed",
     .text = "w 1 [3, T]\n"
             "%2: real [T, 3] = exp(%1[i1, i0])\n"
             "loss 2 [T, 3]\n"},
    {.name = "window",
     .text = "w 1 [3]\n"
             "w 2 [11]\n"
             "%3: real [6] = sum[i1: 3] %1[i1]*select(0 <= 2*i0 + i1 - 1 and 2*i0 + i1 - 1 < 11, "
             "%2[2*i0 + i1 - 1], 0.0)\n"
             "loss 3 [6]\n"},
    /* 2 groups of 3 inputs and 2 outputs, stride 2 */
    {.name = "convolution", .scatters = 0,
     .text = "w 1 [4, 3, 3, 3]\n"
             "w 2 [B, 6, 7, T]\n"
             "%3: real [B, 4, 4, 3] = sum[i4: 3, i5: 3, i6: 3] %1[i1, i4, i5, i6]*select(2*i2 + "
             "i5 >= 1 and 2*i2 + i5 < 8 and 2*i3 + i6 >= 1 and 2*i3 + i6 < T + 1, %2[i0, i1//2*3 "
             "+ i4, 2*i2 + i5 - 1, 2*i3 + i6 - 1], 0.0)\n"
             "loss 3 [B, 4, 4, 3]\n"},
    {.name = "patches",
     .text = "w 1 [2, 3, 2, 2]\n"
             "w 2 [3, 6, 4]\n"
             "%3: real [2, 3, 2] = sum[i3: 3, i4: 2, i5: 2] %1[i0, i3, i4, i5]*%2[i3, 2*i1 + i4, "
             "2*i2 + i5]\n"
             "loss 3 [2, 3, 2]\n"},
    {.name = "transposed convolution",
     .text = "w 1 [3, 2, 2, 2]\n"
             "w 2 [3, T, B]\n"
             "%3: real [2, 2*T, 2*B] = sum[i3: 3] %1[i3, i0, i1 % 2, i2 % 2]*%2[i3, i1//2, "
             "i2//2]\n"
             "loss 3 [2, 2*T, 2*B]\n"},
    {.name = "upsampling",
     .text = "w 1 [4, 3]\n"
             "%2: real [7, 9] = %1[i0//2, i1//3]\n"
             "loss 2 [7, 9]\n"},
    {.name = "upsampling shifted",
     .text = "w 1 [5]\n"
             "%2: real [8] = %1[(i0 + 1)//2]\n"
             "loss 2 [8]\n"},
    {.name = "upsampling cut",
     .text = "w 1 [9]\n"
             "%2: real [8] = %1[(i0 + 7)//2 + 1]\n"
             "loss 2 [8]\n"},
    {.name = "repeated",
     .text = "w 1 [3]\n"
             "%2: real [8] = %1[(i0 + 2) % 3]\n"
             "loss 2 [8]\n"},
    {.name = "split",
     .text = "w 1 [12]\n"
             "%2: real [3, 4] = %1[i0*4 + i1]^2.0\n"
             "loss 2 [3, 4]\n"},
    {.name = "join",
     .text = "w 1 [3, 4]\n"
             "%2: real [12] = %1[i0//4, i0 % 4]^2.0\n"
             "loss 2 [12]\n"},
    {.name = "join cut",
     .text = "w 1 [3, 4]\n"
             "%2: real [10] = %1[i0//4, i0 % 4]^2.0\n"
             "loss 2 [10]\n"},
    {.name = "join three",
     .text = "w 1 [2, 3, 4]\n"
             "%2: real [24] = %1[i0//12, i0//4 % 3, i0 % 4]^2.0\n"
             "loss 2 [24]\n"},
    {.name = "split three",
     .text = "w 1 [24]\n"
             "%2: real [2, 3, 4] = %1[i0*12 + i1*4 + i2]^2.0\n"
             "loss 2 [2, 3, 4]\n"},
    {.name = "raster",
     .text = "w 1 [2, T, J]\n"
             "%2: real [J*T, 2] = %1[i1, i0//J, i0 % J]^2.0\n"
             "loss 2 [J*T, 2]\n"},
    {.name = "grid",
     .text = "w 1 [J*T, 2]\n"
             "%2: real [2, T, J] = %1[i1*J + i2, i0]^2.0\n"
             "loss 2 [2, T, J]\n"},
    {.name = "two divisions",
     .text = "w 1 [4, 6]\n"
             "%2: real [12, B] = %1[i0//4, i0//2]\n"
             "loss 2 [12, B]\n"},
    {.name = "divisions that do not nest",
     .text = "w 1 [3, 2]\n"
             "%2: real [6] = %1[i0//2, i0 % 2]*%1[i0 % 3, i0//3]\n"
             "loss 2 [6]\n"},
    {.name = "regrouped",
     .text = "w 1 [4, 6]\n"
             "%2: real [6, 4] = %1[(i0*4 + i1)//6, (i0*4 + i1) % 6]\n"
             "loss 2 [6, 4]\n"},
    {.name = "difference divided",
     .text = "w 1 [6, 2]\n"
             "%2: real [5, 4] = %1[(i0 - i1)//2 + 2, (i0 - i1) % 2]\n"
             "loss 2 [5, 4]\n"},
    {.name = "concatenation",
     .text = "w 1 [3, T]\n"
             "w 2 [2, T]\n"
             "%3: real [5, T] = select(i0 < 3, %1[i0, i1]*2.0, exp(%2[i0 - 3, i1]))\n"
             "loss 3 [5, T]\n"},
    {.name = "concatenation in time",
     .text = "w 1 [3, 2]\n"
             "w 2 [T, 2]\n"
             "%3: real [T + 3, 2] = select(i0 < 3, %1[i0, i1], %2[i0 - 3, i1])\n"
             "%4: real [T, 2] = %3[i0 + 3, i1]*%3[i0, i1]\n"
             "loss 4 [T, 2]\n"},
    {.name = "shift",
     .text = "w 1 [T]\n"
             "%2: real [T] = %1[i0] + select(i0 >= 1, %1[i0 - 1]^2.0, 0.0)\n"
             "loss 2 [T]\n"},
    {.name = "index as a number",
     .text = "w 1 [T]\n"
             "%2: real [T] = sin(%1[i0]*real(i0))\n"
             "loss 2 [T]\n"},
    {.name = "random leaf",
     .text = "random 1\n"
             "w 1 [T]\n"
             "%2: real [T] = %1[i0]*random(0, i0)\n"
             "loss 2 [T]\n"},

    /* ---- gathers ----------------------------------------------------------------------------- */
    {.name = "embedding", .scatters = 1,
     .text = "k 1 7 [B, T]\n"
             "w 2 [7, 3]\n"
             "%3: real [B, T, 3] = %2[%1[i0, i1], i2]^2.0\n"
             "loss 3 [B, T, 3]\n"},
    {.name = "pick", .scatters = 0,
     .text = "k 1 7 [B, T]\n"
             "w 2 [B, T, 7]\n"
             "%3: real [B, T] = %2[i0, i1, %1[i0, i1]]^2.0\n"
             "loss 3 [B, T]\n"},
    {.name = "cross entropy", .scatters = 0, .stops = true,
     .text = "k 1 9 [B, T]\n"
             "w 2 [B, T, 7]\n"
             "%3: real [B, T] = max[i2: 7] %2[i0, i1, i2]\n"
             "%4: real [B, T] = sum[i2: 7] exp(%2[i0, i1, i2] - stop(%3[i0, i1]))\n"
             "%5: real [B, T] = stop(%3[i0, i1]) + log(%4[i0, i1]) - select(%1[i0, i1] >= 0 and "
             "%1[i0, i1] < 7, %2[i0, i1, %1[i0, i1]], 0.0)\n"
             "loss 5 [B, T]\n"},
    {.name = "guarded gather", .scatters = 1,
     .text = "k 1 9 [T]\n"
             "w 2 [7, 3]\n"
             "%3: real [T, 3] = select(%1[i0] < 7, log(%2[%1[i0], i1]), 1.0)\n"
             "loss 3 [T, 3]\n"},
    {.name = "guarded gather in a sum", .scatters = 1,
     .text = "k 1 7 [T]\n"
             "w 2 [T]\n"
             "w 3 [4, 3]\n"
             "%4: real [T, 3] = select(%1[i0] < 4, %2[i0]*%3[%1[i0], i1], 0.0)\n"
             "loss 4 [T, 3]\n"},
    {.name = "gather and offset", .scatters = 0,
     .text = "k 1 4 [T]\n"
             "w 2 [T, 7]\n"
             "%3: real [T, 3] = %2[i0, %1[i0] + i1]\n"
             "loss 3 [T, 3]\n"},
    {.name = "gather under a stride",
     .text = "k 1 3 [T]\n"
             "w 2 [2*T + 4, 3]\n"
             "%3: real [T] = %2[2*i0 + 1, %1[i0]]^2.0\n"
             "loss 3 [T]\n"},
    {.name = "stride after a gather",
     .text = "k 1 3 [T]\n"
             "w 2 [T, 3, 7]\n"
             "%3: real [T, 3] = %2[i0, %1[i0], 2*i1 + 1]^2.0\n"
             "loss 3 [T, 3]\n"},
    {.name = "gather of a gather", .scatters = 1,
     .text = "k 1 4 [T]\n"
             "k 2 3 [4]\n"
             "w 3 [3]\n"
             "%4: real [T] = %3[%2[%1[i0]]]^2.0\n"
             "loss 4 [T]\n"},
    {.name = "one gather",
     .text = "k 1 4 []\n"
             "w 2 [4, 3]\n"
             "%3: real [3] = %2[%1[], i0]\n"
             "loss 3 [3]\n"},
    {.name = "gather by argmax", .scatters = 1,
     .text = "w 1 [T, 4]\n"
             "w 2 [4]\n"
             "%3: int [T] = argmax[i1: 4] %1[i0, i1]\n"
             "%4: real [T] = %2[%3[i0]]*%1[i0, %3[i0]]\n"
             "loss 4 [T]\n"},
    {.name = "scatter", .scatters = 1,
     .text = "k 1 4 [T]\n"
             "w 2 [T, 3]\n"
             "%3: real [4, 3] = scatter [i0: T, i1: 3] at [%1[i0], i1] %2[i0, i1]^2.0\n"
             "loss 3 [4, 3]\n"},
    {.name = "gather over a sum", .scatters = 1,
     .text = "k 1 4 [T]\n"
             "w 2 [4, 3]\n"
             "w 3 [T, 3]\n"
             "%4: real [T] = sum[i1: 3] %2[%1[i0], i1]*%3[i0, i1]\n"
             "loss 4 [T]\n"},

    /* ---- scalar expressions ------------------------------------------------------------------ */
    {.name = "shared parts",
     .text = "w 1 [T]\n"
             "w 2 [T]\n"
             "%3: real [T] = exp(%1[i0]*%2[i0])*(%1[i0]*%2[i0]) + %1[i0]*%1[i0]\n"
             "loss 3 [T]\n"},
    {.name = "arms of a select",
     .text = "w 1 [T]\n"
             "w 2 [T]\n"
             "%3: real [T] = select(i0 < 2, log(%1[i0])*%2[i0], select(i0 == 3, %1[i0]/%2[i0], "
             "%2[i0]^2.0)*%1[i0])\n"
             "loss 3 [T]\n"},
    {.name = "shared arms",
     .text = "w 1 [T]\n"
             "%2: real [T] = let t0 = select(%1[i0] < 0.7, %1[i0]^2.0, sin(%1[i0])); t1 = "
             "select(%1[i0] < 0.8, t0*t0, exp(t0)); t2 = select(%1[i0] < 0.9, t1*t0, cos(t1)) in "
             "t2 + t0\n"
             "loss 2 [T]\n"},
    {.name = "stop", .kinks = true,
     .text = "w 1 [T]\n"
             "%2: real [T] = %1[i0]*stop(%1[i0]) + stop(exp(%1[i0]))\n"
             "loss 2 [T]\n"},
    {.name = "unused and frozen",
     .text = "w 1 [T]\n"
             "w 2 [3]\n"
             "f 3 [T]\n"
             "%4: real [T] = %1[i0]*%3[i0]\n"
             "loss 4 [T]\n"},
    {.name = "two losses",
     .text = "w 1 [T]\n"
             "%2: real [] = sum[i0: T] %1[i0]^2.0\n"
             "%3: real [T] = %1[i0]*%2[]\n"
             "loss 3 [T]\n"
             "output penalty \"penalty\" %2\n"},

    /* ---- reductions -------------------------------------------------------------------------- */
    {.name = "product of matrices",
     .text = "w 1 [T, 3]\n"
             "w 2 [3, 4]\n"
             "%3: real [T, 4] = sum[i2: 3] %1[i0, i2]*%2[i2, i1]\n"
             "loss 3 [T, 4]\n"},
    {.name = "product of a matrix with a bound",
     .text = "w 1 [T, 3]\n"
             "w 2 [3, 4]\n"
             "%3: real [T, 4] = sum[i2: 3] max(0.7, %1[i0, i2])*%2[i2, i1]\n"
             "loss 3 [T, 4]\n"},
    {.name = "prod",
     .text = "w 1 [T, 3, 2]\n"
             "%2: real [T] = prod[i1: 3, i2: 2] %1[i0, i1, i2]\n"
             "loss 2 [T]\n"},
    {.name = "prod with zeros",
     .text = "w 1 [4]\n"
             "z 2 [4]\n"
             "%3: real [4] = %1[i0] + select(i0 == 2, %2[i0] - %1[i0], 0.0)\n"
             "%4: real [B] = prod[i1: 4] %3[i1]\n"
             "loss 4 [B]\n"},
    {.name = "max",
     .text = "w 1 [T, 3, 2]\n"
             "w 2 [T]\n"
             "%3: real [T] = max[i1: 3, i2: 2] %1[i0, i1, i2]*%2[i0] + 2.0*sin(real(i0*6 + i1*2 + "
             "i2))\n"
             "loss 3 [T]\n"},
    {.name = "min",
     .text = "w 1 [T, 3]\n"
             "%2: real [3] = min[i1: T] %1[i1, i0]^2.0\n"
             "loss 2 [3]\n"},
    {.name = "max of equals", .kinks = true,
     .text = "z 1 [T, 3, 2]\n"
             "%2: real [T] = max[i1: 3, i2: 2] %1[i0, i1, i2]\n"
             "loss 2 [T]\n"},
    {.name = "softmax", .scatters = 0, .stops = true,
     .text = "w 1 [T, 4]\n"
             "%2: real [T] = max[i1: 4] %1[i0, i1]\n"
             "%3: real [T, 4] = exp(%1[i0, i1] - stop(%2[i0]))\n"
             "%4: real [T] = sum[i1: 4] %3[i0, i1]\n"
             "%5: real [T, 4] = %3[i0, i1]/%4[i0]\n"
             "loss 5 [T, 4]\n"},
    {.name = "normalize",
     .text = "w 1 [T, 4]\n"
             "%2: real [T] = sum[i1: 4] %1[i0, i1]\n"
             "%3: real [T, 4] = %1[i0, i1] - %2[i0]/4.0\n"
             "%4: real [T] = sum[i1: 4] %3[i0, i1]^2.0\n"
             "%5: real [T, 4] = %3[i0, i1]/sqrt(%4[i0]/4.0 + 1e-5)\n"
             "loss 5 [T, 4]\n"},
    {.name = "normalize zero", .kinks = true,
     .text = "z 1 [T, 4]\n"
             "%2: real [T] = sum[i1: 4] %1[i0, i1]^2.0\n"
             "%3: real [T, 4] = %1[i0, i1]/max(sqrt(%2[i0]), 1e-12)\n"
             "loss 3 [T, 4]\n"},
    {.name = "length of zero", .kinks = true,
     .text = "z 1 [T, 4]\n"
             "%2: real [T] = sum[i1: 4] %1[i0, i1]^2.0\n"
             "%3: real [T] = sqrt(%2[i0])\n"
             "loss 3 [T]\n"},

    /* ---- recurrences ------------------------------------------------------------------------- */
    {.name = "decay",
     .text = "w 1 [T, 3]\n"
             "w 2 [3]\n"
             "w 3 [3]\n"
             "recur \"T\" length T {\n"
             " carry \"s\" %3 -> %9: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = tanh(%4[i0]*%2[i0] + %1[l0, i0])\n"
             "  next %5\n"
             "  out %5 axis 0 -> %6: real [T, 3]\n"
             " }\n"
             "}\n"
             "%7: real [T, 3] = %6[i0, i1]*%9[i1]\n"
             "loss 7 [T, 3]\n"},
    {.name = "decay, one step", .axes = {{"T", 1}, {"B", 2}, {"J", 3}},
     .text = "w 1 [T, 3]\n"
             "w 2 [3]\n"
             "w 3 [3]\n"
             "recur \"T\" length T {\n"
             " carry \"s\" %3 -> %9: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = tanh(%4[i0]*%2[i0] + %1[l0, i0])\n"
             "  next %5\n"
             "  out %5 axis 0 -> %6: real [T, 3]\n"
             " }\n"
             "}\n"
             "%7: real [T, 3] = %6[i0, i1]*%9[i1]\n"
             "loss 7 [T, 3]\n"},
    {.name = "two states, reverse",
     .text = "w 1 [B, T, 3]\n"
             "w 2 [3, 3]\n"
             "w 3 [3]\n"
             "w 4 [B, 3]\n"
             "%5: real [B, 3] = 0.0\n"
             "recur \"T\" length T reverse {\n"
             " carry \"a\" %4 -> %20: real [B, 3]\n"
             " carry \"b\" %5 -> %21: real [B, 3]\n"
             " class {\n"
             "  arg %6: real [B, 3]\n"
             "  arg %7: real [B, 3]\n"
             "  %8: real [B, 3] = sum[i2: 3] %2[i1, i2]*%6[i0, i2]\n"
             "  %9: real [B, 3] = sigmoid(%8[i0, i1] + %1[i0, l0, i1])*%7[i0, i1] + %3[i1]\n"
             "  %10: real [B, 3] = tanh(%9[i0, i1] - %7[i0, i1])\n"
             "  next %10\n"
             "  next %9\n"
             "  out %8 axis 1 -> %11: real [B, T, 3]\n"
             "  out %7 axis 2 -> %12: real [B, 3, T]\n"
             " }\n"
             "}\n"
             "%13: real [B, T, 3] = %11[i0, i1, i2]*%12[i0, i2, i1] + %20[i0, i2]*%21[i0, i2]\n"
             "loss 13 [B, T, 3]\n"},
    {.name = "delta rule",
     .text = "w 1 [T, B, 3]\n"
             "w 2 [T, B, 3]\n"
             "w 3 [T, B, 3]\n"
             "w 4 [T, B, 3]\n"
             "%5: real [B, 3, 3] = 0.0\n"
             "recur \"T\" length T {\n"
             " carry \"S\" %5 -> %20: real [B, 3, 3]\n"
             " class {\n"
             "  arg %6: real [B, 3, 3]\n"
             "  %7: real [B, 3] = sum[i2: 3] %6[i0, i1, i2]*%1[l0, i0, i2]\n"
             "  %8: real [B, 3, 3] = %6[i0, i1, i2]*%2[l0, i0, i2] - %7[i0, i1]*%1[l0, i0, i2] + "
             "%3[l0, i0, i1]*%4[l0, i0, i2]\n"
             "  %9: real [B, 3] = sum[i2: 3] %8[i0, i1, i2]*%4[l0, i0, i2]\n"
             "  next %8\n"
             "  out %9 axis 0 -> %10: real [T, B, 3]\n"
             " }\n"
             "}\n"
             "loss 10 [T, B, 3]\n"},
    {.name = "swap and constant",
     .text = "w 1 [3]\n"
             "w 2 [3]\n"
             "w 3 [3]\n"
             "w 4 [T, 3]\n"
             "recur \"T\" length T {\n"
             " carry %1 -> %20: real [3]\n"
             " carry %2 -> %21: real [3]\n"
             " carry %3 -> %22: real [3]\n"
             " class {\n"
             "  arg %5: real [3]\n"
             "  arg %6: real [3]\n"
             "  arg %7: real [3]\n"
             "  %8: real [3] = %5[i0]*%4[l0, i0] + %7[i0]\n"
             "  next %6\n"
             "  next %8\n"
             "  next %1\n"
             " }\n"
             "}\n"
             "%9: real [3] = %20[i0]*%21[i0]^2.0 + %22[i0]\n"
             "loss 9 [3]\n"},
    {.name = "guarded reads by the counter",
     .text = "w 1 [T, 3]\n"
             "w 2 [3]\n"
             "w 3 [2*T]\n"
             "recur \"T\" length T {\n"
             " carry %2 -> %20: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = %4[i0]*select(l0 >= 1, %1[l0 - 1, i0], 1.0) + %3[2*l0 + 1]*%1[{T - "
             "1} - l0, i0]\n"
             "  next %5\n"
             "  out %4 axis 0 -> %6: real [T, 3]\n"
             " }\n"
             "}\n"
             "%7: real [T, 3] = %6[i0, i1] + %20[i1]\n"
             "loss 7 [T, 3]\n"},
    {.name = "gather by the counter", .scatters = 1,
     .text = "k 1 4 [T]\n"
             "w 2 [4, 3]\n"
             "w 3 [3]\n"
             "recur \"T\" length T {\n"
             " carry %3 -> %20: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = %4[i0]*%2[%1[l0], i0]\n"
             "  next %5\n"
             " }\n"
             "}\n"
             "loss 20 [3]\n"},
    {.name = "ids made in the body", .scatters = 1,
     .text = "w 2 [4, 3]\n"
             "w 3 [3]\n"
             "recur \"T\" length T {\n"
             " carry %3 -> %20: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  %5: int [] = argmax[i0: 3] %4[i0]\n"
             "  %6: real [3] = %4[i0]*%2[%5[], i0]\n"
             "  next %6\n"
             " }\n"
             "}\n"
             "loss 20 [3]\n"},
    {.name = "delays",
     .text = "w 1 [T, 3]\n"
             "w 2 [2, 3]\n"
             "w 3 [3]\n"
             "recur \"T\" length T {\n"
             " carry %3 -> %20: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = %1[l0, i0]^2.0\n"
             "  %6: real [2, 3] = delay %5 init %2 -> %21: real [2, 3]\n"
             "  %7: real [3] = %4[i0]*%6[1, i0] + %6[0, i0]\n"
             "  next %7\n"
             "  out %7 axis 0 -> %8: real [T, 3]\n"
             " }\n"
             "}\n"
             "%9: real [T, 3] = %8[i0, i1] + %21[0, i1]*%21[1, i1]\n"
             "loss 9 [T, 3]\n"},

    /* ---- layers ------------------------------------------------------------------------------ */
    {.name = "layers",
     .text = "w 1 [4, 3, 3]\n"
             "w 2 [T, 3]\n"
             "w 3 [3]\n"
             "recur \"layers\" length 4 layers {\n"
             " carry \"x\" %2 -> %20: real [T, 3]\n"
             " class 0, 1, 2, 3 {\n"
             "  arg %4: real [T, 3]\n"
             "  %5: real [T, 3] = sum[i2: 3] %1[p0, i1, i2]*%4[i0, i2]\n"
             "  %6: real [T, 3] = tanh(%5[i0, i1])*%3[i1] + %4[i0, i1]*real(l0 + 1)\n"
             "  next %6\n"
             " }\n"
             "}\n"
             "loss 20 [T, 3]\n"},
    {.name = "two classes",
     .text = "w 1 [4, 3]\n"
             "w 2 [T, 3]\n"
             "w 3 [3, 3]\n"
             "w 4 [1, 3]\n"
             "%5: real [T, 3] = 0.0\n"
             "recur \"layers\" length 4 layers {\n"
             " carry \"x\" %2 -> %20: real [T, 3]\n"
             " carry \"v\" %5 -> %21: real [T, 3]\n"
             " class 0 {\n"
             "  arg %6: real [T, 3]\n"
             "  arg %7: real [T, 3]\n"
             "  %8: real [T, 3] = tanh(%6[i0, i1]*%1[l0, i1] + %4[p0, i1])\n"
             "  next %6\n"
             "  next %8\n"
             " }\n"
             " class 1, 2, 3 {\n"
             "  arg %9: real [T, 3]\n"
             "  arg %10: real [T, 3]\n"
             "  %11: real [T, 3] = %9[i0, i1]*%1[l0, i1] + %10[i0, i1]*%3[p0, i1]\n"
             "  next %11\n"
             "  next %10\n"
             "  out %11 axis 1 -> %12: real [T, 3, 3]\n"
             " }\n"
             "}\n"
             "%13: real [T, 3] = %20[i0, i1] + %21[i0, i1]*%12[i0, 1, i1]\n"
             "loss 13 [T, 3]\n"},
    {.name = "alternating classes",
     .text = "w 1 [5, 3]\n"
             "w 2 [3]\n"
             "w 3 [3]\n"
             "recur \"layers\" length 5 layers {\n"
             " carry %2 -> %20: real [3]\n"
             " class 0, 2, 4 {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = %4[i0]*%1[l0, i0] + %3[i0]\n"
             "  next %5\n"
             " }\n"
             " class 1, 3 {\n"
             "  arg %6: real [3]\n"
             "  %7: real [3] = sin(%6[i0]*%1[l0 - 1, i0])\n"
             "  next %7\n"
             "  out %7 axis 0 -> %8: real [2, 3]\n"
             " }\n"
             "}\n"
             "%9: real [2, 3] = %20[i1] + %8[i0, i1]\n"
             "loss 9 [2, 3]\n"},
    {.name = "irregular classes",
     .text = "w 1 [6, 3]\n"
             "w 2 [3]\n"
             "recur \"layers\" length 6 layers {\n"
             " carry %2 -> %20: real [3]\n"
             " class 0, 1, 4 {\n"
             "  arg %4: real [3]\n"
             "  %5: real [3] = %4[i0]*%1[l0, i0]\n"
             "  next %5\n"
             " }\n"
             " class 2, 3, 5 {\n"
             "  arg %6: real [3]\n"
             "  %7: real [3] = sin(%6[i0])*select(l0 >= 4, %1[l0 - 4, i0], %1[2*p0, i0])\n"
             "  next %7\n"
             " }\n"
             "}\n"
             "loss 20 [3]\n"},
    {.name = "only captured values",
     .text = "w 1 [T, 3]\n"
             "w 2 [3]\n"
             "%3: real [T, 3] = %1[i0, i1]^2.0\n"
             "%4: real [T, 3] = 0.0\n"
             "recur \"layers\" length 3 layers {\n"
             " carry %4 -> %20: real [T, 3]\n"
             " class 0, 1, 2 {\n"
             "  arg %5: real [T, 3]\n"
             "  %6: real [T, 3] = %5[i0, i1]*0.5 + %3[i0, i1]*%2[i1]\n"
             "  next %6\n"
             " }\n"
             "}\n"
             "loss 20 [T, 3]\n"},
    {.name = "time in layers",
     .text = "w 1 [3, 3]\n"
             "w 2 [B, T, 3]\n"
             "w 3 [3, 3]\n"
             "w 4 [3]\n"
             "w 5 [3, B, 3]\n"
             "recur \"layers\" length 3 layers {\n"
             " carry \"x\" %2 -> %20: real [B, T, 3]\n"
             " class 0, 1, 2 {\n"
             "  arg %6: real [B, T, 3]\n"
             "  %7: real [B, 3] = %5[p0, i0, i1]*0.5\n"
             "  recur \"T\" length T {\n"
             "   carry \"s\" %7 -> %21: real [B, 3]\n"
             "   class {\n"
             "    arg %8: real [B, 3]\n"
             "    %9: real [B, 3] = sum[i2: 3] %3[i1, i2]*%8[i0, i2]\n"
             "    %10: real [B, 3] = tanh(%9[i0, i1] + %6[i0, l1, i1]*%1[p0, i1])\n"
             "    next %10\n"
             "    out %10 axis 1 -> %11: real [B, T, 3]\n"
             "   }\n"
             "  }\n"
             "  %12: real [B, T, 3] = %11[i0, i1, i2]*%4[i2] + %6[i0, i1, i2] + %21[i0, i2]\n"
             "  next %12\n"
             " }\n"
             "}\n"
             "loss 20 [B, T, 3]\n"},
    {.name = "layers in layers",
     .text = "w 1 [2, 3, 4]\n"
             "w 2 [4]\n"
             "w 3 [2, 4]\n"
             "recur \"layers\" length 2 layers {\n"
             " carry %2 -> %20: real [4]\n"
             " class 0, 1 {\n"
             "  arg %4: real [4]\n"
             "  recur \"layers\" length 3 layers {\n"
             "   carry %4 -> %21: real [4]\n"
             "   class 0, 1, 2 {\n"
             "    arg %5: real [4]\n"
             "    %6: real [4] = tanh(%5[i0]*%1[p0, p1, i0]) + %3[p0, i0]\n"
             "    next %6\n"
             "   }\n"
             "  }\n"
             "  %7: real [4] = %21[i0]*%4[i0]\n"
             "  next %7\n"
             " }\n"
             "}\n"
             "loss 20 [4]\n"},
    {.name = "time in time",
     .text = "w 1 [T, B, 3]\n"
             "w 2 [3]\n"
             "w 3 [3]\n"
             "recur \"T\" length T {\n"
             " carry %2 -> %20: real [3]\n"
             " class {\n"
             "  arg %4: real [3]\n"
             "  recur \"B\" length B {\n"
             "   carry %4 -> %21: real [3]\n"
             "   class {\n"
             "    arg %5: real [3]\n"
             "    %6: real [3] = sin(%5[i0]*%1[l0, l1, i0] + %3[i0]*%4[i0])\n"
             "    next %6\n"
             "    out %6 axis 0 -> %7: real [B, 3]\n"
             "   }\n"
             "  }\n"
             "  %8: real [3] = sum[i1: B] %7[i1, i0]*%21[i0]\n"
             "  next %8\n"
             "  out %8 axis 1 -> %9: real [3, T]\n"
             " }\n"
             "}\n"
             "%10: real [3, T] = %9[i0, i1]*%20[i0]\n"
             "loss 10 [3, T]\n"},
};
