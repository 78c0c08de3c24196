/**
 * torch.special: Bessel functions of orders 0 and 1 of the second kind and of the unmodified first. Expansions in Chebyshev polynomials,
 * computed to 40 digits with mpmath and cut off below 1e-16 of their first term, evaluated in float64.
 */

import { float64, type DType } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";

/** K0(x) + ln(x / 2) I0(x) for x <= 2, in x² / 2 - 1. */
const K0_NEAR = [
  -0.2676636966169514, 0.3442898999246285, 0.0359799365153615, 0.001264615411446926, 2.286212103119452e-5, 2.5347910790261494e-7,
  1.904516377220209e-9, 1.0349695257633625e-11, 4.2598161427910826e-14, 1.3744654358807508e-16,
];
/** e^x sqrt(x) K0(x) for x >= 2, in 4 / x - 1. */
const K0_FAR = [
  1.2201515410329777, -0.0314481013119645, 0.0015698838857300533, -0.00012849549581627802, 1.39498137188765e-5,
  -1.8317555227191195e-6, 2.766813639445015e-7, -4.660489897687948e-8, 8.574034017414225e-9, -1.6975345093890614e-9,
  3.5773972814003283e-10, -7.957489244477396e-11, 1.8559491149549264e-11, -4.514597883374519e-12, 1.1403405882073441e-12,
  -2.9800969231481784e-13, 8.032890775068375e-14, -2.2275133267462965e-14, 6.340076476276646e-15, -1.848593377920907e-15,
  5.5120559994043335e-16, -1.6782311257549006e-16,
];
/** x (K1(x) - ln(x / 2) I1(x)) for x <= 2, in x² / 2 - 1. */
const K1_NEAR = [
  0.7626501136694739, -0.3531559607765449, -0.12261118082265715, -0.006975723859639864, -0.0001730288957513052,
  -2.4334061415659684e-6, -2.213387630734726e-8, -1.4114883926335278e-10, -6.666901694199329e-13, -2.427449850519366e-15,
];
/** e^x sqrt(x) K1(x) for x >= 2, in 4 / x - 1. */
const K1_FAR = [
  1.3603130952422213, 0.10392373657681724, -0.002857816859622779, 0.00019521551847135162, -1.936197974166083e-5,
  2.406484947837217e-6, -3.5019606030878126e-7, 5.7410841254500495e-8, -1.0345762465678097e-8, 2.0150497551970347e-9,
  -4.1903547593419254e-10, 9.218315187605315e-11, -2.129967838427791e-11, 5.139639673482343e-12, -1.2891739609498229e-12,
  3.348419666052243e-13, -8.976705182010146e-14, 2.4771544242195988e-14, -7.0198370892147685e-15, 2.038703166239861e-15,
  -6.057047270643018e-16, 1.8380935752430455e-16,
];
/** J0(x) for x <= 8, in x² / 32 - 1. */
const J0_NEAR = [
  0.15772797147489012, -0.008723442352852221, 0.2651786132033368, -0.37009499387264977, 0.15806710233209725,
  -0.034893769411408884, 0.004819180069467605, -0.00046062616620627504, 3.246032882100508e-5, -1.7619469077621507e-6,
  7.608163592418782e-8, -2.679253530557673e-9, 7.848696314479465e-11, -1.9438346867370164e-12, 4.125320595634374e-14,
  -7.588508125447546e-16,
];
/** J1(x) / x for x <= 8, in x² / 32 - 1. */
const J1_NEAR = [
  0.08104484632565812, -0.1489751450676521, 0.1609992623572097, -0.08268049176681791, 0.022213639654966037, -0.003646940600769276,
  0.0004050337728354822, -3.255554866857259e-5, 1.9858774049915165e-6, -9.521984756750436e-8, 3.687133759097148e-9,
  -1.178026622695885e-10, 3.160154580348003e-12, -7.221755239651773e-14, 1.4232144003513942e-15, -2.4441972916190464e-17,
];
/** Y0(x) - 2 / pi ln(x) J0(x) for x <= 8, in x² / 32 - 1. */
const Y0_NEAR = [
  -0.03314611320328494, -0.2744743055297453, 0.17903431407718268, 0.26156734625504663, -0.17730201278114358, 0.04719668959576339,
  -0.007287962479552079, 0.0007531135932577742, -5.632079141056987e-5, 3.206532537654801e-6, -1.44072332740187e-7,
  5.248794787330516e-9, -1.5837552541812015e-10, 4.02633081830612e-12, -8.747341203310769e-14, 1.6434898714919468e-15,
];
/** (Y1(x) - 2 / pi (ln(x) J1(x) - 1 / x)) / x for x <= 8, in x² / 32 - 1. */
const Y1_NEAR = [
  0.0025380132357417816, -0.01608717304766875, -0.09591204536083074, 0.08445197259652346, -0.028328123944594365,
  0.005289897544167113, -0.0006414551451326356, 5.505982873338744e-5, -3.53808001868935e-6, 1.7707804556154404e-7,
  -7.11055004989928e-9, 2.344337905911516e-10, -6.4651518414115946e-12, 1.51429151205002e-13, -3.0511859694473254e-15,
  5.34668038572867e-17,
];
/** The even part of the modulus of order 0 for x >= 8, in 128 / x² - 1. */
const P0 = [
  0.9994603493475187, -0.0005365220468132117, 3.0751847875194745e-6, -5.1705945376060975e-8, 1.6306464635151382e-9,
  -7.86409137723707e-11, 5.168262387349193e-12, -4.3045788699253914e-13, 4.3265957431549404e-14, -5.069034095935236e-15,
  6.748072215733873e-16, -1.0011513723467786e-16,
];
/** x times its odd part. */
const Q0 = [
  -0.12444683684269607, 0.0005470815954089319, -5.9315987288485175e-6, 1.4377965798375193e-7, -5.817532749493056e-9,
  3.376097523734991e-10, -2.565397936797308e-11, 2.404916100281365e-12, -2.6690625482579414e-13, 3.4041800321963686e-14,
  -4.87994410531204e-15, 7.729703176242605e-16, -1.3348852171502517e-16, 2.4865952389390515e-17,
];
/** The even part of the modulus of order 1 for x >= 8, in 128 / x² - 1. */
const P1 = [
  1.0009030408600137, 0.0008989898330859408, -3.987284300488908e-6, 6.177633960644299e-8, -1.8718907491063067e-9,
  8.816898659582339e-11, -5.704863640395645e-12, 4.699195515230542e-13, -4.6842237839904895e-14, 5.452674896044717e-15,
  -7.221180842274018e-16, 1.0667689114335412e-16,
];
/** x times its odd part. */
const Q1 = [
  0.3742222965562826, -0.0007702178839325664, 7.3108922063643636e-6, -1.676782510726674e-7, 6.583354662120443e-9,
  -3.749090950541556e-10, 2.8121750359748866e-11, -2.61145253946232e-12, 2.8774212663332235e-13, -3.649001916061838e-14,
  5.206626366226707e-15, -8.215318025458595e-16, 1.4141084390211833e-16,
];

