/* Scalar functions as straight lines of arithmetic, alike for floats and vectors of them: no calls, no
 * tables, no branches.
 *
 * Polynomials are minimax fits on the ranges named; errors are about 1 to 2 units in the last place.
 * Results below the smallest normal number are 0, as everywhere at run time. What is no number stays
 * none; infinities and zeros behave as in C's mathematics. */
#include <math.h>

#include "emit_impl.h"

typedef struct Real { /* type of the numbers at hand */
    Emit *e;
    uint32_t width;
    LLVMTypeRef f, i, b;
    bool wide; /* double */
} Real;

static LLVMTypeRef widened(LLVMTypeRef t, uint32_t width) {
    return width ? LLVMVectorType(t, width) : t;
}

static Real real_of(Emit *e, V x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    uint32_t w = LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetVectorSize(t) : 0;
    return (Real){e, w, t, widened(e->i32, w), widened(e->i1, w), false};
}

static Real double_of(Real r) {
    return (Real){r.e, r.width, widened(r.e->f64, r.width), widened(r.e->i64, r.width), r.b, true};
}

static V splat(Real *r, V c) {
    if (!r->width) return c;
    V *all = NEWN(r->e->arena, V, r->width);
    for (uint32_t i = 0; i < r->width; i++) all[i] = c;
    return LLVMConstVector(all, r->width);
}

static V num(Real *r, double x) {
    return splat(r, LLVMConstReal(r->wide ? r->e->f64 : r->e->f32, r->wide ? x : (double)(float)x));
}

static V whole(Real *r, uint64_t n) {
    return splat(r, LLVMConstInt(r->wide ? r->e->i64 : r->e->i32, n, false));
}

static V add(Real *r, V x, V y) { return LLVMBuildFAdd(r->e->b, x, y, ""); }
static V sub(Real *r, V x, V y) { return LLVMBuildFSub(r->e->b, x, y, ""); }
static V mul(Real *r, V x, V y) { return LLVMBuildFMul(r->e->b, x, y, ""); }
static V quotient(Real *r, V x, V y) {
    return r->wide ? LLVMBuildFDiv(r->e->b, x, y, "") : emit_quotient(r->e, x, y);
}
static V fneg(Real *r, V x) { return LLVMBuildFNeg(r->e->b, x, ""); }
static V choose(Real *r, V c, V x, V y) { return LLVMBuildSelect(r->e->b, c, x, y, ""); }
static V is(Real *r, LLVMRealPredicate p, V x, V y) { return LLVMBuildFCmp(r->e->b, p, x, y, ""); }
static V as_int(Real *r, V x) { return LLVMBuildBitCast(r->e->b, x, r->i, ""); }
static V as_real(Real *r, V x) { return LLVMBuildBitCast(r->e->b, x, r->f, ""); }

static V fma3(Real *r, V x, V y, V z) {
    V a[3] = {x, y, z};
    return emit_intrinsic(r->e, "llvm.fma", &r->f, 1, a, 3);
}

static V unary(Real *r, const char *name, V x) {
    return emit_intrinsic(r->e, name, &r->f, 1, &x, 1);
}
static V magnitude(Real *r, V x) { return unary(r, "llvm.fabs", x); }

static V with_sign(Real *r, V x, V sign) {
    V a[2] = {x, sign};
    return emit_intrinsic(r->e, "llvm.copysign", &r->f, 1, a, 2);
}

/* c[0] + c[1]*x + ... */
static V poly(Real *r, V x, const double *c, int n) {
    V y = num(r, c[n - 1]);
    for (int i = n - 2; i >= 0; i--) y = fma3(r, y, x, num(r, c[i]));
    return y;
}
#define POLY(r, x, c) poly(r, x, c, (int)(sizeof(c) / sizeof *(c)))

/* ---- exp and what is made of it ----------------------------------------------------------------- */

