/**
 * The grid of kernels on a device, each result compared with the cpu's: `grid.js [--device cuda] [--kind map,matmul] [--share N] [--json FILE]`.
 * Small enough for compute-sanitizer. `--share N`: one case in N. With KINDLING_CUDA_ALLOCATOR=exact every tensor is an allocation of its
 * own, so that the checker sees each step beyond its end.
 */

import * as torch from "kindling";
import type { Tensor } from "kindling";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { GRID } from "./grid_cases.ts";
import { type GridCase, Maker } from "./grid_make.ts";

const { values } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    kind: { type: "string" },
    share: { type: "string", default: "1" },
    json: { type: "string" },
  },
});

const TOLERANCE: Readonly<Record<string, number>> = { float64: 1e-11, float32: 3e-5, float16: 1e-2, bfloat16: 6e-2 };

interface Read {
  readonly dtype: string;
  readonly values: readonly number[];
}

async function read(tensors: readonly Tensor[]): Promise<Read[]> {
  const all: Read[] = [];
  for (const t of tensors) {
    const { name } = t.dtype;
    // As numbers: exact for everything but int64 beyond 2^53, which the grid has not.
    const data = await t.detach().to(torch.float64).flatten().tolist();
    all.push({ dtype: name, values: data as number[] });
  }
  return all;
}

/** What is wrong, or null. */
function compare(ours: readonly Read[], theirs: readonly Read[], tolerance: number | undefined): string | null {
  for (let i = 0; i < theirs.length; i++) {
    const [a, b] = [ours[i]!, theirs[i]!];
    if (a.dtype !== b.dtype || a.values.length !== b.values.length) {
      return `result ${i}: ${a.values.length} of ${a.dtype}, expected ${b.values.length} of ${b.dtype}`;
    }
    const allowed = a.dtype in TOLERANCE ? (tolerance ?? TOLERANCE[a.dtype]!) : 0;
    // Where sums cancel out, what is added says how exact they can be.
    const scale = b.values.reduce((n, x) => (Number.isFinite(x) ? Math.max(n, Math.abs(x)) : n), 1);
    for (let j = 0; j < b.values.length; j++) {
      const [x, y] = [a.values[j]!, b.values[j]!];
      if (Object.is(x, y) || x === y || Math.abs(x - y) <= allowed * scale) continue;
      return `result ${i} (${a.dtype}): element ${j} is ${x}, expected ${y} (within ${allowed} of ${scale})`;
    }
  }
  return null;
}

async function check(c: GridCase, device: string): Promise<string | null> {
  try {
    const ours = await read(await c.run(new Maker(device)));
    if (c.holds !== undefined) return ours.every(({ values }) => c.holds!(values)) ? null : "the numbers are not as they must be";
    return compare(ours, await read(await c.run(new Maker("cpu"))), c.tolerance);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function main(): Promise<number> {
  const share = Number(values.share);
  if (!Number.isInteger(share) || share < 1) throw new Error(`--share is ${values.share}; expected a positive whole number`);
  const kinds = values.kind?.split(",");
  const known = new Set(GRID.map(({ kind }) => kind));
  const strange = kinds?.find((kind) => !known.has(kind));
  if (strange !== undefined) throw new Error(`there are no kernels of kind "${strange}"; there are ${[...known].join(", ")}`);
  const { device } = values;
  if (device.startsWith("cuda")) {
    const why = torch.cuda.unavailable_reason();
    if (why !== null) {
      console.error(`cuda is not available: ${why}`);
      return 3;
    }
    // The checker looks at our kernels, not at NVIDIA's.
    torch.backends.cuda.preferred_blas_library("kindling");
    torch.backends.cudnn.enabled = false;
  }
  torch.backends.cudnn.allow_tf32 = false;
  torch.manual_seed(7);
  const chosen = GRID.filter(({ kind }) => kinds?.includes(kind) ?? true).filter((_, i) => i % share === 0);
  const failures: { readonly name: string; readonly why: string }[] = [];
  const start = performance.now();
  let run = 0;
  const stats = (): torch.cuda.CudaStats | null => (device.startsWith("cuda") ? torch.cuda.stats(device) : null);
  // Often: whoever is stopped half-way leaves what was found.
  const write = (): void => {
    if (values.json === undefined) return;
    const seconds = (performance.now() - start) / 1000;
    writeFileSync(
      values.json,
      JSON.stringify({ device, cases: run, of: chosen.length, failures, seconds, stats: stats() }, null, 1),
    );
  };
  for (const c of chosen) {
    const why = await check(c, device);
    run++;
    if (why !== null) {
      // A device that a kernel broke starts anew: the other cases are to be seen, too.
      if (device.startsWith("cuda")) torch.cuda.init();
      failures.push({ name: `${c.kind}: ${c.name}`, why });
      console.log(`FAIL ${c.kind}: ${c.name}: ${why}`);
    }
    if (run % 16 === 0) write();
  }
  const seconds = (performance.now() - start) / 1000;
  write();
  const seen = stats();
  if (seen !== null) console.log(`${seen.launches} launches of ${seen.kernels_compiled + seen.kernels_cached} kernels`);
  console.log(
    `kernel grid on ${device}: ${chosen.length - failures.length} passed, ${failures.length} failed, in ${seconds.toFixed(1)} s`,
  );
  return failures.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
