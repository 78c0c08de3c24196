/**
 * Which function computes which row: the one place where an operation of the block machine is listed. In the order of `Row`.
 * Called with the lane type of the arguments, the destination, up to three sources and the number of elements.
 */

import { Lane } from "./block_rows";
import {
  Abs, Add, And, Ceil, CopySign, Div, Eq, Floor, FloorDivide, Fma, Fmax, Fmin, Fmod, Gcd, Ge, Gt, IntegerPow, IsInf, IsNan,
  Le, LogicalNot, Lt, Madd, Maximum, Minimum, Mul, MulAdd, Ne, Neg, NextAfter, Not, Or, Reciprocal, Remainder, Round,
  Rsqrt, ShiftLeft, ShiftRight, Sign, Signbit, Sqrt, Sub, Trunc, Where, Xor,
} from "./block_arith";
import {
  LoadBF16, LoadF16, NonZero, RoundBF16, RoundF16, StoreBF16, StoreF16, WrapI16, WrapI8, WrapU8, copy, loadBool,
  loadHalves, storeHalves, to, where64, widen,
} from "./block_convert";
import {
  floats1, floats2, integerScalars2, integers1, integers2, mixed1, precise1, precise2, predicate1, predicate2, scalar2,
  scalars2, vector1, vector2, vector3, vectors1, vectors2, vectors3, widened1,
} from "./block_loops";
import { Erf, Exp2, Expm1, Log, Log10, Log1p, Log2, Sigmoid, Tanh } from "./math_f32";
import { Acos, Asin, Atan, Atan2, Cosh, Sinh, Tan } from "./math_f32_circle";
import { Gelu64, GeluSlope, GeluSlope64, expBlock, geluBlock } from "./math_hot";
import { Cos, FloorDivideFloat, FmodFloat, Pow, RemainderFloat, Sin } from "./math_f32_wide";
import {
  Digamma, Erf64, Erfc64, Erfcx, Erfinv64, I0, I0Float, I0e, I1, I1Float, I1e, Igamma, Igammac, Lgamma, LogNdtr, Ndtri, Polygamma, Zeta,
} from "./math_special";
import {
  Acos64, Acosh64, Asin64, Asinh64, Atan2of64, Atan64, Atanh64, Cos64, Cosh64, Exp2of64, Exp64, Expm1of64, Hypot64,
  Log10of64, Log1pOf64, Log2of64, Log64, Pow64, Sigmoid64, Sin64, Sinh64, Tan64, Tanh64,
} from "./math_f64";

type BlockFunction = (lane: i32, d: usize, a: usize, b: usize, c: usize, n: i32) => void;

