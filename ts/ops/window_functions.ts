/** Window functions under the names that torch itself gives them: periodic unless periodic is false. */

import type { Device } from "../core/device.ts";
import { float32, get_default_dtype, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { type Args, describe } from "../engine/signature.ts";
import type { TensorOptions } from "./creation.ts";
import * as windows from "./signal/windows.ts";

type Place = Device | string | null;
type WindowOp<P extends readonly object[] = []> = Op<
  [...Args<[{ window_length: number }, { periodic?: boolean }, ...P], TensorOptions>],
  Tensor
>;
interface Options {
  sym: boolean;
  dtype: DType;
  device: Place;
  requires_grad: boolean;
}

function windowOp<O>(name: string, parameters: string, make: (n: number, options: Options, parameters: number[]) => Tensor): O {
  const own = parameters === "" ? 0 : parameters.split(", ").length;
  const signature = `window_length, periodic=True, ${parameters === "" ? "" : `${parameters}, `}*, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False`;
  return composite(
    name,
    signature,
    { doc: "As torch.signal.windows, periodic by default." },
    (n: number, periodic: boolean, ...rest: unknown[]) => {
      const [dtype, , device, , requires_grad] = rest.slice(own) as [DType | null, unknown, Place, boolean, boolean];
      if (!Number.isInteger(n)) throw new TypeError(`${name}: window_length must be a whole number, got ${describe(n)}`);
      if (n < 0) throw new RuntimeError(`${name}: requires non-negative window_length, got window_length=${n}`);
      const type = dtype ?? get_default_dtype();
      if (!type.is_floating_point) throw new RuntimeError(`${name}: expects floating point dtypes, got: ${type}`);
      // In halves by way of float32: the windows themselves come in float32 and float64.
      const wide = type.itemsize === 2 ? float32 : type;
      const out = make(n, { sym: !periodic, dtype: wide, device, requires_grad: false }, rest.slice(0, own).map(Number)).to(type);
      return requires_grad ? out.requires_grad_() : out;
    },
  );
}

export const hann_window: WindowOp = windowOp("hann_window", "", (n, options) => windows.hann(n, options));
export const blackman_window: WindowOp = windowOp("blackman_window", "", (n, options) => windows.blackman(n, options));
export const bartlett_window: WindowOp = windowOp("bartlett_window", "", (n, options) => windows.bartlett(n, options));
export const hamming_window: WindowOp<[{ alpha?: number }, { beta?: number }]> = windowOp(
  "hamming_window",
  "alpha=0.54, beta=0.46",
  (n, options, a) => windows.general_cosine(n, { ...options, a }),
);
export const kaiser_window: WindowOp<[{ beta?: number }]> = windowOp("kaiser_window", "beta=12", (n, options, [beta]) =>
  windows.kaiser(n, { ...options, beta: beta! }),
);
