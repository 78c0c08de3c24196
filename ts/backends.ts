/** `torch.backends`: what devices may do to be faster, which of NVIDIA's libraries they use, and what becomes of ops that they lack. */

import { ValueError } from "./core/errors.ts";
import { withMode } from "./core/grad_mode.ts";
import { type BlasLibrary, cudaIsBuilt, libraryVersions, matmulTf32, settings } from "./core/settings.ts";
import { fallbackCounts } from "./engine/fallback.ts";

function checkFlag(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw new TypeError(`${name} must be a boolean, got ${String(value)}`);
  return value;
}

const LIBRARIES: Readonly<Record<string, BlasLibrary>> = {
  default: "default",
  cublas: "cublaslt",
  cublaslt: "cublaslt",
  kindling: "kindling",
};

/** `torch.backends.cuda`. */
export const cuda = {
  /** Whether this build can use CUDA at all; `torch.cuda.is_available()` says whether this machine can. */
  is_built: cudaIsBuilt,
  matmul: {
    /** Whether products of float32 matrices may be computed from TF32 operands. Another view of `set_float32_matmul_precision`. */
    get allow_tf32(): boolean {
      return matmulTf32();
    },
    set allow_tf32(allow: boolean) {
      settings.float32MatmulPrecision = checkFlag("allow_tf32", allow) ? "high" : "highest";
    },
  },
  /**
   * Who computes matrix products on cuda: "cublaslt" (also "cublas") where it is there, "kindling" (this library's own kernels), or "default":
   * whichever was faster when a product of about that shape came up first. Without an argument nothing changes. Returns the choice.
   */
  preferred_blas_library(library?: BlasLibrary | "cublas" | null): BlasLibrary {
    if (library !== undefined && library !== null) {
      if (!Object.hasOwn(LIBRARIES, library)) {
        throw new ValueError(
          `preferred_blas_library: expected one of ${Object.keys(LIBRARIES).join(", ")}, got ${String(library)}`,
        );
      }
      settings.blasLibrary = LIBRARIES[library]!;
    }
    return settings.blasLibrary;
  },
};

/** "9.1.0" → 90100; before 9, "8.9.2" → 8902: as cuDNN counts. */
function versionNumber(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return major >= 9 ? major * 10000 + minor * 100 + patch : major * 1000 + minor * 100 + patch;
}

export interface CudnnFlags {
  readonly enabled?: boolean;
  readonly benchmark?: boolean;
  readonly deterministic?: boolean;
  readonly allow_tf32?: boolean;
}

/** `torch.backends.cudnn`. */
export const cudnn = {
  /** Whether cuDNN was found. */
  is_available(): boolean {
    return (libraryVersions()?.cudnn ?? null) !== null;
  },
  /** cuDNN's own number for its version (90100 for 9.1.0), or null without it. */
  version(): number | null {
    const version = libraryVersions()?.cudnn ?? null;
    return version === null ? null : versionNumber(version);
  },
  /** Whether cuDNN computes convolutions where it is faster; else this library's kernels do. */
  get enabled(): boolean {
    return settings.cudnnEnabled;
  },
  set enabled(enabled: boolean) {
    settings.cudnnEnabled = checkFlag("enabled", enabled);
  },
  /** Whether several of cuDNN's algorithms are timed for each new shape of convolution; else its own first choice is taken. */
  get benchmark(): boolean {
    return settings.cudnnBenchmark;
  },
  set benchmark(benchmark: boolean) {
    settings.cudnnBenchmark = checkFlag("benchmark", benchmark);
  },
  /** Only deterministic algorithms are ever used here. Setting this also turns timing off, whose outcome differs from run to run. */
  get deterministic(): boolean {
    return settings.cudnnDeterministic;
  },
  set deterministic(deterministic: boolean) {
    settings.cudnnDeterministic = checkFlag("deterministic", deterministic);
  },
  /** Whether convolutions of float32 may be computed from TF32 operands on cuda: true from the start, as in PyTorch. */
  get allow_tf32(): boolean {
    return settings.convolutionTf32;
  },
  set allow_tf32(allow: boolean) {
    settings.convolutionTf32 = checkFlag("allow_tf32", allow);
  },
  /** Runs `fn` with other settings, as PyTorch's `with torch.backends.cudnn.flags(...)`; for an async `fn` until its end. */
  flags<T>(flags: CudnnFlags, fn: () => T): T {
    const { enabled, benchmark, deterministic, allow_tf32 } = cudnn;
    return withFlags(cudnn, { enabled, benchmark, deterministic, allow_tf32 }, flags, fn);
  },
};

/**
 * `torch.backends.fallback`: whether the cpu computes what an accelerator has no kernels for (decompositions of matrices and what stands on them,
 * ctc_loss). Off from the start: such an op throws NotImplementedError. Where it is on, each op warns once. The tensors stay on the device;
 * where its values can only be read asynchronously (webgpu), the op has to be called in `torch.blocking`.
 */
export const fallback = {
  get enabled(): boolean {
    return settings.fallback;
  },
  set enabled(enabled: boolean) {
    settings.fallback = checkFlag("enabled", enabled);
  },
  /** How often each op has read an argument to compute with it on the cpu (in `torch.blocking`, in every run of its code). */
  counts(): Record<string, number> {
    return Object.fromEntries(fallbackCounts());
  },
  /** Runs `fn` with another setting; for an async `fn` until its end. */
  flags<T>(flags: { readonly enabled?: boolean }, fn: () => T): T {
    return withFlags(fallback, { enabled: fallback.enabled }, flags, fn);
  },
};

/** Runs `fn` with `flags` set on `owner`, whose flags are `before`. */
function withFlags<F extends object, T>(owner: NoInfer<F>, before: F, flags: NoInfer<Partial<F>>, fn: () => T): T {
  return withMode(() => {
    for (const [name, value] of Object.entries(flags)) {
      if (!Object.hasOwn(before, name)) throw new TypeError(`flags: got an unexpected keyword argument '${name}'`);
      checkFlag(name, value);
    }
    Object.assign(owner, flags);
    return () => void Object.assign(owner, before);
  }, fn);
}