/** A Chebyshev expansion at t in [-1, 1], by Clenshaw's recurrence. */
function expansion(coefficients: readonly number[], t: Expr): Expr {
  const twice = e.add(t, t);
  let b1: Expr = e.constant(0, float64);
  let b2: Expr = b1;
  for (const c of coefficients.slice(1).reverse()) {
    const b0 = e.add(e.sub(e.mul(twice, b1), b2), c);
    b2 = b1;
    b1 = b0;
  }
  return e.add(e.sub(e.mul(t, b1), b2), coefficients[0]!);
}

type SpecialOp = Op<[input: Tensor], Tensor>;

/** A function computed in float64. */
function precise(name: string, doc: string, expr: (x: Expr) => Expr): SpecialOp {
  return pointwise(name, "input", {
    doc,
    method: false,
    dtype: "float",
    expr: ({ input }, _params, dtype: DType) => e.cast(expr(e.cast(input!, float64)), dtype),
  });
}

/** By regions of x > 0; `at` is the value at 0, negative x give NaN. */
function onPositive(x: Expr, limit: number, near: Expr, far: Expr, at: number): Expr {
  const inside = e.where(e.le(x, limit), near, far);
  const atZero = e.where(e.eq(x, 0), e.constant(at, float64), e.constant(NaN, float64));
  return e.where(e.gt(x, 0), inside, atZero);
}

function k0(x: Expr, scaled: boolean): Expr {
  const near = e.sub(expansion(K0_NEAR, e.sub(e.mul(e.mul(x, x), 0.5), 1)), e.mul(e.log(e.mul(x, 0.5)), e.i0(x)));
  const far = e.div(expansion(K0_FAR, e.sub(e.div(4, x), 1)), e.sqrt(x));
  return onPositive(x, 2, scaled ? e.mul(near, e.exp(x)) : near, scaled ? far : e.mul(far, e.exp(e.neg(x))), Infinity);
}

function k1(x: Expr, scaled: boolean): Expr {
  const rest = e.div(expansion(K1_NEAR, e.sub(e.mul(e.mul(x, x), 0.5), 1)), x);
  const near = e.add(rest, e.mul(e.log(e.mul(x, 0.5)), e.i1(x)));
  const far = e.div(expansion(K1_FAR, e.sub(e.div(4, x), 1)), e.sqrt(x));
  return onPositive(x, 2, scaled ? e.mul(near, e.exp(x)) : near, scaled ? far : e.mul(far, e.exp(e.neg(x))), Infinity);
}