/* e^x = 2^n e^y, n whole, |y| <= ln(2)/2. n is read off the low bits of x*log2(e) + 1.5*2^23. */
static V make_exp(Real *r, V x) {
    static const double q[] = {0.49999994, 0.166665211, 0.041668389, 0.00836874545, 0.00138145383};
    V magic = num(r, 12582912.0);
    V t = fma3(r, x, num(r, 1.44269504088896340736), magic), n = sub(r, t, magic);
    V y = fma3(r, n, num(r, -0.693145751953125), x);
    y = fma3(r, n, num(r, -1.42860682030941723212e-6), y);
    V p = add(r, fma3(r, mul(r, y, y), POLY(r, y, q), y), num(r, 1));
    V up = LLVMBuildShl(r->e->b, as_int(r, t), whole(r, 23), "");
    V z = as_real(r, LLVMBuildAdd(r->e->b, as_int(r, p), up, ""));
    z = choose(r, is(r, LLVMRealUGT, x, num(r, 88.7228)), mul(r, x, num(r, INFINITY)), z);
    return choose(r, is(r, LLVMRealOLT, x, num(r, -87.3365)), num(r, 0), z);
}

static V make_sigmoid(Real *r, V x) {
    V one = num(r, 1);
    return quotient(r, one, add(r, one, make_exp(r, fneg(r, x))));
}

/* log(1 + u) for 0 <= u <= 1: 2 atanh(u/(2 + u)); t is twice that quotient, which stays a normal number. */
static V log_one_plus(Real *r, V u) {
    static const double l[] = {0.333333373, 0.199994385, 0.143084422, 0.107138287, 0.121504687};
    V t = quotient(r, add(r, u, u), add(r, u, num(r, 2))), z = mul(r, mul(r, t, t), num(r, 0.25));
    return fma3(r, mul(r, t, z), POLY(r, z, l), t);
}

static V make_softplus(Real *r, V x) {
    V zero = num(r, 0), top = choose(r, is(r, LLVMRealULT, zero, x), x, zero);
    V u = make_exp(r, fneg(r, magnitude(r, x)));
    return add(r, top, log_one_plus(r, u));
}

static V make_tanh(Real *r, V x) {
    static const double t[] = {-0.333333284, 0.133331582,    -0.0539405644,
                               0.0216663443, -0.00809196476, 0.00206466205};
    V a = magnitude(r, x), z = mul(r, x, x), one = num(r, 1);
    V small = fma3(r, mul(r, x, z), POLY(r, z, t), x);
    V large = sub(r, one, quotient(r, num(r, 2), add(r, make_exp(r, add(r, a, a)), one)));
    return choose(r, is(r, LLVMRealOLT, a, num(r, 0.62)), small, with_sign(r, large, x));
}

static V make_erf(Real *r, V x) {
    static const double p[] = {1.12837923,    -0.376126379,    0.112837829,    -0.0268654451,
                               0.00522107491, -0.000848471129, 0.000112705449, -9.68013683e-06};
    static const double c[] = {0.000188040227, -1.12957847,    -0.633219898,   -0.108418576,
                               0.0252082571,   -0.00420456193, 0.000441336364, -2.16868502e-05};
    V a = magnitude(r, x), four = num(r, 4), one = num(r, 1);
    V small = mul(r, x, POLY(r, mul(r, x, x), p));
    a = choose(r, is(r, LLVMRealOGT, a, four), four, a);
    V large = sub(r, one, make_exp(r, POLY(r, a, c)));
    return choose(r, is(r, LLVMRealOLT, a, one), small, with_sign(r, large, x));
}

/* ---- log ------------------------------------------------------------------------------------------- */

/* x = 2^n m with m in sqrt(1/2)..sqrt(2), for positive normal x; bits are those of x's type. */
static V split_power(Real *r, V x, V *n) {
    unsigned fraction = r->wide ? 52 : 23;
    uint64_t half = r->wide ? 0x3fe6a09e667f3bcdu : 0x3f3504f3u; /* sqrt(1/2) */
    V i = LLVMBuildSub(r->e->b, as_int(r, x), whole(r, half), "");
    V e = LLVMBuildAShr(r->e->b, i, whole(r, fraction), "");
    V m = LLVMBuildSub(r->e->b, as_int(r, x), LLVMBuildShl(r->e->b, e, whole(r, fraction), ""), "");
    *n = e;
    return as_real(r, m);
}

