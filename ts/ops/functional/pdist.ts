/** torch.nn.functional.pdist. */

import type { Scalar } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { distances } from "../norms.ts";
import { triu_indices } from "../triangles.ts";

export const pdist: Op<[input: Tensor, ...Args<[{ p?: Scalar }]>], Tensor> = composite(
  "pdist",
  "input, p=2",
  { doc: "p-norm distances between every two rows: (0, 1), (0, 2), ..., (1, 2), ...", method: false },
  (input: Tensor, p: Scalar) => {
    checkTensor("pdist", "input", input);
    if (input.ndim !== 2) throw new RuntimeError(`pdist: only supports 2D tensors, got shape ${formatShape(input.shape)}`);
    if (!input.dtype.is_floating_point) throw new RuntimeError(`pdist: only supports floating-point dtypes, got ${input.dtype}`);
    if (!(Number(p) >= 0)) throw new RuntimeError(`pdist: only supports non-negative p values, got ${Number(p)}`);
    const n = input.shape[0]!;
    const pairs = triu_indices(n, n, 1).to(input.device);
    const difference = input.index_select(0, pairs.select(0, 0)).sub(input.index_select(0, pairs.select(0, 1)));
    return distances(difference, Number(p));
  },
);
