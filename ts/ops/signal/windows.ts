/** torch.signal.windows: window functions, symmetric unless sym is false. */

import type { Device } from "../../core/device.ts";
import { float32, float64, get_default_dtype, type DType, type Scalar } from "../../core/dtype.ts";
import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { describe } from "../../engine/signature.ts";
import { composite, type Op } from "../../engine/define.ts";
import { filled, finish, place } from "../creation.ts";
import { linspace } from "../creation_more.ts";

type Place = Device | string | null;
/** What all windows take. */
export interface WindowOptions {
  sym?: boolean;
  dtype?: DType | null;
  layout?: string | null;
  device?: Place;
  requires_grad?: boolean;
}
type WindowOp<K extends object = object> = Op<[M: number, options?: WindowOptions & K], Tensor>;
type Body = (n: number, sym: boolean, dtype: DType, device: Device, parameter: unknown, center: unknown) => Tensor;

const COMMON = "sym=True, dtype=None, layout=None, device=None, requires_grad=False";

function windowOp<O>(name: string, parameters: string, doc: string, check: (parameter: unknown) => void, body: Body): O {
  const own = parameters === "" ? 0 : parameters.split(", ").length;
  return composite(
    name,
    `M, *, ${parameters === "" ? "" : `${parameters}, `}${COMMON}`,
    { doc },
    (M: number, ...rest: unknown[]) => {
      const [sym, given, layout, device, rg] = rest.slice(own) as [boolean, DType | null, unknown, Place, boolean];
      const [parameter, center] = rest.slice(0, own);
      const dtype = given ?? get_default_dtype();
      if (layout !== null && layout !== "strided") {
        throw new ValueError(`${name}: is implemented for strided tensors only, got: ${String(layout)}`);
      }
      if (dtype !== float32 && dtype !== float64)
        throw new ValueError(`${name}: expects float32 or float64 dtypes, got: ${dtype}`);
      if (!Number.isInteger(M)) throw new TypeError(`${name}: the window's length must be a whole number, got ${describe(M)}`);
      if (M < 0) throw new ValueError(`${name}: requires non-negative window length, got M=${M}`);
      check(parameter);
      const on = place(device);
      if (name === "exponential" && sym && center !== null)
        throw new ValueError("exponential: Center must be None for symmetric windows");
      if (M === 0) return finish(filled([0], 0, dtype, on), rg);
      if (M === 1 && name !== "exponential" && name !== "gaussian") return finish(filled([1], 1, dtype, on), rg);
      return finish(body(M, sym, dtype, on, parameter, center), rg);
    },
  );
}

const none = (): void => {};

/** Σ (-1)^i a_i cos(i k) over k from 0 to 2π. */
function cosines(n: number, sym: boolean, a: readonly Scalar[], dtype: DType, device: Device): Tensor {
  const step = (2 * Math.PI) / (sym ? n - 1 : n);
  const k = linspace(0, (n - 1) * step, n, { dtype, device });
  let out = filled([n], Number(a[0] ?? 0), dtype, device);
  for (let i = 1; i < a.length; i++)
    out = out.add(
      k
        .mul(i)
        .cos()
        .mul((i % 2 === 0 ? 1 : -1) * Number(a[i])),
    );
  return out;
}

function checkCoefficients(a: unknown): void {
  if (!Array.isArray(a)) throw new TypeError("general_cosine: Coefficients must be a list/tuple");
  if (a.length === 0) throw new ValueError("general_cosine: Coefficients cannot be empty");
}

type GeneralCosine = Op<[M: number, options: WindowOptions & { a: readonly Scalar[] }], Tensor>;
export const general_cosine: GeneralCosine = windowOp(
  "general_cosine",
  "a",
  "A sum of cosines with the weights a.",
  checkCoefficients,
  (n, sym, dtype, device, a) => cosines(n, sym, a as Scalar[], dtype, device),
);

