/** torch.fft. */

import type { Device } from "../../core/device.ts";
import { type DType, get_default_dtype, type Scalar } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { arange, type TensorOptions } from "../creation.ts";
import { cat } from "../joining.ts";
import { checkPoints, dimOf, type Norm, planOf, type Sizes } from "./arguments.ts";
import { complexToComplex, halfToReal, realToHalf } from "./spectra.ts";
import type { Sign } from "./tables.ts";

type Kind = typeof complexToComplex;
type LineOp = Op<[input: Tensor, ...Args<[{ n?: number | null }, { dim?: number }, { norm?: Norm }]>], Tensor>;
type PlaneOp = Op<[input: Tensor, ...Args<[{ s?: Sizes }, { dim?: Sizes }, { norm?: Norm }]>], Tensor>;

function line(name: string, kind: Kind, sign: Sign, doc: string): LineOp {
  return composite(
    name,
    "input, n=None, dim=-1, norm=None",
    { doc, method: false },
    (input: Tensor, n: number | null, dim: number, norm: Norm) => {
      const op = `fft.${name}`;
      checkTensor(op, "input", input);
      dimOf(op, dim, input.ndim);
      if (n !== null) checkPoints(op, n);
      return kind(op, input, planOf(op, input, n, dim), norm, sign);
    },
  );
}

function plane(name: string, dims: string, kind: Kind, sign: Sign, doc: string): PlaneOp {
  return composite(
    name,
    `input, s=None, dim=${dims}, norm=None`,
    { doc, method: false },
    (input: Tensor, s: Sizes, dim: Sizes, norm: Norm) => {
      const op = `fft.${name}`;
      checkTensor(op, "input", input);
      return kind(op, input, planOf(op, input, s, dim), norm, sign);
    },
  );
}

const LAST = "[-2, -1]";
const FORWARD = "The discrete Fourier transform";
const INVERSE = "The inverse discrete Fourier transform";
const HALF = "of real numbers: the first half of the spectrum, which determines the other";
const REAL = "of the first half of a Hermitian spectrum: real numbers";

export const fft = line("fft", complexToComplex, -1, `${FORWARD} along dim, of n points.`);
export const ifft = line("ifft", complexToComplex, 1, `${INVERSE} along dim, of n points.`);
export const rfft = line("rfft", realToHalf, -1, `${FORWARD} along dim ${HALF}.`);
export const irfft = line("irfft", halfToReal, 1, `${INVERSE} along dim ${REAL}, n of them.`);
export const hfft = line("hfft", halfToReal, -1, `${FORWARD} along dim ${REAL}, n of them.`);
export const ihfft = line("ihfft", realToHalf, 1, `${INVERSE} along dim ${HALF}.`);

export const fft2 = plane("fft2", LAST, complexToComplex, -1, `${FORWARD} over two dimensions.`);
export const ifft2 = plane("ifft2", LAST, complexToComplex, 1, `${INVERSE} over two dimensions.`);
export const rfft2 = plane("rfft2", LAST, realToHalf, -1, `${FORWARD} over two dimensions ${HALF}.`);
export const irfft2 = plane("irfft2", LAST, halfToReal, 1, `${INVERSE} over two dimensions ${REAL}.`);
export const hfft2 = plane("hfft2", LAST, halfToReal, -1, `${FORWARD} over two dimensions ${REAL}.`);
export const ihfft2 = plane("ihfft2", LAST, realToHalf, 1, `${INVERSE} over two dimensions ${HALF}.`);

export const fftn = plane("fftn", "None", complexToComplex, -1, `${FORWARD} over all dimensions, or dim.`);
export const ifftn = plane("ifftn", "None", complexToComplex, 1, `${INVERSE} over all dimensions, or dim.`);
export const rfftn = plane("rfftn", "None", realToHalf, -1, `${FORWARD} over all dimensions, or dim, ${HALF}.`);
export const irfftn = plane("irfftn", "None", halfToReal, 1, `${INVERSE} over all dimensions, or dim, ${REAL}.`);
export const hfftn = plane("hfftn", "None", halfToReal, -1, `${FORWARD} over all dimensions, or dim, ${REAL}.`);
export const ihfftn = plane("ihfftn", "None", realToHalf, 1, `${INVERSE} over all dimensions, or dim, ${HALF}.`);

type FrequencyOp = Op<
  [n: number, ...Args<[{ d?: Scalar }], TensorOptions & { layout?: string | null; pin_memory?: boolean }>],
  Tensor
>;

/** Whole numbers, over the length of the whole signal. */
function frequencies(name: string, doc: string, counts: (n: number, at: { device: Device | null }) => Tensor): FrequencyOp {
  return composite(
    name,
    "n, d=1.0, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False",
    { doc, method: false },
    (
      n: number,
      d: Scalar,
      dtype: DType | null,
      _layout: unknown,
      device: Device | null,
      _pinned: unknown,
      requires_grad: boolean,
    ) => {
      const type = dtype ?? get_default_dtype();
      if (!type.is_floating_point && !type.is_complex) {
        throw new RuntimeError(`fft.${name}: requires a floating point or complex dtype, got ${type}`);
      }
      if (n < 0) throw new RuntimeError(`fft.${name}: n must not be negative, got ${n}`);
      const out = counts(n, { device })
        .to(type)
        .mul(1 / (n * Number(d)));
      return requires_grad ? out.requires_grad_() : out;
    },
  );
}

export const fftfreq: FrequencyOp = frequencies(
  "fftfreq",
  "The frequencies of fft's results: those from 0 up, then the negative ones, in cycles per unit of d.",
  (n, at) => cat([arange(0, Math.ceil(n / 2), at), arange(-Math.floor(n / 2), 0, at)]),
);
export const rfftfreq: FrequencyOp = frequencies(
  "rfftfreq",
  "The frequencies of rfft's results, in cycles per unit of d.",
  (n, at) => arange(0, Math.floor(n / 2) + 1, at),
);

type ShiftOp = Op<[input: Tensor, ...Args<[{ dim?: Sizes }]>], Tensor>;

function shift(name: string, doc: string, by: (n: number) => number): ShiftOp {
  return composite(name, "input, dim=None", { doc, method: false }, (input: Tensor, dim: Sizes) => {
    checkTensor(`fft.${name}`, "input", input);
    const dims = dim === null ? input.shape.map((_, d) => d) : typeof dim === "number" ? [dim] : dim;
    if (dims.length === 0) return input.clone();
    return input.roll(
      dims.map((d) => by(input.shape[dimOf(`fft.${name}`, d, input.ndim)]!)),
      dims,
    );
  });
}

export const fftshift: ShiftOp = shift("fftshift", "Puts frequency 0 in the middle.", (n) => Math.floor(n / 2));
export const ifftshift: ShiftOp = shift("ifftshift", "Undoes fftshift.", (n) => Math.ceil(n / 2));
