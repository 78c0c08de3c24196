/** Draws from PyTorch's CPU stream: the generator's state goes into memory, the kernel advances it, and it comes back. */

import { int64 } from "../../../ts/core/dtype.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import { makeTwister } from "../../../ts/kernel/generator.ts";
import type { MersenneTwister, RandomSpec } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering, CpuContext } from "../context.ts";
import { packed } from "./gather.ts";
import { drawPhilox } from "./philox.ts";

/** `Kind` of wasm/assembly/random.ts. */
const KINDS: { readonly [D in RandomSpec["distribution"]]: number } = {
  uniform: 0,
  normal: 1,
  random_int: 2,
  bernoulli: 3,
  exponential: 4,
  geometric: 5,
  cauchy: 6,
  log_normal: 7,
  randperm: 8,
  poisson: 9,
  binomial: 10,
  standard_gamma: 11,
};

/** `Engine` of wasm/assembly/random_engine.ts: a header, the words, and room to read beyond them. */
const HEADER = 32;
const ENGINE_BYTES = HEADER + 624 * 4 + 32;
/** Groups of 16 normals for one task. */
const GROUPS_PER_TASK = 1024;

export const lowerRandom: ComposedLowering<"random"> = (spec, context) => (inputs, outputs, params) => {
  const out = outputs[0]!;
  const n = numelOf(out.shape);
  if (n === 0) return;
  if (params.generator.philox) return drawPhilox(context, spec, inputs, out, params);
  const { dtype, distribution } = spec;
  const at = context.address(out);
  const mt = (params.generator.mt ??= makeTwister(params.generator.seed));
  const engine = context.workspace(ENGINE_BYTES);
  putEngine(context, engine, mt);

  const integers = distribution === "random_int";
  const base = integers ? BigInt(params.a) : 0n;
  const range = integers ? BigInt(params.b) - base : 0n;
  const grouped = distribution === "normal" && n >= 16;
  const tail = grouped ? context.workspace(16 * dtype.itemsize) : 0;
  const elsewhere = distribution === "randperm" && dtype !== int64;
  const first = elsewhere ? context.workspace(n * 8) : inputs[0] ? packed(context, inputs[0]) : 0;
  const second = inputs[1] ? packed(context, inputs[1]) : 0;
  const job = context
    .params(20)
    .i32s([KINDS[distribution], dtype.code, at, n, engine])
    .i32s([first, inputs[0]?.dtype.code ?? 0, second, inputs[1]?.dtype.code ?? 0, dtype.itemsize, tail, 0])
    .f64(integers ? 0 : Number(params.a))
    .f64(integers ? 0 : Number(params.b))
    .i64(BigInt.asIntN(64, base))
    .i64(BigInt.asIntN(64, range));
  context.launch("random_draw", job.ptr, 1);
  takeEngine(context, engine, mt);

  if (grouped) {
    const groups = Math.floor(n / 16);
    normals(context, at, groups, dtype.code, Number(params.a), Number(params.b));
    if (n % 16 !== 0) {
      // PyTorch makes the last 16 values anew, also those that belong to the last whole group.
      normals(context, tail, 1, dtype.code, Number(params.a), Number(params.b));
      context.heap.u8.copyWithin(at + (n - 16) * dtype.itemsize, tail, tail + 16 * dtype.itemsize);
    }
  }
};

function normals(context: CpuContext, at: number, groups: number, code: number, mean: number, std: number): void {
  const job = context.params(10).i32s([at, groups, GROUPS_PER_TASK, code]).f64(mean).f64(std);
  context.launch("random_normals", job.ptr, Math.ceil(groups / GROUPS_PER_TASK));
}

function putEngine({ heap }: CpuContext, at: number, mt: MersenneTwister): void {
  const { i32 } = heap;
  i32[at >>> 2] = mt.left;
  i32[(at >>> 2) + 1] = mt.next;
  i32[(at >>> 2) + 2] = mt.normal === null ? 0 : 1;
  heap.f64[(at + 16) >>> 3] = mt.normal ?? 0;
  heap.u32.set(mt.words, (at + HEADER) >>> 2);
}

function takeEngine({ heap }: CpuContext, at: number, mt: MersenneTwister): void {
  const { i32 } = heap;
  mt.left = i32[at >>> 2]!;
  mt.next = i32[(at >>> 2) + 1]!;
  mt.normal = i32[(at >>> 2) + 2] ? heap.f64[(at + 16) >>> 3]! : null;
  mt.words.set(heap.u32.subarray((at + HEADER) >>> 2, ((at + HEADER) >>> 2) + mt.words.length));
}