export const FUNCTIONS: StaticArray<BlockFunction> = [
  /* copy */ (lane, d, a, b, c, n) => { copy(lane, d, a, n); },
  /* to_f32 */ (lane, d, a, b, c, n) => { to<f32>(lane, d, a, n); },
  /* to_f64 */ (lane, d, a, b, c, n) => { to<f64>(lane, d, a, n); },
  /* to_i32 */ (lane, d, a, b, c, n) => { to<i32>(lane, d, a, n); },
  /* to_i64 */ (lane, d, a, b, c, n) => { to<i64>(lane, d, a, n); },
  /* to_bool */ (lane, d, a, b, c, n) => { predicate1<NonZero>(lane, d, a, n); },
  /* load_bool */ (lane, d, a, b, c, n) => { loadBool(d, a, n); },
  /* load_u8 */ (lane, d, a, b, c, n) => { widen<i32, u8>(d, a, n); },
  /* load_i8 */ (lane, d, a, b, c, n) => { widen<i32, i8>(d, a, n); },
  /* load_i16 */ (lane, d, a, b, c, n) => { widen<i32, i16>(d, a, n); },
  /* load_f16 */ (lane, d, a, b, c, n) => { loadHalves<LoadF16>(d, a, n); },
  /* load_bf16 */ (lane, d, a, b, c, n) => { loadHalves<LoadBF16>(d, a, n); },
  /* store_8 */ (lane, d, a, b, c, n) => { widen<u8, u32>(d, a, n); },
  /* store_16 */ (lane, d, a, b, c, n) => { widen<u16, u32>(d, a, n); },
  /* store_f16 */ (lane, d, a, b, c, n) => { storeHalves<StoreF16>(d, a, n); },
  /* store_bf16 */ (lane, d, a, b, c, n) => { storeHalves<StoreBF16>(d, a, n); },
  /* wrap_u8 */ (lane, d, a, b, c, n) => { vector1<i32, WrapU8>(d, a, n); },
  /* wrap_i8 */ (lane, d, a, b, c, n) => { vector1<i32, WrapI8>(d, a, n); },
  /* wrap_i16 */ (lane, d, a, b, c, n) => { vector1<i32, WrapI16>(d, a, n); },
  /* round_f16 */ (lane, d, a, b, c, n) => { vector1<f32, RoundF16>(d, a, n); },
  /* round_bf16 */ (lane, d, a, b, c, n) => { vector1<f32, RoundBF16>(d, a, n); },
  /* mul_add */ (lane, d, a, b, c, n) => { vectors3<MulAdd>(lane, d, a, b, c, n); },
  /* logical_not */ (lane, d, a, b, c, n) => { vector1<i32, LogicalNot>(d, a, n); },
  /* neg */ (lane, d, a, b, c, n) => { vectors1<Neg>(lane, d, a, n); },
  /* abs */ (lane, d, a, b, c, n) => { vectors1<Abs>(lane, d, a, n); },
  /* sign */ (lane, d, a, b, c, n) => { vectors1<Sign>(lane, d, a, n); },
  /* add */ (lane, d, a, b, c, n) => { vectors2<Add>(lane, d, a, b, n); },
  /* sub */ (lane, d, a, b, c, n) => { vectors2<Sub>(lane, d, a, b, n); },
  /* mul */ (lane, d, a, b, c, n) => { vectors2<Mul>(lane, d, a, b, n); },
  /* div */ (lane, d, a, b, c, n) => { if (lane <= Lane.f64) floats2<Div>(lane, d, a, b, n); else integerScalars2<Div>(lane, d, a, b, n); },
  /* floor_divide */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) vector2<f32, FloorDivideFloat>(d, a, b, n); else scalars2<FloorDivide>(lane, d, a, b, n); },
  /* remainder */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) vector2<f32, RemainderFloat>(d, a, b, n); else scalars2<Remainder>(lane, d, a, b, n); },
  /* fmod */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) vector2<f32, FmodFloat>(d, a, b, n); else scalars2<Fmod>(lane, d, a, b, n); },
  /* madd */ (lane, d, a, b, c, n) => { vectors3<Madd>(lane, d, a, b, c, n); },
  /* fma */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) vector3<f32, Fma>(d, a, b, c, n); else vector3<f64, Fma>(d, a, b, c, n); },
  /* pow */ (lane, d, a, b, c, n) => {
    if (lane == Lane.f32) vector2<f32, Pow>(d, a, b, n);
    else if (lane == Lane.f64) precise2<Pow64>(lane, d, a, b, n);
    else integerScalars2<IntegerPow>(lane, d, a, b, n);
  },
  /* reciprocal */ (lane, d, a, b, c, n) => { floats1<Reciprocal>(lane, d, a, n); },
  /* sqrt */ (lane, d, a, b, c, n) => { floats1<Sqrt>(lane, d, a, n); },
  /* rsqrt */ (lane, d, a, b, c, n) => { floats1<Rsqrt>(lane, d, a, n); },
  /* floor */ (lane, d, a, b, c, n) => { vectors1<Floor>(lane, d, a, n); },
  /* ceil */ (lane, d, a, b, c, n) => { vectors1<Ceil>(lane, d, a, n); },
  /* round */ (lane, d, a, b, c, n) => { vectors1<Round>(lane, d, a, n); },
  /* trunc */ (lane, d, a, b, c, n) => { vectors1<Trunc>(lane, d, a, n); },
  /* maximum */ (lane, d, a, b, c, n) => { vectors2<Maximum>(lane, d, a, b, n); },
  /* minimum */ (lane, d, a, b, c, n) => { vectors2<Minimum>(lane, d, a, b, n); },
  /* fmax */ (lane, d, a, b, c, n) => { vectors2<Fmax>(lane, d, a, b, n); },
  /* fmin */ (lane, d, a, b, c, n) => { vectors2<Fmin>(lane, d, a, b, n); },
  /* eq */ (lane, d, a, b, c, n) => { predicate2<Eq>(lane, d, a, b, n); },
  /* ne */ (lane, d, a, b, c, n) => { predicate2<Ne>(lane, d, a, b, n); },
  /* lt */ (lane, d, a, b, c, n) => { predicate2<Lt>(lane, d, a, b, n); },
  /* le */ (lane, d, a, b, c, n) => { predicate2<Le>(lane, d, a, b, n); },
  /* gt */ (lane, d, a, b, c, n) => { predicate2<Gt>(lane, d, a, b, n); },
  /* ge */ (lane, d, a, b, c, n) => { predicate2<Ge>(lane, d, a, b, n); },
  /* isnan */ (lane, d, a, b, c, n) => { predicate1<IsNan>(lane, d, a, n); },
  /* isinf */ (lane, d, a, b, c, n) => { predicate1<IsInf>(lane, d, a, n); },
  /* signbit */ (lane, d, a, b, c, n) => { predicate1<Signbit>(lane, d, a, n); },
  /* bitwise_and */ (lane, d, a, b, c, n) => { integers2<And>(lane, d, a, b, n); },
  /* bitwise_or */ (lane, d, a, b, c, n) => { integers2<Or>(lane, d, a, b, n); },
  /* bitwise_xor */ (lane, d, a, b, c, n) => { integers2<Xor>(lane, d, a, b, n); },
  /* bitwise_not */ (lane, d, a, b, c, n) => { integers1<Not>(lane, d, a, n); },
  /* shift_left */ (lane, d, a, b, c, n) => { integerScalars2<ShiftLeft>(lane, d, a, b, n); },
  /* shift_right */ (lane, d, a, b, c, n) => { integerScalars2<ShiftRight>(lane, d, a, b, n); },
  /* gcd */ (lane, d, a, b, c, n) => { integerScalars2<Gcd>(lane, d, a, b, n); },
  /* where */ (lane, d, a, b, c, n) => { if (lane == Lane.f32 || lane == Lane.i32) vector3<i32, Where>(d, a, b, c, n); else where64(d, a, b, c, n); },
  /* exp */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) expBlock(d, a, n); else precise1<Exp64>(lane, d, a, n); },
  /* exp2 */ (lane, d, a, b, c, n) => { mixed1<Exp2, Exp2of64>(lane, d, a, n); },
  /* expm1 */ (lane, d, a, b, c, n) => { mixed1<Expm1, Expm1of64>(lane, d, a, n); },
  /* log */ (lane, d, a, b, c, n) => { mixed1<Log, Log64>(lane, d, a, n); },
  /* log2 */ (lane, d, a, b, c, n) => { mixed1<Log2, Log2of64>(lane, d, a, n); },
  /* log10 */ (lane, d, a, b, c, n) => { mixed1<Log10, Log10of64>(lane, d, a, n); },
  /* log1p */ (lane, d, a, b, c, n) => { mixed1<Log1p, Log1pOf64>(lane, d, a, n); },
  /* sin */ (lane, d, a, b, c, n) => { mixed1<Sin, Sin64>(lane, d, a, n); },
  /* cos */ (lane, d, a, b, c, n) => { mixed1<Cos, Cos64>(lane, d, a, n); },
  /* tan */ (lane, d, a, b, c, n) => { mixed1<Tan, Tan64>(lane, d, a, n); },
  /* asin */ (lane, d, a, b, c, n) => { mixed1<Asin, Asin64>(lane, d, a, n); },
  /* acos */ (lane, d, a, b, c, n) => { mixed1<Acos, Acos64>(lane, d, a, n); },
  /* atan */ (lane, d, a, b, c, n) => { mixed1<Atan, Atan64>(lane, d, a, n); },
  /* atan2 */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) vector2<f32, Atan2>(d, a, b, n); else precise2<Atan2of64>(lane, d, a, b, n); },
  /* sinh */ (lane, d, a, b, c, n) => { mixed1<Sinh, Sinh64>(lane, d, a, n); },
  /* cosh */ (lane, d, a, b, c, n) => { mixed1<Cosh, Cosh64>(lane, d, a, n); },
  /* tanh */ (lane, d, a, b, c, n) => { mixed1<Tanh, Tanh64>(lane, d, a, n); },
  /* asinh */ (lane, d, a, b, c, n) => { precise1<Asinh64>(lane, d, a, n); },
  /* acosh */ (lane, d, a, b, c, n) => { precise1<Acosh64>(lane, d, a, n); },
  /* atanh */ (lane, d, a, b, c, n) => { precise1<Atanh64>(lane, d, a, n); },
  /* sigmoid */ (lane, d, a, b, c, n) => { mixed1<Sigmoid, Sigmoid64>(lane, d, a, n); },
  /* erf */ (lane, d, a, b, c, n) => { mixed1<Erf, Erf64>(lane, d, a, n); },
  /* erfc */ (lane, d, a, b, c, n) => { precise1<Erfc64>(lane, d, a, n); },
  /* erfinv */ (lane, d, a, b, c, n) => { precise1<Erfinv64>(lane, d, a, n); },
  /* hypot */ (lane, d, a, b, c, n) => { precise2<Hypot64>(lane, d, a, b, n); },
  /* copysign */ (lane, d, a, b, c, n) => { floats2<CopySign>(lane, d, a, b, n); },
  /* nextafter */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) scalar2<f32, f32, NextAfter>(d, a, b, n); else scalar2<f64, f64, NextAfter>(d, a, b, n); },
  /* lgamma */ (lane, d, a, b, c, n) => { precise1<Lgamma>(lane, d, a, n); },
  /* digamma */ (lane, d, a, b, c, n) => { precise1<Digamma>(lane, d, a, n); },
  /* polygamma */ (lane, d, a, b, c, n) => { precise2<Polygamma>(lane, d, a, b, n); },
  /* zeta */ (lane, d, a, b, c, n) => { precise2<Zeta>(lane, d, a, b, n); },
  /* igamma */ (lane, d, a, b, c, n) => { precise2<Igamma>(lane, d, a, b, n); },
  /* igammac */ (lane, d, a, b, c, n) => { precise2<Igammac>(lane, d, a, b, n); },
  /* i0 */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) widened1<f32, I0Float>(d, a, n); else widened1<f64, I0>(d, a, n); },
  /* i0e */ (lane, d, a, b, c, n) => { precise1<I0e>(lane, d, a, n); },
  /* i1 */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) widened1<f32, I1Float>(d, a, n); else widened1<f64, I1>(d, a, n); },
  /* i1e */ (lane, d, a, b, c, n) => { precise1<I1e>(lane, d, a, n); },
  /* ndtri */ (lane, d, a, b, c, n) => { precise1<Ndtri>(lane, d, a, n); },
  /* log_ndtr */ (lane, d, a, b, c, n) => { precise1<LogNdtr>(lane, d, a, n); },
  /* erfcx */ (lane, d, a, b, c, n) => { precise1<Erfcx>(lane, d, a, n); },
  /* gelu */ (lane, d, a, b, c, n) => { if (lane == Lane.f32) geluBlock(d, a, n); else precise1<Gelu64>(lane, d, a, n); },
  /* gelu_slope */ (lane, d, a, b, c, n) => { mixed1<GeluSlope, GeluSlope64>(lane, d, a, n); },
];
