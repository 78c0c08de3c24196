/** Gradients of Σᵢ sum(outputᵢ · cotangentᵢ) against the corpus's. */

import { Failure, part } from "./outcome.ts";
import type { SafeTensors } from "./safetensors.ts";
import type { Session, TensorLike } from "./session.ts";
import { expectTensor, tensorsOf } from "./values.ts";

export interface GradientSpec {
  readonly cotangents?: readonly (string | null)[];
  readonly grad_of_abs?: readonly number[];
  readonly grad_noise?: number;
}

/** The gradients of `leaves`; null where none flows. */
export function gradientsOf(
  session: Session,
  result: unknown,
  leaves: readonly TensorLike[],
  { cotangents = [], grad_of_abs = [] }: GradientSpec,
  cotangentOf: (key: string) => TensorLike,
): readonly (TensorLike | null | undefined)[] {
  const outputs: TensorLike[] = [];
  const weights: TensorLike[] = [];
  tensorsOf(session, result).forEach((output, i) => {
    const key = cotangents[i] ?? null;
    if (key === null || !output.requires_grad) return;
    outputs.push(enter(session, output, grad_of_abs.includes(i)));
    weights.push(cotangentOf(key));
  });
  if (outputs.length === 0 || leaves.length === 0) return leaves.map(() => null);
  const options = { grad_outputs: weights, allow_unused: true };
  return session.call("autograd.grad", [outputs, leaves, options]) as readonly (TensorLike | null)[];
}

/** The form in which an output enters the sum. */
function enter(session: Session, output: TensorLike, abs: boolean): TensorLike {
  if (abs) return session.method(output, "abs") as TensorLike;
  const complex = output.dtype.name.startsWith("complex");
  return complex ? (session.call("view_as_real", [output]) as TensorLike) : output;
}

/** Compares the gradients of `leaves`, by name, with the stored ones that `wanted` names. */
export async function expectGradients(
  session: Session,
  tensors: SafeTensors,
  result: unknown,
  leaves: ReadonlyMap<string, TensorLike>,
  wanted: Readonly<Record<string, string | null>>,
  spec: GradientSpec,
): Promise<void> {
  const names = Object.keys(wanted);
  const of = names.map((name) => {
    const leaf = leaves.get(name);
    if (leaf === undefined) throw new Failure(`there is no input or parameter "${name}" to take a gradient of`);
    return leaf;
  });
  await part("gradient", async () => {
    const cotangents = (key: string): TensorLike => session.tensor(tensors.get(key));
    const grads = await session.blocking(() => gradientsOf(session, result, of, spec, cotangents));
    for (let i = 0; i < names.length; i++) {
      const key = wanted[names[i]];
      const grad = grads[i] ?? null;
      if (key !== null) await expectTensor(session, grad, tensors.get(key), names[i], { noise: spec.grad_noise });
      else if (grad !== null) throw new Failure(`${names[i]}: got a gradient, want none`);
    }
  });
}
