/**
 * Choices that users make for whole programs (`torch.backends`): how exactly float32 products are computed where a device has a faster, coarser
 * way, and which of NVIDIA's libraries may be used. Ops hand on to the device what concerns one call; the rest is read by gpu/cuda.
 */

import { ValueError } from "./errors.ts";

/** float32 products: "highest": in float32; "high", "medium": TF32 where a device has it. */
export type Float32MatmulPrecision = "highest" | "high" | "medium";

/** Who computes products on cuda. "default": whichever was faster when it was tried. */
export type BlasLibrary = "default" | "cublaslt" | "kindling";

/** One of NVIDIA's libraries as it was found, or null. */
export interface LibraryVersions {
  readonly cublasLt: string | null;
  readonly cudnn: string | null;
}

export const settings = {
  float32MatmulPrecision: "highest" as Float32MatmulPrecision,
  /** TF32 in float32 convolutions, which PyTorch allows from the start. */
  convolutionTf32: true,
  blasLibrary: "default" as BlasLibrary,
  cudnnEnabled: true,
  /** Whether several algorithms are timed for each new shape of convolution. */
  cudnnBenchmark: false,
  cudnnDeterministic: false,
  /** Whether the cpu computes what an accelerator has no kernels for. */
  fallback: false,
};

/** Whether products of float32 may be computed from TF32 operands. */
export function matmulTf32(): boolean {
  return settings.float32MatmulPrecision !== "highest";
}

const PRECISIONS: readonly Float32MatmulPrecision[] = ["highest", "high", "medium"];

/**
 * How exactly products of float32 matrices are computed. "highest" (default): in float32. "high" and "medium": cuda may round the operands to
 * TF32, which has 10 bits after the point, and is several times faster. Other devices always compute in float32.
 */
export function set_float32_matmul_precision(precision: Float32MatmulPrecision): void {
  if (!PRECISIONS.includes(precision)) {
    throw new ValueError(`set_float32_matmul_precision: expected one of ${PRECISIONS.join(", ")}, got ${String(precision)}`);
  }
  settings.float32MatmulPrecision = precision;
}
/** What `set_float32_matmul_precision` has set. */
export function get_float32_matmul_precision(): Float32MatmulPrecision {
  return settings.float32MatmulPrecision;
}

let versions: (() => LibraryVersions) | null = null;
/** @internal Builds that have a CUDA addon say how to ask it. Not asked before somebody wants to know. */
export function registerLibraryVersions(find: () => LibraryVersions): void {
  versions = find;
}
/** Whether this build has a CUDA addon. */
export function cudaIsBuilt(): boolean {
  return versions !== null;
}
/** @internal Null: this build has no CUDA. */
export function libraryVersions(): LibraryVersions | null {
  return versions === null ? null : versions();
}
