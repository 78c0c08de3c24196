/** Single operations, and what PyTorch is asked for beside them. */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { fingerprint, values, whole } from "./values.ts";
import { elemOf, kernel, type Precision, type Workload } from "./workload.ts";

const F = nn.functional;

const SHORT: Readonly<Record<Precision, string>> = { float32: "f32", tf32: "tf32", bfloat16: "bf16" };
const BYTES: Readonly<Record<Precision, number>> = { float32: 4, tf32: 4, bfloat16: 2 };
const TOLERANCE: Readonly<Record<Precision, number>> = { float32: 1e-4, tf32: 5e-3, bfloat16: 2e-2 };

const count = (shape: readonly number[]): number => shape.reduce((n, s) => n * s, 1);

function matmul(n: number, precision: Precision): Workload {
  return {
    suite: "matmul",
    name: `matmul ${SHORT[precision]} ${n}`,
    spec: { kind: "matmul", n, precision },
    flops: 2 * n ** 3,
    ceiling: precision,
    // Where launching takes as long as computing, graphs show what the kernels do.
    ours: n <= 1024 ? ["eager", "graph", "own"] : ["eager", "own"],
    peers: n <= 1024 ? ["eager", "graph", "compile"] : ["eager", "compile"],
    tolerance: TOLERANCE[precision],
    prepare: kernel({
      precision,
      make: (device) => {
        const [a, b] = [1, 2].map((seed) => values([n, n], seed, device, elemOf(precision))) as [Tensor, Tensor];
        return () => torch.no_grad(() => [a.matmul(b)]);
      },
    }),
  };
}

interface AttentionShape {
  readonly batch: number;
  readonly heads: number;
  readonly length: number;
  readonly width: number;
}

function attention(shape: AttentionShape, precision: Precision, backward: boolean): Workload {
  const { batch, heads, length, width } = shape;
  // Two products, of which the mask leaves half; backward has five.
  const forward = (2 * 2 * batch * heads * length ** 2 * width) / 2;
  return {
    suite: "attention",
    name: `attention ${SHORT[precision]} ${batch}x${heads}x${length}x${width}${backward ? " and gradients" : ""}`,
    spec: { kind: "attention", ...shape, precision, backward },
    flops: backward ? forward * 3.5 : forward,
    ceiling: precision,
    ours: ["eager"],
    peers: ["eager", "compile"],
    tolerance: TOLERANCE[precision],
    prepare: kernel({
      precision,
      make: (device) => {
        const dims = [batch, heads, length, width];
        const [q, k, v, g] = [1, 2, 3, 4].map((seed) => values(dims, seed, device, elemOf(precision)));
        const inputs = [q!, k!, v!] as const;
        if (!backward) return () => torch.no_grad(() => [F.scaled_dot_product_attention(...inputs, { is_causal: true })]);
        inputs.forEach((t) => t.requires_grad_());
        return () => {
          const out = F.scaled_dot_product_attention(...inputs, { is_causal: true });
          return torch.autograd.grad(out, inputs, { grad_outputs: g! }) as Tensor[];
        };
      },
    }),
  };
}

interface RowsOptions {
  readonly kind: "layernorm" | "softmax" | "cross_entropy";
  readonly shape: readonly [rows: number, n: number];
  readonly precision: Precision;
  readonly backward: boolean;
  /** How often the whole input's bytes must move. */
  readonly passes: number;
}

function rows({ kind, shape, precision, backward, passes }: RowsOptions): Workload {
  const [m, n] = shape;
  return {
    suite: "rowwise",
    name: `${kind} ${SHORT[precision]} ${m}x${n}${backward ? " and gradients" : ""}`,
    spec: { kind, shape, precision, backward },
    bytes: passes * BYTES[precision] * count(shape),
    ceiling: "copy",
    ours: ["eager"],
    peers: ["eager", "compile"],
    tolerance: TOLERANCE[precision],
    prepare: kernel({
      precision,
      make: (device) => {
        const dtype = elemOf(precision);
        const x = values(shape, 1, device, dtype);
        const target = kind === "cross_entropy" ? whole([m], n, 2, device) : null;
        const [w, b] = [3, 4].map((seed) => values([n], seed, device, dtype)) as [Tensor, Tensor];
        const forward = (): Tensor => {
          if (target !== null) return F.cross_entropy(x, target);
          return kind === "softmax" ? F.softmax(x, -1) : F.layer_norm(x, [n], w, b);
        };
        if (!backward) return () => torch.no_grad(() => [forward()]);
        const wanted = kind === "layernorm" ? [x, w, b] : [x];
        wanted.forEach((t) => t.requires_grad_());
        const grad_outputs = target === null ? values(shape, 5, device, dtype) : null;
        return () => torch.autograd.grad(forward(), wanted, { grad_outputs }) as Tensor[];
      },
    }),
  };
}

interface MapOptions {
  readonly op: "copy" | "gelu" | "add" | "sum_rows" | "sum_columns";
  readonly shape: readonly [number, number];
  readonly precision: Precision;
  readonly passes: number;
}

