/** Complex vectors that a decomposition finds are determined but for their phases. */

import { RuntimeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { readValues } from "./batches.ts";

/** Phases of complex vectors are the algorithm's choice: a loss that depends on them (`turning`, which it varies by, is not real) has no gradient. */
export function checkPhases(turning: Tensor, complaint: string): void {
  if (!turning.dtype.is_complex) return;
  const { im } = readValues(turning.detach(), "backward of complex vectors");
  if (im!.some((y) => Math.abs(y) > 1e-2)) throw new RuntimeError(complaint);
}

export const eigenPhases = (op: string): string =>
  `${op}: The eigenvectors in the complex case are specified up to multiplication by e^{i phi}. The specified loss function depends on this quantity, so it is ill-defined.`;