export const modified_bessel_k0: SpecialOp = precise(
  "modified_bessel_k0",
  "The modified Bessel function of the second kind of order 0.",
  (x) => k0(x, false),
);
export const modified_bessel_k1: SpecialOp = precise(
  "modified_bessel_k1",
  "The modified Bessel function of the second kind of order 1.",
  (x) => k1(x, false),
);
export const scaled_modified_bessel_k0: SpecialOp = precise(
  "scaled_modified_bessel_k0",
  "e^input modified_bessel_k0(input).",
  (x) => k0(x, true),
);
export const scaled_modified_bessel_k1: SpecialOp = precise(
  "scaled_modified_bessel_k1",
  "e^input modified_bessel_k1(input).",
  (x) => k1(x, true),
);

/** Amplitude and phase of the oscillation for x >= 8. */
interface Wave {
  readonly even: Expr;
  readonly odd: Expr;
  readonly sine: Expr;
  readonly cosine: Expr;
  readonly size: Expr;
}

function wave(x: Expr, order: 0 | 1): Wave {
  const t = e.sub(e.div(128, e.mul(x, x)), 1);
  const phase = e.sub(x, ((2 * order + 1) * Math.PI) / 4);
  return {
    even: expansion(order === 0 ? P0 : P1, t),
    odd: e.div(expansion(order === 0 ? Q0 : Q1, t), x),
    sine: e.sin(phase),
    cosine: e.cos(phase),
    size: e.sqrt(e.div(2 / Math.PI, x)),
  };
}

const firstKind = ({ even, odd, sine, cosine, size }: Wave): Expr => e.mul(size, e.sub(e.mul(even, cosine), e.mul(odd, sine)));
const secondKind = ({ even, odd, sine, cosine, size }: Wave): Expr => e.mul(size, e.add(e.mul(even, sine), e.mul(odd, cosine)));
const nearArgument = (x: Expr): Expr => e.sub(e.div(e.mul(x, x), 32), 1);

/** J of order 0 or 1 for x >= 0. */
function besselJ(x: Expr, order: 0 | 1): Expr {
  const t = nearArgument(x);
  const near = order === 0 ? expansion(J0_NEAR, t) : e.mul(x, expansion(J1_NEAR, t));
  const limit = e.constant(order === 0 ? 0 : NaN, float64); // at infinity, as PyTorch
  const far = e.where(e.isinf(x), limit, firstKind(wave(x, order)));
  return e.where(e.le(x, 8), near, far);
}

export const bessel_j0: SpecialOp = precise("bessel_j0", "The Bessel function of the first kind of order 0.", (x) =>
  besselJ(e.abs(x), 0),
);
export const bessel_j1: SpecialOp = precise("bessel_j1", "The Bessel function of the first kind of order 1.", (x) => {
  const y = besselJ(e.abs(x), 1);
  return e.where(e.lt(x, 0), e.neg(y), y);
});

const TWO_OVER_PI = 2 / Math.PI;

export const bessel_y0: SpecialOp = precise("bessel_y0", "The Bessel function of the second kind of order 0.", (x) => {
  const singular = e.mul(e.mul(e.log(x), TWO_OVER_PI), besselJ(x, 0));
  const near = e.add(expansion(Y0_NEAR, nearArgument(x)), singular);
  return onPositive(x, 8, near, secondKind(wave(x, 0)), -Infinity);
});
export const bessel_y1: SpecialOp = precise("bessel_y1", "The Bessel function of the second kind of order 1.", (x) => {
  const singular = e.mul(e.sub(e.mul(e.log(x), besselJ(x, 1)), e.reciprocal(x)), TWO_OVER_PI);
  const near = e.add(e.mul(x, expansion(Y1_NEAR, nearArgument(x))), singular);
  return onPositive(x, 8, near, secondKind(wave(x, 1)), -Infinity);
});

