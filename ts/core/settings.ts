/**
 * Choices that users make for whole programs (`torch.backends`): how exactly float32 products are computed where a device has a faster, coarser
 * way, and which of NVIDIA's libraries may be used. Ops hand on to the device what concerns one call; the rest is read by gpu/cuda.
 */

import { RuntimeError, ValueError } from "./errors.ts";

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

/** 0: nothing is asked for; 1: to be warned of; 2: only deterministic algorithms. */
let determinism: 0 | 1 | 2 = 0;
const MODES = ["default", "warn", "error"];

/**
 * Asks for deterministic algorithms. There are no others here, on no device: the same calls on the same machine give the same bits, and
 * nothing ever throws or warns for it. The choice is kept for code that asks for it.
 */
export function use_deterministic_algorithms(mode: boolean, { warn_only = false }: { warn_only?: boolean } = {}): void {
  determinism = !mode ? 0 : warn_only ? 1 : 2;
}
export function are_deterministic_algorithms_enabled(): boolean {
  return determinism > 0;
}
export function is_deterministic_algorithms_warn_only_enabled(): boolean {
  return determinism === 1;
}
/** The same choice as a number: 0 or "default", 1 or "warn", 2 or "error". */
export function set_deterministic_debug_mode(debug_mode: number | string): void {
  const mode = typeof debug_mode === "string" ? MODES.indexOf(debug_mode) : debug_mode;
  if (mode !== 0 && mode !== 1 && mode !== 2) {
    throw new RuntimeError(`invalid value of debug_mode, expected 0, 1, 2 or one of ${MODES.join(", ")}, got ${debug_mode}`);
  }
  determinism = mode;
}
export function get_deterministic_debug_mode(): 0 | 1 | 2 {
  return determinism;
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
