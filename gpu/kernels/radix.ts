/**
 * Stable radix sort of rows, digit by digit from the low end. A thread counts the digits of a block of neighbouring elements in memory of its
 * own, the counts are scanned, and the thread puts its elements in place: no barriers, no atomics, always the same order.
 */

import { int32 } from "../../ts/core/dtype.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuContext, Temporary } from "../context.ts";
import type { Elem } from "../ir.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";

export interface RadixJob {
  /** Names `word` and the params that it uses. */
  readonly key: string;
  readonly source: Bindable;
  readonly elem: Elem;
  readonly rows: number;
  /** Elements of a row. */
  readonly n: number;
  /** Bits of the keys: above, all are 0. */
  readonly bits: number;
  /** The 32 bits of an element's key that `shift` of bits counts in: `high`, those from 32 on. */
  readonly word: (k: KernelBuilder, source: BufferVar, row: V, place: V, high: boolean) => V;
  readonly params?: Readonly<Record<string, number>>;
}

const LONG = 512;

/** Per row the places of its elements in order: u32 [rows, n]. */
export function radixSort(context: GpuContext, job: RadixJob): Temporary {
  const { rows, n, bits } = job;
  const widest = n >= LONG ? 8 : 4;
  const passes = ceilDiv(bits, widest);
  // 64-bit keys have digits that divide 32.
  const digit = bits > 32 ? widest : ceilDiv(bits, passes);
  const block = n >= LONG ? Math.max(64, Math.min(256, ceilDiv(n, 256))) : 32;
  const blocks = ceilDiv(n, block);
  const bins = 2 ** digit;
  const counts = context.temporary(rows * bins * blocks, "i32");
  const starts = context.temporary(rows * bins * blocks, "i32");
  let from: Temporary | null = null;
  const orders = [context.temporary(rows * n, "u32"), context.temporary(rows * n, "u32")] as const;
  for (let pass = 0; pass < ceilDiv(bits, digit); pass++) {
    const shift = pass * digit;
    const to: Temporary = orders[pass % 2]!;
    context.zero(counts, 0, rows * bins * blocks);
    const launch = (mode: "count" | "place"): void => {
      const high = shift >= 32;
      const workgroup = workgroupSize(context.caps, 16);
      const program = context.program(`radix_${mode}|${job.key}|${from !== null}|${high}|${workgroup}`, () =>
        passProgram(job, mode, from !== null, high, workgroup),
      );
      context.launch(program, {
        buffers: [job.source, ...(from === null ? [] : [from]), ...(mode === "count" ? [counts] : [starts, to])],
        params: { ...job.params, rows, n, block, blocks, bins, shift: shift % 32 },
        groups: ceilDiv(rows * blocks, workgroup),
      });
    };
    launch("count");
    exclusiveScan(context, counts, starts, rows * bins * blocks);
    launch("place");
    from = to;
  }
  return from!;
}

/** A thread per row and block. Counts lie as [row, bin, block], so that a scan of all gives where elements go. */
function passProgram(
  job: RadixJob,
  mode: "count" | "place",
  ordered: boolean,
  high: boolean,
  workgroup: number,
): ReturnType<KernelBuilder["build"]> {
  const k = new KernelBuilder(`radix_${mode}`, workgroup);
  const source = k.input("source", job.elem);
  const order = ordered ? k.input("order", "u32") : null;
  const counts = k.output("counts", "i32");
  const sorted = mode === "place" ? k.output("sorted", "u32") : null;
  const [n, block, blocks, bins] = ["n", "block", "blocks", "bins"].map((name) => k.param(name, "u32")) as [V, V, V, V];
  const thread = k.group.mul(workgroup).add(k.thread);
  k.if(thread.lt(k.param("rows", "u32").mul(blocks)), () => {
    const row = thread.div(blocks);
    const own = thread.sub(row.mul(blocks));
    const first = own.mul(block);
    const start = row.mul(n);
    k.for(first, first.add(block).min(n), 1, (i) => {
      const place = order === null ? i : order.load(start.add(i));
      const word = job.word(k, source, row, place, high);
      const bin = word.shr(k.param("shift", "u32")).and(bins.sub(1));
      const at = row.mul(bins).add(bin).mul(blocks).add(own);
      const count = counts.load(at);
      counts.store(at, count.add(1));
      sorted?.store(count.convert("u32"), place);
    });
  });
  return k.build();
}

/** to[i] = sum of from[0 .. i): both i32. */
export function exclusiveScan(context: GpuContext, from: Temporary, to: Temporary, n: number): void {
  const sums = context.temporary(n, "i32");
  const spec = { kind: "scan", op: "cumsum", input: int32, dtype: int32 } as const;
  context.lower<"scan">(spec)([context.view(from, int32, [n])], [context.view(sums, int32, [n])], null);
  context.zero(to, 0, 1);
  context.copy(sums, 0, to, 1, n - 1);
}
