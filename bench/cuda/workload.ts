/** What a workload is: a name, what PyTorch needs to do the same, and how it is prepared here in each of its variants. */

import * as torch from "kindling";
import type { Tensor } from "kindling";
import type { Run } from "../measure.ts";
import { fingerprint, force } from "./values.ts";

/** What the machine can do, measured in the same run: GB/s of a large copy, or TFLOP/s of PyTorch's product of 8192 in that precision. */
export type Ceiling = "copy" | "float32" | "tf32" | "bfloat16";

export type Precision = "float32" | "tf32" | "bfloat16";

/** For pytorch.py. */
export interface Spec {
  readonly kind: string;
  readonly [name: string]: unknown;
}

export interface Prepared {
  readonly run: Run;
  /** How often the work is done in one run; 1 unless given. */
  readonly repeats?: number;
  /** Milliseconds of the first run, where `prepare` itself made it. */
  readonly first?: number;
  readonly fingerprint?: () => Promise<number[]>;
  readonly losses?: readonly number[];
  readonly close?: () => void;
}

/**
 * Variants of ours: "eager"; "own": without NVIDIA's libraries; "graph": captured into a CUDA graph; "scope": a training step in `torch.scope`.
 * PyTorch's: "eager", "graph", "compile" and, of optimizers, "fused".
 */
export interface Workload {
  readonly suite: string;
  readonly name: string;
  readonly spec: Spec | (() => Promise<Spec>);
  /** Operations, or bytes that must move, of doing it once. */
  readonly flops?: number;
  readonly bytes?: number;
  readonly ceiling?: Ceiling;
  /** What is got through by doing it once. */
  readonly items?: { readonly unit: string; readonly count: number };
  readonly ours: readonly string[];
  readonly peers: readonly string[];
  /** How far results, or losses, may be from PyTorch's: in units of their own size. */
  readonly tolerance: number;
  readonly prepare: (variant: string, device: string) => Prepared | Promise<Prepared>;
  /** Takes so much memory that whoever has had its turn gives back what it can. */
  readonly heavy?: boolean;
  /** Once, after the timing: what is told about it besides. */
  readonly describe?: (device: string) => Promise<Record<string, unknown>>;
}

/** Doings in one captured graph: enough that launching it costs little beside them. */
const IN_GRAPH = 20;

export function elemOf(precision: Precision): torch.DType {
  return precision === "bfloat16" ? torch.bfloat16 : torch.float32;
}

/** `f` where products may, or may not, be rounded to TF32. */
function withTf32<T>(allow: boolean, f: () => T): T {
  const { matmul } = torch.backends.cuda;
  const before = matmul.allow_tf32;
  matmul.allow_tf32 = allow;
  try {
    return f();
  } finally {
    matmul.allow_tf32 = before;
  }
}

/** `f` by this library's own kernels alone. */
function withOwn<T>(f: () => T): T {
  const { cuda, cudnn } = torch.backends;
  const before = cuda.preferred_blas_library();
  const { enabled } = cudnn;
  cuda.preferred_blas_library("kindling");
  cudnn.enabled = false;
  try {
    return f();
  } finally {
    cuda.preferred_blas_library(before);
    cudnn.enabled = enabled;
  }
}

export interface KernelOptions {
  readonly precision: Precision;
  /** Made once: returns what is run again and again. */
  readonly make: (device: string) => () => readonly Tensor[];
}

/** A workload that computes tensors from the same inputs each time. */
export function kernel({ precision, make }: KernelOptions): Workload["prepare"] {
  return async (variant, device) => {
    const compute = make(device);
    const once = (): readonly Tensor[] => {
      const out = withTf32(precision === "tf32", () => (variant === "own" ? withOwn(compute) : compute()));
      force(...out);
      return out;
    };
    const free = (): readonly Tensor[] => torch.scope(once);
    if (variant !== "graph") {
      return { run: () => void torch.scope(() => void once()), fingerprint: () => fingerprint(free()[0]!) };
    }
    const first = performance.now();
    // Before it is captured everything must have been compiled and tried.
    for (let i = 0; i < 2; i++) torch.scope(() => void once());
    await torch.cuda.synchronize(device);
    const graph = new torch.cuda.CUDAGraph();
    const out = torch.cuda.graph(
      graph,
      () => {
        for (let i = 1; i < IN_GRAPH; i++) torch.scope(() => void once());
        return free();
      },
      device,
    );
    graph.replay();
    await torch.cuda.synchronize(device);
    return {
      run: () => graph.replay(),
      repeats: IN_GRAPH,
      first: performance.now() - first,
      fingerprint: () => fingerprint(out[0]!),
      close: () => graph.reset(),
    };
  };
}
