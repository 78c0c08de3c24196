/** Questions about dtypes and tensors that need no kernel. */

import { can_cast as castable, promote_types as promoted, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { resultType } from "../engine/promotion.ts";
import { type Args, bindOp, checkTensor, parseSignature } from "../engine/signature.ts";
import type { Operand } from "./arithmetic.ts";

type Question = Op<[input: Tensor], boolean, "method">;

export const is_floating_point: Op<[input: Tensor], boolean> = composite(
  "is_floating_point",
  "input",
  { doc: "Whether input's dtype is a floating type.", method: false },
  (input: Tensor) => input.dtype.is_floating_point,
);

export const is_complex: Question = composite(
  "is_complex",
  "input",
  { doc: "Whether input's dtype is complex." },
  (input: Tensor) => input.dtype.is_complex,
);

export const is_signed: Question = composite(
  "is_signed",
  "input",
  { doc: "Whether input's dtype has negative values." },
  (input: Tensor) => input.dtype.is_signed,
);

const no = (name: string, doc: string): Question => composite(name, "input", { doc }, () => false);

export const is_conj: Question = no(
  "is_conj",
  "Whether input is a conjugate that is still to be computed: never, conj computes it.",
);
export const is_neg: Question = no("is_neg", "Whether input is a negative that is still to be computed: never.");

export const is_inference: Question = composite(
  "is_inference",
  "input",
  { doc: "Whether input was made in inference mode." },
  (input: Tensor) => input._inference,
);

export const get_device: Op<[input: Tensor], number, "method"> = composite(
  "get_device",
  "input",
  { doc: "The number of the accelerator that input is on, -1 on the cpu." },
  (input: Tensor) => (input.is_cpu ? -1 : input.device.index),
);

export const is_nonzero: Question = composite(
  "is_nonzero",
  "input",
  { doc: "Whether input's only element is non-zero; reads memory." },
  (input: Tensor) => {
    if (input.numel() !== 1) {
      throw new RuntimeError(
        `is_nonzero: bool value of Tensor with ${input.numel() === 0 ? "no values" : "more than one value"} is ambiguous`,
      );
    }
    return Boolean(input.ne(0).item_sync());
  },
);

export const is_same_size: Op<[input: Tensor, ...Args<[{ other: Tensor }]>], boolean, "method"> = composite(
  "is_same_size",
  "input, other",
  { doc: "Whether both have the same shape." },
  (input: Tensor, other: Tensor) => {
    checkTensor("is_same_size", "other", other);
    return sameShape(input.shape, other.shape);
  },
);

export const is_tensor: Op<[obj: unknown], boolean> = composite(
  "is_tensor",
  "obj",
  { doc: "Whether obj is a Tensor." },
  (obj: unknown) => obj instanceof Tensor,
);

export const result_type: Op<Args<[{ tensor1: Operand }, { tensor2: Operand }]>, DType> = composite(
  "result_type",
  "tensor1, tensor2",
  { doc: "The dtype that arithmetic on both gives.", tensors: ["tensor1", "tensor2"] },
  (tensor1: Operand, tensor2: Operand) => resultType("result_type", [tensor1, tensor2]),
);

const PAIR = parseSignature("type1, type2", [], { type1: "dtype", type2: "dtype" });
/** The dtype that holds both, by PyTorch's lattice (https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc). */
export function promote_types(...given: Args<[{ type1: DType }, { type2: DType }]>): DType {
  const [type1, type2] = bindOp("promote_types", PAIR, given) as [DType, DType];
  return promoted(type1, type2);
}

const CAST = parseSignature("from_, to", [], { from_: "dtype", to: "dtype" });
/** Whether PyTorch's `can_cast` allows `from_` → `to` (never to a lower category). */
export function can_cast(...given: Args<[{ from_: DType }, { to: DType }]>): boolean {
  const [from, to] = bindOp("can_cast", CAST, given) as [DType, DType];
  return castable(from, to);
}
