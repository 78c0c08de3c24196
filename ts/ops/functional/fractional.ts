/** torch.nn.functional: pooling over windows of random places. */

import { int64 } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape, numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import { arange } from "../creation.ts";
import { cat } from "../joining.ts";
import { rand } from "../random.ts";
import { sizesOf, type Sizes } from "./shared.ts";

type FractionalArgs = Args<
  [
    { kernel_size: Sizes },
    { output_size?: Sizes | null },
    { output_ratio?: Sizes | null },
    { return_indices?: boolean },
    { _random_samples?: Tensor | null },
  ]
>;
type FractionalOp<R> = Op<[input: Tensor, ...FractionalArgs], R>;

/** Where the windows of one dimension begin, [N, C, out], for the random numbers u [N, C] (B. Graham's pseudo-random sequence). */
function startsOf(u: Tensor, size: number, kernel: number, out: number): Tensor {
  const [n, c] = u.shape as [number, number];
  const last = size - kernel;
  const end = u.mul(0).add(last).unsqueeze(2).to(int64);
  if (out === 1) return end;
  const alpha = last / (out - 1);
  const column = u.unsqueeze(2);
  const steps = arange(out - 1, { dtype: u.dtype, device: u.device }).reshape([1, 1, out - 1]);
  const starts = column.add(steps).mul(alpha).floor().sub(column.mul(alpha).floor()).to(int64);
  return cat([starts.reshape([n, c, out - 1]), end], 2);
}

function fractional<O>(op: string, n: number, always: boolean): O {
  return composite(
    op,
    "input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None",
    { doc: "Maxima over windows at random places, as many as output_size or output_ratio ask for.", method: false },
    (
      input: Tensor,
      kernel_size: Sizes,
      output_size: Sizes | null,
      output_ratio: Sizes | null,
      return_indices: boolean,
      samples: Tensor | null,
    ): Tensor | [Tensor, Tensor] => {
      if (output_size === null && output_ratio === null) {
        throw new ValueError(`${op}: requires specifying either an output_size or an output_ratio`);
      }
      if (input.ndim !== n + 1 && input.ndim !== n + 2) {
        throw new RuntimeError(`${op}: expected ${n + 1}D or ${n + 2}D input, got shape ${formatShape(input.shape)}`);
      }
      const x = input.ndim === n + 1 ? input.unsqueeze(0) : input;
      const [batch, channels] = x.shape as [number, number];
      const spatial = x.shape.slice(2);
      const kernel = sizesOf(op, "kernel_size", kernel_size, n);
      const ratios = output_size === null ? spread(output_ratio!, n) : null;
      const out =
        ratios === null ? sizesOf(op, "output_size", output_size!, n) : spatial.map((s, i) => Math.floor(s * ratios[i]!));
      out.forEach((o, i) => {
        if (o + kernel[i]! - 1 > spatial[i]!) {
          throw new RuntimeError(
            `${op}: pool size ${kernel[i]} is too large for input of ${spatial[i]} and output of ${o} in dimension ${i}`,
          );
        }
      });
      const u = samples ?? rand([batch, channels, n], { dtype: x.dtype, device: x.device });
      // Flat positions [N, C, out..., kernel...], built dimension by dimension.
      let index: Tensor | null = null;
      for (let d = 0; d < n; d++) {
        // PyTorch's samples count from the last dimension.
        const starts = startsOf(u.select(2, n - 1 - d), spatial[d]!, kernel[d]!, out[d]!);
        const line = (size: number, at: number): number[] => Array.from({ length: 2 * n }, (_, i) => (i === at ? size : 1));
        const at = starts
          .reshape([batch, channels, ...line(out[d]!, d)])
          .add(arange(kernel[d]!, { device: x.device }).reshape([1, 1, ...line(kernel[d]!, n + d)]));
        index = index === null ? at : index.mul(spatial[d]!).add(at);
      }
      const places = numelOf(out) * numelOf(kernel);
      const flat = index!.reshape([batch, channels, places]);
      const size = [batch, channels, ...out];
      const values = x
        .flatten(2)
        .gather(2, flat)
        .reshape([...size, numelOf(kernel)]);
      const best = values.detach().argmax(-1, true);
      const pick = (t: Tensor): Tensor => t.gather(-1, best).squeeze(-1);
      const result = pick(values);
      const unbatch = (t: Tensor): Tensor => (input.ndim === n + 1 ? t.squeeze(0) : t);
      return always || return_indices
        ? [unbatch(result), unbatch(pick(flat.reshape([...size, numelOf(kernel)])))]
        : unbatch(result);
    },
  );
}

function spread(ratio: Sizes, n: number): number[] {
  return Array.isArray(ratio) ? ratio.map(Number) : Array.from({ length: n }, () => Number(ratio));
}

export const fractional_max_pool2d: FractionalOp<Tensor> = fractional("fractional_max_pool2d", 2, false);
export const fractional_max_pool3d: FractionalOp<Tensor> = fractional("fractional_max_pool3d", 3, false);
export const fractional_max_pool2d_with_indices: FractionalOp<[Tensor, Tensor]> = fractional(
  "fractional_max_pool2d_with_indices",
  2,
  true,
);
export const fractional_max_pool3d_with_indices: FractionalOp<[Tensor, Tensor]> = fractional(
  "fractional_max_pool3d_with_indices",
  3,
  true,
);