function elementwise({ op, shape, precision, passes }: MapOptions): Workload {
  return {
    suite: "elementwise",
    name: `${op} ${SHORT[precision]} ${shape.join("x")}`,
    spec: { kind: "elementwise", op, shape, precision },
    bytes: passes * BYTES[precision] * count(shape),
    ceiling: "copy",
    ours: ["eager"],
    peers: ["eager", "compile"],
    tolerance: TOLERANCE[precision],
    prepare: kernel({
      precision,
      make: (device) => {
        const [x, y] = [1, 2].map((seed) => values(shape, seed, device, elemOf(precision))) as [Tensor, Tensor];
        const f: Readonly<Record<MapOptions["op"], () => Tensor>> = {
          copy: () => y.copy_(x),
          gelu: () => F.gelu(x),
          add: () => x.add(y),
          sum_rows: () => x.sum(1),
          sum_columns: () => x.sum(0),
        };
        return () => torch.no_grad(() => [f[op]()]);
      },
    }),
  };
}

/** One step of AdamW over `tensors` weights of `side` x `side`. */
function adamw(tensors: number, side: number): Workload {
  const size = tensors * side * side;
  return {
    suite: "optimizer",
    name: `adamw f32 ${(size / 1e6).toPrecision(3)} M parameters`,
    spec: { kind: "adamw", tensors, side },
    // Weights, gradients and two states are read; weights and states written.
    bytes: 7 * 4 * size,
    ceiling: "copy",
    items: { unit: "parameters", count: size },
    ours: ["eager"],
    peers: ["eager", "fused", "compile"],
    tolerance: 1e-4,
    prepare: async (_variant, device) => {
      const weights = Array.from({ length: tensors }, (_, i) => new nn.Parameter(values([side, side], i, device)));
      weights.forEach((p, i) => (p.grad = values([side, side], 1000 + i, device)));
      const optimizer = new optim.AdamW(weights, { lr: 1e-3, weight_decay: 0.1 });
      const start = performance.now();
      optimizer.step();
      const print = await fingerprint(weights[0]!);
      const first = performance.now() - start;
      return { first, run: () => void optimizer.step(), fingerprint: async () => print };
    },
  };
}

const KIB = 1024;

/** `smoke`: so small that a stand-in for a GPU gets through them. */
export function kernelWorkloads(smoke: boolean): Workload[] {
  const precisions: readonly Precision[] = ["float32", "tf32", "bfloat16"];
  const small: AttentionShape = smoke
    ? { batch: 1, heads: 2, length: 16, width: 16 }
    : { batch: 8, heads: 12, length: 1024, width: 64 };
  const long: AttentionShape = { batch: 2, heads: 16, length: 4096, width: 128 };
  // Far larger than the L2 cache, and as many bytes in both types.
  const norm = (precision: Precision): [number, number] =>
    smoke ? [8, 32] : [precision === "bfloat16" ? 128 * KIB : 64 * KIB, 768];
  const soft = (precision: Precision): [number, number] =>
    smoke ? [8, 64] : [precision === "bfloat16" ? 32 * KIB : 16 * KIB, 4096];
  const plain = (precision: Precision): [number, number] =>
    smoke ? [16, 64] : [precision === "bfloat16" ? 32 * KIB : 16 * KIB, 4096];
  const both: readonly Precision[] = smoke ? ["float32"] : ["float32", "bfloat16"];
  const workloads: Workload[] = [
    ...(smoke ? [16] : [512, 1024, 2048, 4096, 8192]).flatMap((n) => precisions.map((p) => matmul(n, p))),
    ...both.flatMap((p) => [attention(small, p, false), attention(small, p, true)]),
    ...(smoke ? [] : [attention(long, "bfloat16", false), attention(long, "bfloat16", true)]),
    ...both.flatMap((precision) => [
      rows({ kind: "layernorm", shape: norm(precision), precision, backward: false, passes: 2 }),
      rows({ kind: "layernorm", shape: norm(precision), precision, backward: true, passes: 5 }),
      rows({ kind: "softmax", shape: soft(precision), precision, backward: false, passes: 2 }),
      rows({ kind: "softmax", shape: soft(precision), precision, backward: true, passes: 5 }),
    ]),
    rows({
      kind: "cross_entropy",
      shape: smoke ? [8, 50] : [8 * KIB, 50304],
      precision: "float32",
      backward: true,
      passes: 3,
    }),
    ...both.flatMap((precision) => {
      const shape = plain(precision);
      return [
        elementwise({ op: "copy", shape, precision, passes: 2 }),
        elementwise({ op: "gelu", shape, precision, passes: 2 }),
        elementwise({ op: "add", shape, precision, passes: 3 }),
        elementwise({ op: "sum_rows", shape, precision, passes: 1 }),
        elementwise({ op: "sum_columns", shape, precision, passes: 1 }),
      ];
    }),
    smoke ? adamw(3, 8) : adamw(100, 1000),
  ];
  return workloads;
}
