/** Matrix units and asynchronous copies as CUDA C++, carried out by the stand-ins, against the interpreter. */

import { afterAll, describe, expect, it } from "vitest";
import { KernelBuilder } from "../../gpu/builder.ts";
import { type Elem, ELEM_BYTES, type MatrixFormat } from "../../gpu/ir.ts";
import { toCuda } from "../../gpu/lower/cuda.ts";
import { type Memory, MEMORY_OF, toBF16, toF16 } from "../../gpu/lower/interpret_memory.ts";
import { uniform } from "../gpu/harness.ts";
import { Executor } from "./execute.ts";
import { unavailable } from "./native.ts";

/** Words as matrix units take them. */
function words(format: MatrixFormat, n: number, seed: number): Uint32Array {
  if (format === "tf32") return new Uint32Array(Float32Array.from(uniform(n, seed)).buffer);
  return new Uint32Array(Uint16Array.from(uniform(2 * n, seed), format === "f16" ? toF16 : toBF16).buffer);
}

describe.skipIf(unavailable !== null)("CUDA C++ means what the IR says", () => {
  const executor = unavailable === null ? new Executor() : (undefined as unknown as Executor);
  afterAll(() => executor?.close());

  it.each(["f16", "bf16", "tf32"] as const)("in products of %s", (format) => {
    const k = new KernelBuilder("products", 64);
    const [a, b] = [k.input("a", "u32", 4), k.input("b", "u32", 2)];
    const [c, y] = [k.input("c", "f32", 4), k.output("y", "f32", 4)];
    const i = k.group.mul(64).add(k.thread);
    const first = k.mma(format, a.load(i), b.load(i), c.load(i));
    y.store(i, k.mma(format, a.load(i), b.load(i), first));
    const [n, program] = [128, k.build()];
    const buffers = [
      words(format, 4 * n, 1),
      words(format, 2 * n, 2),
      Float32Array.from(uniform(4 * n, 3)),
      new Float32Array(4 * n),
    ];
    const [, , , sums] = executor.compare({ program, buffers, params: {}, groups: 2 });
    expect(new Set(sums as Float32Array).size).toBeGreaterThan(400);
  });

  it("in rounding to TF32, and in packing", () => {
    const k = new KernelBuilder("rounding", 32);
    const [x, y] = [k.input("x", "f32", 2), k.output("y", "f32", 2)];
    const [f16, bf16] = [k.output("f16", "u32"), k.output("bf16", "u32")];
    const v = x.load(k.thread);
    y.store(k.thread, k.op("round_tf32", v));
    f16.store(k.thread, k.pack("f16", v.lane(0), v.lane(1)));
    bf16.store(k.thread, k.pack("bf16", v.lane(0), v.lane(1)));
    const corners = [1, 1 + 2 ** -11, -1 - 2 ** -11, 65519, 65520, 1e-7, -1e-8, Infinity, -Infinity, 3.4e38, 0, -0];
    const values = Float32Array.from({ length: 64 }, (_, i) => corners[i] ?? (i - 31.5) * 1.0009765625);
    const buffers = [values, new Float32Array(64), new Uint32Array(32), new Uint32Array(32)];
    executor.compare({ program: k.build(), buffers, params: {}, groups: 1 });
  });

  it.each([false, true])("in matrices from workgroup memory, transposed: %s", (transposed) => {
    const k = new KernelBuilder("matrices", 64);
    const [x, y] = [k.input("x", "u32", 4), k.output("y", "u32", 4)];
    const rows = k.shared("rows", "u32", 130, 4);
    const place = k.u32(129).sub(k.thread.mul(2));
    rows.store(place, x.load(k.thread));
    k.barrier();
    y.store(k.thread, rows.loadMatrices(place.mul(4), transposed));
    const buffers = [Uint32Array.from({ length: 256 }, (_, i) => i * 0x10001 + 0x80000000), new Uint32Array(256)];
    executor.compare({ program: k.build(), buffers, params: {}, groups: 1 });
  });

  it("in copies of every size, whole and cut short", () => {
    const runs = (["f32", "u32", "f16", "bf16", "f64", "i64"] as const satisfies readonly Elem[]).flatMap((elem) =>
      ([4, 8, 16] as const).flatMap((bytes) => {
        const size = ELEM_BYTES[elem];
        if (size > bytes) return [];
        const k = new KernelBuilder("copies", 32);
        const [x, y] = [k.input("x", elem), k.output("y", "u32")];
        const s = k.shared("s", "u32", 64, 4);
        const [each, wide] = [bytes / size, bytes / 4];
        const from = k.thread.mul(each);
        // One group that is waited for, and another that goes on meanwhile.
        s.copyFrom(x, k.thread.mul(wide), from, bytes);
        k.commitCopies();
        s.copyFrom(x, k.thread.mul(wide).add(128), from, bytes, k.thread.rem(each + 1));
        k.commitCopies();
        const out = (first: number): void =>
          k.for(0, wide, 1, (i) => {
            const at = k.thread.mul(wide).add(i);
            y.store(
              at.add(first),
              s.loadWord(
                k
                  .u32(32 * wide - 1)
                  .sub(at)
                  .add(first),
              ),
            );
          });
        k.waitCopies(1);
        k.barrier();
        out(0);
        k.waitCopies(0);
        k.barrier();
        out(128);
        const input = new MEMORY_OF[elem](32 * each) as Memory;
        const filled = new Uint8Array(input.buffer as ArrayBuffer);
        // No NaN: they may come out otherwise.
        for (let i = 0; i < filled.length; i++) filled[i] = (i * 37 + 11) & 0x3f;
        return [{ program: k.build(), buffers: [input, new Uint32Array(256)], params: {}, groups: 1 }];
      }),
    );
    executor.compile(runs.map((r) => toCuda(r.program)));
    for (const run of runs) executor.compare(run);
  });
});