export const general_hamming: WindowOp<{ alpha?: number }> = windowOp(
  "general_hamming",
  "alpha=0.54",
  "alpha - (1 - alpha) cos(k).",
  none,
  (n, sym, dtype, device, alpha) => cosines(n, sym, [Number(alpha), 1 - Number(alpha)], dtype, device),
);

function fixedCosines(name: string, a: readonly number[]): WindowOp {
  return windowOp(name, "", `The sum of cosines with weights ${a.join(", ")}.`, none, (n, sym, dtype, device) =>
    cosines(n, sym, a, dtype, device),
  );
}

export const hamming: WindowOp = fixedCosines("hamming", [0.54, 0.46]);
export const hann: WindowOp = fixedCosines("hann", [0.5, 0.5]);
export const blackman: WindowOp = fixedCosines("blackman", [0.42, 0.5, 0.08]);
export const nuttall: WindowOp = fixedCosines("nuttall", [0.3635819, 0.4891775, 0.1365995, 0.0106411]);

export const bartlett: WindowOp = windowOp("bartlett", "", "A triangle.", none, (n, sym, dtype, device) => {
  const step = 2 / (sym ? n - 1 : n);
  return linspace(-1, -1 + (n - 1) * step, n, { dtype, device })
    .abs()
    .neg()
    .add(1);
});

export const cosine: WindowOp = windowOp("cosine", "", "Half a period of a sine.", none, (n, sym, dtype, device) => {
  const step = Math.PI / (sym ? n : n + 1);
  return linspace(0.5 * step, (0.5 + (n - 1)) * step, n, { dtype, device }).sin();
});

const middle = (n: number, sym: boolean): number => (!sym && n > 1 ? n : n - 1) / 2;

export const exponential: WindowOp<{ center?: number | null; tau?: number }> = windowOp(
  "exponential",
  "tau=1, center=None",
  "exp(-|n - center| / tau).",
  (tau) => {
    if (!(Number(tau) > 0)) throw new ValueError(`exponential: Tau must be positive, got: ${Number(tau)} instead.`);
  },
  (n, sym, dtype, device, tau, center) => {
    const c = center === null ? middle(n, sym) : Number(center);
    const scale = 1 / Number(tau);
    return linspace(-c * scale, (-c + (n - 1)) * scale, n, { dtype, device })
      .abs()
      .neg()
      .exp();
  },
);

export const gaussian: WindowOp<{ std?: number }> = windowOp(
  "gaussian",
  "std=1",
  "A normal density of this standard deviation, 1 at its centre.",
  (std) => {
    if (!(Number(std) > 0)) throw new ValueError(`gaussian: Standard deviation must be positive, got: ${Number(std)} instead.`);
  },
  (n, sym, dtype, device, std) => {
    const start = -middle(n, sym);
    const scale = 1 / (Number(std) * Math.SQRT2);
    return linspace(start * scale, (start + (n - 1)) * scale, n, { dtype, device })
      .square()
      .neg()
      .exp();
  },
);

export const kaiser: WindowOp<{ beta?: number }> = windowOp(
  "kaiser",
  "beta=12",
  "i0(sqrt(beta² - k²)) / i0(beta) for k from -beta to beta.",
  (beta) => {
    if (!(Number(beta) >= 0)) throw new ValueError(`kaiser: beta must be non-negative, got: ${Number(beta)} instead.`);
  },
  (n, sym, dtype, device, parameter) => {
    // In the window's own precision, so that the root is exact at the ends.
    const beta = dtype === float32 ? Math.fround(Number(parameter)) : Number(parameter);
    const end = Math.min(beta, -beta + ((n - 1) * 2 * beta) / (sym ? n - 1 : n));
    const k = linspace(-beta, end, n, { dtype, device });
    const root = k
      .square()
      .neg()
      .add(beta * beta)
      .sqrt();
    return root.i0().div(filled([], beta, dtype, device).i0());
  },
);
