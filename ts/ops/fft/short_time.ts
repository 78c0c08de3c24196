/** Short-time transforms: of overlapping frames of a signal, and back. */

import { int64, type DType } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { readable } from "../../engine/blocking.ts";
import { viewAsReal } from "../../engine/complex.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { arange, filled } from "../creation.ts";
import { constant_pad_nd, pad } from "../functional/padding.ts";
import { fft, ifft, irfft, rfft } from "./index.ts";

/** How frames lie: their length, their distance, how much of them the window covers. */
interface Frames {
  readonly size: number;
  readonly hop: number;
  readonly window: Tensor | null;
}

/** The window in the middle of its frame, in the frames' real type at least; null: ones. */
function windowOf(
  op: string,
  window: Tensor | null,
  length: number | null,
  n: number,
  like: { dtype: DType; device: Tensor["device"] },
): Tensor | null {
  const size = length ?? n;
  if (!(size > 0 && size <= n))
    throw new RuntimeError(`${op}: expected 0 < win_length <= n_fft, but got win_length=${size} of ${n}`);
  if (window !== null) {
    checkTensor(op, "window", window);
    if (window.ndim !== 1 || window.shape[0] !== size) {
      throw new RuntimeError(
        `${op}: expected a 1D window tensor of size equal to win_length=${size}, but got window with size ${formatShape(window.shape)}`,
      );
    }
    if (window.device !== like.device) {
      throw new RuntimeError(
        `${op}: input is on ${like.device.type} but window on ${window.device.type}; move the window to the input's device`,
      );
    }
  }
  if (size === n) return window;
  const left = Math.floor((n - size) / 2);
  return constant_pad_nd(window ?? filled([size], 1, like.dtype.real, like.device), [left, n - size - left]);
}

function hopOf(op: string, hop: number | null, n: number): number {
  const by = hop ?? Math.floor(n / 4);
  if (!(by > 0)) throw new RuntimeError(`${op}: expected hop_length > 0, but got hop_length=${by}`);
  return by;
}

type StftOp = Op<
  [
    input: Tensor,
    ...Args<
      [
        { n_fft: number },
        { hop_length?: number | null },
        { win_length?: number | null },
        { window?: Tensor | null },
        { center?: boolean },
        { pad_mode?: string },
        { normalized?: boolean },
        { onesided?: boolean | null },
        { return_complex?: boolean | null },
      ]
    >,
  ],
  Tensor,
  "method"
>;
export const stft: StftOp = composite(
  "stft",
  "input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode='reflect', normalized=False, onesided=None, return_complex=None",
  { doc: "Fourier transforms of frames of n_fft numbers, hop_length apart, times the window: [..., frequency, frame]." },
  (
    input: Tensor,
    n: number,
    hopLength: number | null,
    winLength: number | null,
    given: Tensor | null,
    center: boolean,
    padMode: string,
    normalized: boolean,
    onesided: boolean | null,
    returnComplex: boolean | null,
  ) => {
    checkTensor("stft", "input", input);
    const complex = input.dtype.is_complex || given?.dtype.is_complex === true;
    if (returnComplex === null && !complex) {
      throw new RuntimeError(
        "stft: requires the return_complex parameter be given for real inputs; pass return_complex: true, or false for pairs of reals",
      );
    }
    if (!input.dtype.is_floating_point && !input.dtype.is_complex) {
      throw new RuntimeError(`stft: expected a tensor of floating point or complex values, got ${input.dtype}`);
    }
    if (input.ndim !== 1 && input.ndim !== 2) {
      throw new RuntimeError(`stft: expected a 1D or 2D tensor, got shape ${formatShape(input.shape)}`);
    }
    if (!(n > 0)) throw new RuntimeError(`stft: expected n_fft > 0, but got n_fft=${n}`);
    let signal = input.ndim === 1 ? input.unsqueeze(0) : input;
    if (center) {
      const half = Math.floor(n / 2);
      signal = pad(signal.unsqueeze(0), [half, half], { mode: padMode }).squeeze(0);
    }
    const length = signal.shape[1]!;
    if (n > length) throw new RuntimeError(`stft: expected 0 < n_fft <= ${length}, but got n_fft=${n}`);
    const hop = hopOf("stft", hopLength, n);
    const window = windowOf("stft", given, winLength, n, signal);
    if (onesided === true && complex) {
      throw new RuntimeError("stft: Cannot have onesided output if window or input is complex; pass onesided: false");
    }
    const frames = signal.unfold(1, n, hop);
    const windowed = window === null ? frames : frames.mul(window);
    const spectrum = ((onesided ?? !complex) ? rfft : fft)(windowed, { norm: normalized ? "ortho" : "backward" }).transpose(1, 2);
    const out = input.ndim === 1 ? spectrum.squeeze(0) : spectrum;
    return (returnComplex ?? true) ? out : viewAsReal(out);
  },
);

