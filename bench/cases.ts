/** What is timed. A case's name is also native PyTorch's (bench/native/server.py). */

import * as torch from "kindling";
import { nn, type Tensor } from "kindling";
import type { Run } from "./measure.ts";

const F = nn.functional;

export interface Case {
  readonly name: string;
  /** Floating-point operations, or bytes that must move, of one run. */
  readonly flops?: number;
  readonly bytes?: number;
  /** Most times native PyTorch's time that we allow ourselves. */
  readonly goal?: number;
  /** Single operations in one run, for a time per operation. */
  readonly ops?: number;
  readonly prepare: () => Run;
  /** What it is compared with instead of native PyTorch: the same, one after another. */
  readonly loop?: () => Run;
}

/** Computes what is pending, as a consumer would. */
function force(t: Tensor): void {
  t._storage.materialize();
}

/** The same numbers on every device. */
function input(shape: number[]): Tensor {
  const x = torch.randn(shape, { device: "cpu" }).to(torch.get_default_device());
  force(x);
  return x;
}

const of =
  (shape: number[], f: (x: Tensor) => Tensor): (() => Run) =>
  () => {
    const x = input(shape);
    // The result's memory goes back at once, as native PyTorch's does.
    return () => torch.scope(() => torch.no_grad(() => force(f(x))));
  };

function chain(backward: boolean): Run {
  const y = torch.full([16], 1e-3);
  force(y);
  return () => {
    let x = torch.zeros(16);
    if (backward) x.requires_grad_();
    for (let i = 0; i < 10000; i++) x = x.add(y);
    if (backward) x.sum().backward();
    else force(x);
  };
}

const { linalg } = torch;
const decompositions: Readonly<Record<string, (A: Tensor, S: Tensor) => unknown>> = {
  svd: (A) => linalg.svd(A, false),
  svdvals: (A) => linalg.svdvals(A),
  eigh: (_, S) => linalg.eigh(S),
  eig: (A) => linalg.eig(A),
  qr: (A) => linalg.qr(A),
  solve: (A, S) => linalg.solve(A, S),
  inv: (A) => linalg.inv(A),
  det: (A) => linalg.det(A),
  cholesky: (_, S) => linalg.cholesky(S),
};

/** Of a random matrix, or of a positive-definite one. */
function decomposition(name: string, n: number, dtype: "float32" | "float64"): Case {
  return {
    name: `linalg.${name} ${n} ${dtype}`,
    goal: 10,
    prepare: () => {
      const A = torch.randn([n, n], { dtype: torch[dtype] });
      const S = A.matmul(A.mT).add(torch.eye(n, { dtype: torch[dtype] }).mul(n));
      for (const t of [A, S]) force(t);
      return () => torch.scope(() => torch.no_grad(() => void decompositions[name]!(A, S)));
    },
  };
}

const big = [4 * 1024 * 1024];
const bigBytes = 2 * 4 * big[0]!;

export const kernelSuites: Readonly<Record<string, readonly Case[]>> = {
  matmul: [512, 1024, 2048].map((n) => ({
    name: `matmul ${n}`,
    flops: 2 * n ** 3,
    prepare: () => {
      const [a, b] = [input([n, n]), input([n, n])];
      return () => torch.scope(() => torch.no_grad(() => force(a.matmul(b))));
    },
  })),
  elementwise: [
    { name: "exp", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => x.exp()) },
    { name: "tanh", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => x.tanh()) },
    { name: "gelu", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => F.gelu(x)) },
    { name: "mul-add-relu", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => x.mul(1.5).add(0.5).relu()) },
    { name: "add", bytes: bigBytes, prepare: of(big, (x) => x.add(x)) },
    { name: "sum rows", goal: 1.5, bytes: bigBytes / 2, prepare: of([1024, 4096], (x) => x.sum(1)) },
    { name: "sum columns", goal: 1.5, bytes: bigBytes / 2, prepare: of([1024, 4096], (x) => x.sum(0)) },
  ],
  rowwise: [
    { name: "softmax", goal: 1.5, bytes: 2 << 22, prepare: of([1024, 1024], (x) => F.softmax(x, -1)) },
    { name: "layernorm", goal: 1.5, bytes: 2 << 22, prepare: of([1024, 1024], (x) => F.layer_norm(x, [1024])) },
  ],
  linalg: [64, 256, 512].flatMap((n) =>
    Object.keys(decompositions).flatMap((name) =>
      (["float32", "float64"] as const).map((dtype) => decomposition(name, n, dtype)),
    ),
  ),
  overhead: [
    { name: "chain plain", ops: 10000, prepare: () => chain(false) },
    { name: "chain backward", ops: 10000, prepare: () => chain(true) },
  ],
};
