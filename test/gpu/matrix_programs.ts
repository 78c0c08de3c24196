/** Small programs with matrix units and asynchronous copies, for the interpreter and for CUDA C++. */

import { KernelBuilder, type V } from "../../gpu/builder.ts";
import type { MatrixFormat, Program } from "../../gpu/ir.ts";

/** One product by a subgroup, straight from PTX's tables: every word of a fragment is read from where the manual says that it lies. */
export function oneProduct(format: MatrixFormat): Program {
  const k = new KernelBuilder("product", 32);
  const pairs = format !== "tf32";
  const depth = pairs ? 16 : 8;
  const [a, b, c] = [k.input("a", "f32"), k.input("b", "f32"), k.input("c", "f32")]; // [16][k], [k][8], [16][8]
  const y = k.output("y", "f32");
  const [g, t] = [k.thread.div(4), k.thread.rem(4)];
  const word = (at: (kk: V) => V, load: (at: V) => V, first: V): V => {
    if (format === "tf32") return k.op("round_tf32", load(at(first))).bitcast("u32");
    return k.pack(format, load(at(first)), load(at(first.add(1))));
  };
  const step = pairs ? 2 : 1;
  const [near, far] = [t.mul(step), t.mul(step).add(depth / 2)];
  const ofA = (row: V, kk: V): V => word((x) => row.mul(depth).add(x), (x) => a.load(x), kk); // prettier-ignore
  const ofB = (kk: V): V =>
    word(
      (x) => x.mul(8).add(g),
      (x) => b.load(x),
      kk,
    );
  const places = [0, 1, 2, 3].map((i) => g.add(8 * (i >> 1)).mul(8).add(t.mul(2)).add(i & 1)); // prettier-ignore
  const sums = k.mma(
    format,
    k.vector([ofA(g, near), ofA(g.add(8), near), ofA(g, far), ofA(g.add(8), far)]),
    k.vector([ofB(near), ofB(far)]),
    k.vector(places.map((at) => c.load(at))),
  );
  places.forEach((at, i) => y.store(at, sums.lane(i)));
  return k.build();
}

/** Rows of workgroup memory as fragments. Rows lie apart, the later ones first. */
export function matrices(transposed: boolean): Program {
  const k = new KernelBuilder("matrices", 32);
  const [x, y] = [k.input("x", "u32", 4), k.output("y", "u32", 4)];
  const rows = k.shared("rows", "u32", 64, 4);
  const place = k.u32(62).sub(k.thread.mul(2));
  rows.store(place, x.load(k.thread));
  k.barrier();
  y.store(k.thread, rows.loadMatrices(place.mul(4), transposed));
  return k.build();
}

/** Threads copy a word each, and read their neighbour's. `sabotage` is what a careless author might do. */
export function copying(sabotage: "nothing" | "no wait" | "no barrier" | "no commit" | "early read" | "early write"): Program {
  const k = new KernelBuilder("copying", 64);
  const [x, y] = [k.input("x", "f32"), k.output("y", "f32")];
  const tile = k.shared("tile", "f32", 64, 4);
  const other = k.thread.add(1).rem(64);
  tile.copyFrom(x, k.thread.mul(4), k.thread.mul(4), 16);
  if (sabotage !== "no commit") k.commitCopies();
  if (sabotage === "early read") {
    k.barrier();
    y.store(k.thread, tile.loadWord(k.thread.mul(4)));
  }
  if (sabotage === "early write") tile.store(k.thread, k.const(0, "f32", 4));
  if (sabotage !== "no wait") k.waitCopies(0);
  if (sabotage !== "no barrier") k.barrier();
  y.store(k.thread, tile.loadWord(other.mul(4).add(k.thread.rem(4))));
  return k.build();
}
/** One copy of `bytes` bytes of which at most `elements` halves are there. */
export function partial(elements: number, from: number, to: number, bytes: 4 | 8 | 16 = 16): Program {
  const k = new KernelBuilder("partial", 1);
  const [x, y] = [k.input("x", "i16"), k.output("y", "u32")];
  const tile = k.shared("tile", "u32", 8);
  tile.copyFrom(x, to, from, bytes, k.param("elements", "u32").min(elements));
  k.commitCopies();
  k.waitCopies(0);
  for (let i = 0; i < bytes / 4; i++) y.store(i, tile.load(to + i));
  return k.build();
}
