/**
 * The discrete Fourier transform along one dimension, of real and imaginary parts. A length is split into factors (Cooley and Tukey, 1965) whose
 * transforms are products with small matrices, so every device has it by its matrix product; a great prime factor becomes a convolution of a power
 * of two (Bluestein, 1970).
 */

import { numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { withoutAutocast } from "../../engine/autocast.ts";
import { defineOp, type Op } from "../../engine/define.ts";
import { filled } from "../creation.ts";
import { constant_pad_nd } from "../functional/padding.ts";
import { cat } from "../joining.ts";
import { chirp, chirpSpectrum, matrixOf, twiddles, type Factors, type Sign } from "./tables.ts";

/** `im` null: all zeros. */
export interface Parts {
  readonly re: Tensor;
  readonly im: Tensor | null;
}
interface Both {
  readonly re: Tensor;
  readonly im: Tensor;
}

/** Lengths up to this are one matrix product. */
const DIRECT = 32;
/** So are prime factors up to this. */
const PRIME = 64;
/** The greatest factor that is split off. */
const RADIX = 16;

function smallestPrime(n: number): number {
  for (let p = 2; p * p <= n; p++) if (n % p === 0) return p;
  return n;
}

/** The factor of n to split off; n itself: none. */
function radixOf(n: number): number {
  for (let r = RADIX; r > 1; r--) if (n % r === 0) return r;
  return smallestPrime(n);
}

const scaled = ({ re, im }: Parts, by: Factors): Both => {
  if (im === null) return { re: re.mul(by.re), im: re.mul(by.im) };
  return { re: re.mul(by.re).sub(im.mul(by.im)), im: re.mul(by.im).add(im.mul(by.re)) };
};

/** Over the middle dimension of [rows, n, columns], the parts' shape. */
function middle({ re, im }: Parts, sign: Sign): Both {
  const [rows, n, columns] = re.shape as [number, number, number];
  if (n === 1) return { re, im: im ?? filled(re.shape, 0, re.dtype, re.device) };
  const radix = radixOf(n);
  if (n <= DIRECT || (radix === n && n <= PRIME)) return byMatrix({ re, im }, sign);
  if (radix === n) return byChirp({ re, im }, sign);
  const rest = n / radix;
  const split = (t: Tensor): Tensor => t.reshape(rows, radix, rest * columns);
  const first = middle({ re: split(re), im: im === null ? null : split(im) }, sign);
  const spread = (t: Tensor): Tensor => t.reshape(rows, radix, rest, columns);
  const turned = scaled({ re: spread(first.re), im: spread(first.im) }, twiddles(radix, rest, sign, re.dtype, re.device));
  const fold = (t: Tensor): Tensor => t.reshape(rows * radix, rest, columns);
  const second = middle({ re: fold(turned.re), im: fold(turned.im) }, sign);
  // Result k is that of row k mod radix, column k div radix.
  const order = (t: Tensor): Tensor => t.reshape(rows, radix, rest, columns).transpose(1, 2).reshape(rows, n, columns);
  return { re: order(second.re), im: order(second.im) };
}

function byMatrix({ re, im }: Parts, sign: Sign): Both {
  const [rows, n, columns] = re.shape as [number, number, number];
  const whole = matrixOf(n, sign, re.dtype, re.device);
  const matrix = im === null ? whole.narrow(1, 0, n) : whole;
  const x = im === null ? re : cat([re, im], 1);
  const width = x.shape[1]!;
  const out =
    columns === 1
      ? x.reshape(rows, width).mm(matrix.t()).unsqueeze(2)
      : rows === 1
        ? matrix.mm(x.reshape(width, columns)).unsqueeze(0)
        : matrix.expand(rows, 2 * n, width).bmm(x);
  return { re: out.narrow(1, 0, n), im: out.narrow(1, n, n) };
}

function byChirp(x: Parts, sign: Sign): Both {
  const { dtype, device, shape } = x.re;
  const n = shape[1]!;
  const m = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const wave = chirp(n, sign, dtype, device);
  const widen = (t: Tensor): Tensor => constant_pad_nd(t, [0, 0, 0, m - n]);
  const a = scaled(x, wave);
  const spectrum = scaled(middle({ re: widen(a.re), im: widen(a.im) }, -1), chirpSpectrum(n, m, sign, dtype, device));
  const y = middle(spectrum, 1);
  return scaled({ re: y.re.narrow(1, 0, n), im: y.im.narrow(1, 0, n) }, wave);
}

type TransformOp = Op<[re: Tensor, im: Tensor | null, dim: number, sign: Sign], [Tensor, Tensor]>;
const primitive: TransformOp = defineOp("fft_transform", "re, im, dim, sign", {
  doc: "Sums of (re + i im)[j] e^(i sign 2π jk / n) along dim, as real and imaginary parts.",
  method: false,
  forward(ctx, re: Tensor, im: Tensor | null, dim: number, sign: Sign) {
    ctx.state = { dim, sign, complex: im !== null };
    const { shape } = re;
    if (numelOf(shape) === 0) return [filled(shape, 0, re.dtype, re.device), filled(shape, 0, re.dtype, re.device)];
    const flat = [numelOf(shape.slice(0, dim)), shape[dim]!, numelOf(shape.slice(dim + 1))] as const;
    // Autocast must not take the products into lower precision.
    const out = withoutAutocast(() => middle({ re: re.reshape(...flat), im: im === null ? null : im.reshape(...flat) }, sign));
    return [out.re.reshape(shape), out.im.reshape(shape)].map((t) => (t === re || t === im ? t.clone() : t));
  },
  // The matrix is symmetric: its adjoint is the transform of the other sign.
  backward(ctx, gRe: Tensor | null, gIm: Tensor | null) {
    const { dim, sign, complex } = ctx.state as { dim: number; sign: Sign; complex: boolean };
    const re = gRe ?? filled(gIm!.shape, 0, gIm!.dtype, gIm!.device);
    const [a, b] = primitive(re, gIm, dim, sign === 1 ? -1 : 1);
    return [a, complex ? b : null];
  },
});

/** The unscaled transform along `dim` (not negative), differentiable. */
export function transform({ re, im }: Parts, dim: number, sign: Sign): Both {
  const [a, b] = primitive(re, im, dim, sign);
  return { re: a, im: b };
}