static V make_log(Real *r, V x) {
    static const double c[] = {0.333333135,  -0.250000089, 0.200021192,  -0.166679963, 0.142195508,
                               -0.124055915, 0.118881747,  -0.116756409, 0.0674660131};
    V i, m = split_power(r, x, &i), f = sub(r, m, num(r, 1)), z = mul(r, f, f);
    V n = LLVMBuildSIToFP(r->e->b, i, r->f, "");
    V y = mul(r, mul(r, z, f), POLY(r, f, c));
    y = fma3(r, n, num(r, -2.12194440054690583e-4), y);
    y = fma3(r, z, num(r, -0.5), y);
    y = fma3(r, n, num(r, 0.693359375), add(r, f, y));
    V zero = num(r, 0);
    y = choose(r, is(r, LLVMRealOLT, x, num(r, 1.17549435e-38)), num(r, -INFINITY), y);
    y = choose(r, is(r, LLVMRealOLT, x, zero), num(r, NAN), y);
    return choose(r, is(r, LLVMRealULT, x, num(r, INFINITY)),
                  choose(r, is(r, LLVMRealUNO, x, x), x, y), x);
}

/* ---- pow, in double ----------------------------------------------------------------------------------- */

static V log_double(Real *d, V x) {
    static const double c[] = {0.66666666666594487, 0.40000000047149536, 0.28571418290103195,
                               0.22223251231331523, 0.18129949380700905, 0.16657697731375581,
                               0.016269258204716901};
    V i, m = split_power(d, x, &i), one = num(d, 1);
    V s = quotient(d, sub(d, m, one), add(d, m, one)), z = mul(d, s, s);
    V y = fma3(d, mul(d, s, z), POLY(d, z, c), add(d, s, s));
    /* the whole number n as double: its bits are added to those of 1.5*2^52 */
    V magic = num(d, 6755399441055744.0);
    V n = sub(d, as_real(d, LLVMBuildAdd(d->e->b, as_int(d, magic), i, "")), magic);
    return fma3(d, n, num(d, 0.69314718055994530942), y);
}

static V exp_double(Real *d, V x) {
    static const double c[] = {
        0.50000000000000233,    0.1666666666661038,     0.041666666666464097,
        0.0083333333714449356,  0.0013888888961374815,  0.00019841184437171497,
        2.4801475333378203e-05, 2.7635332706660157e-06, 2.7636196071352667e-07};
    V low = num(d, -150), high = num(d, 150), magic = num(d, 6755399441055744.0);
    x = choose(d, is(d, LLVMRealOLT, x, low), low, x);
    x = choose(d, is(d, LLVMRealOGT, x, high), high, x);
    V t = fma3(d, x, num(d, 1.44269504088896340736), magic), n = sub(d, t, magic);
    V y = fma3(d, n, num(d, -0.69314718055994530942), x);
    V p = add(d, fma3(d, mul(d, y, y), POLY(d, y, c), y), num(d, 1));
    V up = LLVMBuildShl(d->e->b, as_int(d, t), whole(d, 52), "");
    return as_real(d, LLVMBuildAdd(d->e->b, as_int(d, p), up, ""));
}