/** Ai(x) for -4.5 <= x <= 2.5, in (x + 1) / 3.5. */
const AIRY_MIDDLE = [
  0.09847454330426639, 0.051253518574443206, -0.11817449519934503, -0.18675497405009273, 0.25021395767232435,
  -0.04435272691044491, -0.07641924439036872, 0.050150642886780825, -0.0034821335977518256, -0.00857729631822494,
  0.0037809547569146156, -6.887119338314011e-5, -0.0004599615245229946, 0.0001505533612485363, 2.318625676239123e-6,
  -1.4485309340879724e-5, 3.7080548096342663e-6, 1.524362420489756e-7, -3.000799541948099e-7, 6.201507131498713e-8,
  3.8941059718879e-9, -4.3982653809920225e-9, 7.493184224030994e-10, 6.17836771357014e-11, -4.799670931182121e-11,
  6.83674715879275e-12, 6.928201730357623e-13, -4.0498695181431857e-13, 4.8684341847959936e-14, 5.860235481004286e-15,
  -2.7204051069158888e-15, 2.775553213520714e-16, 3.8961298615342525e-17, -1.4888820285229467e-17,
];
/** e^s x^(1/4) Ai(x) for x >= 2.5, s = 2/3 x^1.5, in 2 s(2.5) / s - 1. */
const AIRY_RIGHT = [
  0.27881738894725117, -0.003147782490421212, 0.00012081518434695478, -7.996587790384034e-6, 7.177086197413866e-7,
  -7.90134072822138e-8, 1.010953909317521e-8, -1.4541819510294968e-9, 2.2998552358233834e-10, -3.936488499971245e-11,
  7.206852618601352e-12, -1.3986079675847562e-12, 2.8567574350789474e-13, -6.106469927804805e-14, 1.3595816906198789e-14,
  -3.1406371844316413e-15, 7.502253404958511e-16, -1.847996723399258e-16, 4.682620463619639e-17,
];
/** Amplitudes of the oscillation for x <= -4.5, in 2 (s(4.5) / s)² - 1. */
const AIRY_COSINE = [
  0.9995536016592858, -0.00044255600249022215, 3.7464948785574585e-6, -9.147926787106577e-8, 4.0685023228430725e-9,
  -2.6897245359447526e-10, 2.363449618675092e-11, -2.576195886826486e-12, 3.3274850157582603e-13, -4.9322091688066274e-14,
  8.196203733152184e-15, -1.5003542015688562e-15, 2.9845588289887906e-16,
];
/** The other one, times s. */
const AIRY_SINE = [
  0.0689986813746521, -0.00043847415305876955, 7.0285131258204494e-6, -2.4531075470483036e-7, 1.3871875616806255e-8,
  -1.0947446912594973e-9, 1.1046844858983291e-10, -1.3475725842508134e-11, 1.9127441564251805e-12, -3.074037537243461e-13,
  5.482078329678447e-14, -1.068281395250709e-14, 2.2475712780366504e-15, -5.056721949945704e-16, 1.2071941989372259e-16,
  -3.038483751855352e-17, 8.020234897573714e-18,
];

/** 2/3 x^1.5 at the borders of the middle region. */
const S_RIGHT = (2 / 3) * 2.5 ** 1.5;
const S_LEFT = (2 / 3) * 4.5 ** 1.5;

/** 2/3 x^1.5 as a sum: its second part has the digits that the first lacks where floats are short. */
function airyArgument(x: Expr, root: Expr): [Expr, Expr] {
  const rootRest = e.div(e.fma(e.neg(root), root, x), e.mul(root, 2));
  const power = e.mul(x, root);
  const powerRest = e.add(e.fma(x, root, e.neg(power)), e.mul(x, rootRest));
  const twice = e.mul(power, 2);
  const s = e.div(twice, 3);
  return [s, e.div(e.add(e.fma(s, -3, twice), e.mul(powerRest, 2)), 3)];
}

export const airy_ai: SpecialOp = precise("airy_ai", "The Airy function Ai.", (x) => {
  const magnitude = e.abs(x);
  const root = e.sqrt(magnitude);
  const fourthRoot = e.sqrt(root);
  // (Further out the power overflows where floats are short, and the phase has no digit left in any float.)
  const near = e.minimum(magnitude, 1e25);
  const [s, rest] = airyArgument(near, e.sqrt(near));
  const middle = expansion(AIRY_MIDDLE, e.div(e.add(x, 1), 3.5));
  const decay = expansion(AIRY_RIGHT, e.sub(e.div(2 * S_RIGHT, s), 1));
  const right = e.div(e.mul(decay, e.exp(e.neg(s))), fourthRoot);
  const t = e.sub(e.div(2 * S_LEFT * S_LEFT, e.mul(s, s)), 1);
  const [cosS, sinS] = [e.cos(s), e.sin(s)];
  const shift = e.sub(rest, Math.PI / 4);
  const [cosShift, sinShift] = [e.cos(shift), e.sin(shift)];
  const cosine = e.mul(expansion(AIRY_COSINE, t), e.sub(e.mul(cosS, cosShift), e.mul(sinS, sinShift)));
  const sine = e.mul(e.div(expansion(AIRY_SINE, t), s), e.add(e.mul(sinS, cosShift), e.mul(cosS, sinShift)));
  const left = e.div(e.mul(e.add(cosine, sine), 1 / Math.sqrt(Math.PI)), fourthRoot);
  const inside = e.where(e.ge(x, 2.5), right, e.where(e.le(x, -4.5), left, middle));
  return e.where(e.isinf(x), e.constant(NaN, float64), inside);
});
