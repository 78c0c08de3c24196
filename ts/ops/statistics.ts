/** Variances and what is built on them. */

import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDims } from "../core/shape.ts";
import { float64, type Scalar } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../engine/define.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { complex } from "./complex_parts.ts";
import { accumulated, cast, countOf, expandReduced, reduceTo, type Dims } from "./reduction.ts";

/** `dim` may be `unbiased` in its place, as in `var(x, false)`. */
type VarArgs = Args<
  [{ dim?: Dims | boolean }, { unbiased?: boolean | null }, { keepdim?: boolean }],
  { correction?: Scalar | null }
>;
type VarOp = Op<[input: Tensor, ...VarArgs], Tensor, "method">;
type PairOp<N extends "var" | "std"> = Op<
  [input: Tensor, ...VarArgs],
  Tensor[] & { readonly [K in N | "mean"]: Tensor },
  "method"
>;
const SIGNATURE = "input, dim=None, unbiased=None, keepdim=False, *, correction=None";

interface State {
  readonly dims: number[];
  /** No dims were given, where PyTorch has a formula of its own for what has no variance. */
  readonly whole: boolean;
  readonly keepdim: boolean;
  readonly correction: number;
  readonly n: number;
}
type Core = Op<
  [input: Tensor, dims: readonly number[], whole: boolean, keepdim: boolean, correction: number, root: boolean],
  Tensor[]
>;

/** Variance (or its root) and mean, in one pass over the input. */
const varianceAndMean: Core = defineOp("var_mean", "input, dims, whole, keepdim, correction, root", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, dims: number[], whole: boolean, keepdim: boolean, correction: number, root: boolean) {
    // On cpu as in PyTorch: squares of floats have room, and the root may fit again.
    const wide = input.is_cpu ? float64 : accumulated(input.dtype);
    const n = countOf(input, dims);
    const [sums, squares] = reduceTo("welford", cast(input, wide), dims, keepdim, wide, wide) as [Tensor, Tensor];
    const average = n === 0 ? sums.new_full(sums.shape, NaN) : sums;
    const variance = squares.div(Math.max(n - correction, 0));
    const out = cast(root ? variance.sqrt() : variance, input.dtype);
    ctx.save(input, root ? out : null);
    ctx.state = { dims, whole, keepdim, correction, n };
    return [out, cast(average, input.dtype)];
  },
  backward(ctx, g: Tensor | null, gMean: Tensor | null) {
    const [input, out] = ctx.saved() as [Tensor, Tensor | null];
    const { dims, whole, keepdim, correction, n } = ctx.state as State;
    let total: Tensor | null = null;
    if (g !== null) {
      // The root's derivative at zero counts as zero.
      const gVar = out === null ? g : g.div(out.mul(2)).masked_fill(out.eq(0), 0);
      const spread = expandReduced(gVar, input.shape, dims, keepdim);
      const deviation = input.sub(input.mean(dims, true));
      const freedom = n - correction;
      total =
        freedom > 0 || !whole
          ? spread.mul(deviation).mul(2 / freedom)
          : spread.mul(deviation.new_full(deviation.shape, Infinity).masked_fill(deviation.eq(0), NaN));
    }
    if (gMean !== null) {
      const spread = expandReduced(gMean.div(n), input.shape, dims, keepdim);
      total = total === null ? spread : total.add(spread);
    }
    return [total];
  },
});

function core(
  name: string,
  root: boolean,
  input: Tensor,
  dim: Dims | boolean,
  unbiased: boolean | null,
  keepdim: boolean,
  correction: Scalar | null,
): Tensor[] {
  checkTensor(name, "input", input);
  if (!input.dtype.is_floating_point) {
    throw new RuntimeError(`${name}: only support floating point dtypes, got ${input.dtype}`);
  }
  const flag = typeof dim === "boolean" ? dim : unbiased;
  const dims = normalizeDims(name, typeof dim === "boolean" ? null : dim, input.ndim);
  const whole = input.ndim === 0 || typeof dim === "boolean" || dim === null;
  return varianceAndMean(input, dims, whole, keepdim, correction === null ? (flag === false ? 0 : 1) : Number(correction), root);
}

function single(name: "var" | "std", what: string): VarOp {
  return composite(
    name,
    SIGNATURE,
    {
      doc: `${what} over dim: the sum of squared deviations over n - correction (1 by default${name === "std" ? ")," : ")"}${name === "std" ? " the root of it" : ""}.`,
    },
    (input: Tensor, dim: Dims | boolean, unbiased: boolean | null, keepdim: boolean, correction: Scalar | null) =>
      core(name, name === "std", input, dim, unbiased, keepdim, correction)[0]!,
  );
}