/* |x|^y for finite non-zero x by logarithms; then zero, infinite and negative bases. */
static V make_pow(Real *r, V x, V y) {
    Real d = double_of(*r);
    V zero = num(r, 0), one = num(r, 1), inf = num(r, INFINITY), a = magnitude(r, x);
    V wide_y = LLVMBuildFPExt(r->e->b, y, d.f, "");
    V l = mul(&d, wide_y, log_double(&d, LLVMBuildFPExt(r->e->b, a, d.f, "")));
    V p = LLVMBuildFPTrunc(r->e->b, exp_double(&d, l), r->f, "");
    V up = is(r, LLVMRealOGT, y, zero), edge = choose(r, up, zero, inf),
      far = choose(r, up, inf, zero);
    p = choose(r, is(r, LLVMRealOLT, a, num(r, 1.17549435e-38)), edge, p);
    p = choose(r, is(r, LLVMRealOEQ, a, inf), far, p);
    /* an odd whole exponent keeps the sign; any other one of a negative base gives no number */
    V is_whole = is(r, LLVMRealOEQ, unary(r, "llvm.floor", y), y);
    V half = mul(r, y, num(r, 0.5)),
      is_even = is(r, LLVMRealOEQ, unary(r, "llvm.floor", half), half);
    V odd = LLVMBuildAnd(r->e->b, is_whole, LLVMBuildNot(r->e->b, is_even, ""), "");
    p = choose(r, odd, with_sign(r, p, x), p);
    V broken =
        LLVMBuildAnd(r->e->b, is(r, LLVMRealOLT, x, zero), LLVMBuildNot(r->e->b, is_whole, ""), "");
    broken = LLVMBuildAnd(r->e->b, broken, is(r, LLVMRealOLT, a, inf), "");
    p = choose(r, broken, num(r, NAN), p);
    p = choose(r, is(r, LLVMRealUNO, x, y), num(r, NAN), p);
    V plain = LLVMBuildOr(r->e->b, is(r, LLVMRealOEQ, y, zero), is(r, LLVMRealOEQ, x, one), "");
    return choose(r, plain, one, p);
}

/* ---- sin and cos ----------------------------------------------------------------------------------------- */

/* x - k*pi/2 in double; exact below 10^15, where the neighbours of a float are many turns apart. */
static V make_sin(Real *r, V x, uint64_t shift) {
    static const double s[] = {-0.166666672, 0.00833332911, -0.000198393274, 2.71823728e-06};
    static const double c[] = {0.0416666679, -0.00138888834, 2.47995122e-05, -2.72095491e-07};
    Real d = double_of(*r);
    V wide = LLVMBuildFPExt(r->e->b, x, d.f, ""), magic = num(&d, 6755399441055744.0);
    V t = fma3(&d, wide, num(&d, 0.63661977236758134308), magic), k = sub(&d, t, magic);
    V rest = fma3(&d, k, num(&d, -1.57079632679489655800), wide);
    rest = fma3(&d, k, num(&d, -6.12323399573676603587e-17), rest);
    V y = LLVMBuildFPTrunc(r->e->b, rest, r->f, ""), z = mul(r, y, y);
    V sine = fma3(r, mul(r, y, z), POLY(r, z, s), y);
    V cosine = fma3(r, mul(r, z, z), POLY(r, z, c), fma3(r, z, num(r, -0.5), num(r, 1)));
    V quarter = LLVMBuildTrunc(r->e->b, as_int(&d, t), r->i, "");
    quarter = LLVMBuildAdd(r->e->b, quarter, whole(r, shift), "");
    V odd = LLVMBuildTrunc(r->e->b, quarter, r->b, "");
    V out = choose(r, odd, cosine, sine);
    V sign =
        LLVMBuildShl(r->e->b, LLVMBuildAnd(r->e->b, quarter, whole(r, 2), ""), whole(r, 30), "");
    out = as_real(r, LLVMBuildXor(r->e->b, as_int(r, out), sign, ""));
    V far = is(r, LLVMRealULT, magnitude(r, x), num(r, 1e15));
    V none = sub(r, x, x); /* infinite: no number; huge: 0 */
    return choose(r, far, out, none);
}

V math_fn(Emit *e, Fn f, V x, V y) {
    Real r = real_of(e, x);
    switch (f) {
    case F_exp: return make_exp(&r, x);
    case F_log: return make_log(&r, x);
    case F_tanh: return make_tanh(&r, x);
    case F_sigmoid: return make_sigmoid(&r, x);
    case F_softplus: return make_softplus(&r, x);
    case F_erf: return make_erf(&r, x);
    case F_sin: return make_sin(&r, x, 0);
    case F_cos: return make_sin(&r, x, 1);
    case F_pow: return make_pow(&r, x, y);
    case F_sqrt: return emit_root(e, x);
    case F_abs: return magnitude(&r, x);
    case F_round: return unary(&r, "llvm.roundeven", x);
    case F_floor: return unary(&r, "llvm.floor", x);
    default: e->error = "a function without code"; return x;
    }
}