/** [batch, frames, size] → [batch, length]: frames `hop` apart added up. */
function overlapped(frames: Tensor, { size, hop }: Frames): Tensor {
  const [batch, count] = frames.shape as [number, number, number];
  const { device } = frames;
  const at = arange(0, count * hop, hop, { device })
    .unsqueeze(1)
    .add(arange(0, size, { device }))
    .to(int64)
    .reshape(-1);
  const zeros = filled([batch, size + hop * (count - 1)], 0, frames.dtype, device);
  return zeros.index_add(1, at, frames.reshape(batch, count * size));
}

type IstftOp = Op<
  [
    input: Tensor,
    ...Args<
      [
        { n_fft: number },
        { hop_length?: number | null },
        { win_length?: number | null },
        { window?: Tensor | null },
        { center?: boolean },
        { normalized?: boolean },
        { onesided?: boolean | null },
        { length?: number | null },
        { return_complex?: boolean },
      ]
    >,
  ],
  Tensor,
  "method"
>;
export const istft: IstftOp = composite(
  "istft",
  "input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None, length=None, return_complex=False",
  { doc: "The signal whose stft is nearest to input: frames transformed back, added up, and divided by their windows' squares." },
  (
    input: Tensor,
    n: number,
    hopLength: number | null,
    winLength: number | null,
    given: Tensor | null,
    center: boolean,
    normalized: boolean,
    onesidedGiven: boolean | null,
    length: number | null,
    returnComplex: boolean,
  ) => {
    checkTensor("istft", "input", input);
    if (!input.dtype.is_complex) {
      throw new RuntimeError(
        `istft: requires a complex-valued input tensor matching the output from stft with return_complex: true, got ${input.dtype}`,
      );
    }
    if (input.numel() === 0) throw new RuntimeError("istft: input tensor cannot be empty");
    if (input.ndim !== 2 && input.ndim !== 3) {
      throw new RuntimeError(`istft: expected a tensor with 2 or 3 dimensions, got shape ${formatShape(input.shape)}`);
    }
    const bins = input.shape.at(-2)!;
    const onesided = onesidedGiven ?? bins !== n;
    const expected = onesided ? Math.floor(n / 2) + 1 : n;
    if (bins !== expected) {
      throw new RuntimeError(
        `istft: expected the frequency dimension (the second from last) of the input to be ${onesided ? "n_fft / 2 + 1" : "n_fft"} = ${expected} when onesided is ${onesided}, got ${bins}`,
      );
    }
    const hop = hopOf("istft", hopLength, n);
    if (hop > (winLength ?? n)) {
      throw new RuntimeError(
        `istft: expected 0 < hop_length <= win_length, but got hop_length=${hop}, win_length=${winLength ?? n}`,
      );
    }
    const window = windowOf("istft", given, winLength, n, input);
    if (returnComplex && onesided) {
      throw new RuntimeError("istft: Cannot have onesided output if window or input is complex; pass onesided: false");
    }
    if (!returnComplex && given?.dtype.is_complex === true) {
      throw new RuntimeError("istft: Complex windows are incompatible with return_complex: false");
    }
    const spectra = (input.ndim === 2 ? input.unsqueeze(0) : input).transpose(1, 2);
    const norm = normalized ? "ortho" : "backward";
    const frames = returnComplex ? ifft(spectra, { norm }) : irfft(spectra.narrow(2, 0, Math.floor(n / 2) + 1), { n, norm });
    const lie: Frames = { size: n, hop, window };
    const count = frames.shape[1]!;
    const sums = overlapped(window === null ? frames : frames.mul(window), lie);
    const weights = window === null ? filled([n], 1, input.dtype.real, input.device) : window.mul(window);
    const envelope = overlapped(weights.expand(1, count, n), lie);

    const total = sums.shape[1]!;
    const start = center ? Math.floor(n / 2) : 0;
    const end = length !== null ? start + length : center ? total - Math.floor(n / 2) : total;
    const stop = Math.min(end, total);
    if (stop <= start) {
      throw new RuntimeError(
        `istft: nothing is left of ${total} numbers from ${start} to ${end}; ask for another length, or more frames`,
      );
    }
    const cut = (t: Tensor): Tensor => t.narrow(1, start, stop - start);
    const divisor = cut(envelope);
    // Where values cannot be read now, what no window covers comes out as infinities and NaN.
    if (readable(input.device) && !(Number(divisor.detach().abs().min().item_sync()) > 1e-11)) {
      throw new RuntimeError("istft: window overlap add min: 0; every number must be under the window of some frame");
    }
    const whole = cut(sums).div(divisor);
    // A signal shorter than length is filled up with zeros.
    const out = end > total ? constant_pad_nd(whole, [0, end - total]) : whole;
    return input.ndim === 2 ? out.squeeze(0) : out;
  },
);