const variance: VarOp = single("var", "Variance");
export const std: VarOp = single("std", "Standard deviation");
export { variance as var };

export const var_mean: PairOp<"var"> = composite(
  "var_mean",
  SIGNATURE,
  { doc: "Variance and mean over dim." },
  (input: Tensor, dim: Dims | boolean, unbiased: boolean | null, keepdim: boolean, correction: Scalar | null) =>
    named(["var", "mean"], core("var_mean", false, input, dim, unbiased, keepdim, correction)),
);
export const std_mean: PairOp<"std"> = composite(
  "std_mean",
  SIGNATURE,
  { doc: "Standard deviation and mean over dim." },
  (input: Tensor, dim: Dims | boolean, unbiased: boolean | null, keepdim: boolean, correction: Scalar | null) =>
    named(["std", "mean"], core("std_mean", true, input, dim, unbiased, keepdim, correction)),
);

type CovOp = Op<
  [input: Tensor, options?: { correction?: number; fweights?: Tensor | null; aweights?: Tensor | null }],
  Tensor,
  "method"
>;

function checkWeights(name: "fweights" | "aweights", w: Tensor | null, observations: number): void {
  if (w === null) return;
  if (w.ndim > 1)
    throw new RuntimeError(`cov: expected ${name} to have one or fewer dimensions but got shape ${formatShape(w.shape)}`);
  const frequency = name === "fweights";
  if (frequency === w.dtype.is_floating_point) {
    throw new RuntimeError(`cov: expected ${name} to have ${frequency ? "integral" : "floating point"} dtype but got ${w.dtype}`);
  }
  if (w.numel() !== observations) {
    throw new RuntimeError(`cov: expected ${name} to have one number per observation (${observations}) but got ${w.numel()}`);
  }
}

export const cov: CovOp = composite(
  "cov",
  "input, *, correction=1, fweights=None, aweights=None",
  {
    doc: "Covariance matrix of the variables in input's rows, whose columns are observations.",
  },
  (input: Tensor, correction: number, fweights: Tensor | null, aweights: Tensor | null) => {
    checkTensor("cov", "input", input);
    if (input.ndim > 2)
      throw new RuntimeError(`cov: expected input to have two or fewer dimensions but got shape ${formatShape(input.shape)}`);
    const x = input.ndim < 2 ? input.reshape([1, -1]) : input;
    const n = x.shape[1]!;
    checkWeights("fweights", fweights, n);
    checkWeights("aweights", aweights, n);
    let w: Tensor | null = null;
    if (fweights !== null) w = fweights.reshape([-1]);
    if (aweights !== null) w = w === null ? aweights.reshape([-1]) : w.mul(aweights.reshape([-1]));
    const floats = x.dtype.differentiable ? x : x.to(w !== null && w.dtype.is_floating_point ? w.dtype : x.div(1).dtype);
    let norm: Tensor | number;
    let average: Tensor;
    if (w === null) {
      norm = n - correction;
      average = floats.sum(1, true).div(n);
    } else {
      const weight = w.sum();
      average = floats.mul(w).sum(1, true).div(weight);
      const spread =
        correction === 0
          ? null
          : aweights === null
            ? weight.new_full([], correction)
            : w
                .mul(aweights.reshape([-1]))
                .sum()
                .div(weight)
                .mul(correction);
      norm = spread === null ? weight : weight.sub(spread);
    }
    const centred = floats.sub(average);
    const product = (w === null ? centred : centred.mul(w)).mm(centred.mH);
    const out = typeof norm === "number" ? product.div(Math.max(norm, 0)) : product.div(norm.clamp_min(0));
    return out.squeeze();
  },
);

export const corrcoef: Op<[input: Tensor], Tensor, "method"> = composite(
  "corrcoef",
  "input",
  {
    doc: "Correlation coefficients of the variables in input's rows.",
  },
  (input: Tensor) => {
    checkTensor("corrcoef", "input", input);
    if (input.ndim > 2)
      throw new RuntimeError(
        `corrcoef: expected input to have two or fewer dimensions but got shape ${formatShape(input.shape)}`,
      );
    const c = cov(input);
    if (c.ndim === 0) return c.div(c);
    const variances = c.diagonal();
    const d = (c.dtype.is_complex ? variances.real : variances).sqrt();
    const r = c.div(d.unsqueeze(1)).div(d.unsqueeze(0));
    return r.dtype.is_complex ? complex(r.real.clamp(-1, 1), r.imag.clamp(-1, 1)) : r.clamp(-1, 1);
  },
);
