/** GGUF files made here, block by block as the format describes them; numbers are checked against that description. */

import * as torch from "kindling";
import { io } from "kindling";
import { describe, expect, it } from "vitest";
import { gguf, type GgufEntry } from "./gguf_maker.ts";

/** 1, 2 and -0.5 as float16. */
const [ONE, TWO, MINUS_HALF] = [0x3c00, 0x4000, 0xb800];
const u16 = (...words: number[]): number[] => words.flatMap((w) => [w & 255, w >> 8]);
const range = (n: number, f: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => f(i));

async function read(entry: GgufEntry): Promise<torch.Tensor> {
  const { tensors } = await io.load_gguf(gguf({}, [entry]));
  return tensors[entry.name]!;
}
const values = async (type: number, shape: number[], data: number[]): Promise<unknown> =>
  (await read({ name: "x", type, shape, data: Uint8Array.from(data) })).flatten().tolist_sync();

describe("gguf", () => {
  it("metadata of every type", async () => {
    const bytes = gguf({
      u8: [0, 255],
      i8: [1, -3],
      u16: [2, 65535],
      i16: [3, -300],
      u32: [4, 4e9],
      i32: [5, -4],
      f32: [6, 1.5],
      bool: [7, true],
      text: [8, "llama 🦙"],
      list: [9, [8, ["a", "b"]]],
      nested: [9, [9, [[4, [1, 2]]]]],
      u64: [10, 2n ** 60n],
      i64: [11, -5n],
      f64: [12, 0.1],
    });
    const file = await io.open_gguf(bytes);
    expect(file.metadata).toEqual({
      u8: 255,
      i8: -3,
      u16: 65535,
      i16: -300,
      u32: 4e9,
      i32: -4,
      f32: 1.5,
      bool: true,
      text: "llama 🦙",
      list: ["a", "b"],
      nested: [[1, 2]],
      u64: 2n ** 60n,
      i64: -5,
      f64: 0.1,
    });
    expect([file.version, file.keys()]).toEqual([3, []]);
  });

  it("plain types keep their own, with PyTorch's order of dimensions", async () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const x = await read({ name: "x", type: 0, shape: [2, 3], data });
    expect([x.dtype, x.tolist_sync()]).toEqual([
      torch.float32,
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    const half = await read({ name: "x", type: 1, shape: [2], data: Uint8Array.from(u16(ONE, MINUS_HALF)) });
    expect([half.dtype, half.tolist_sync()]).toEqual([torch.float16, [1, -0.5]]);
    const brain = await read({ name: "x", type: 30, shape: [2], data: Uint8Array.from(u16(0x3f80, 0xc000)) });
    expect([brain.dtype, brain.tolist_sync()]).toEqual([torch.bfloat16, [1, -2]]);
  });

  it("Q8_0", async () => {
    const block = [...u16(MINUS_HALF), ...range(32, (i) => (i - 16) & 255)];
    expect(await values(8, [64], [...block, ...block])).toEqual(range(64, (i) => -0.5 * ((i % 32) - 16)));
  });

  it("Q4_0 and Q4_1", async () => {
    const quants = range(16, (i) => i | ((15 - i) << 4));
    const q = (i: number): number => (i < 16 ? i : 31 - i);
    expect(await values(2, [32], [...u16(TWO), ...quants])).toEqual(range(32, (i) => 2 * (q(i) - 8)));
    expect(await values(3, [32], [...u16(TWO, MINUS_HALF), ...quants])).toEqual(range(32, (i) => 2 * q(i) - 0.5));
  });

  /** The scales 1, 18, 35 ... and minima 63, 60 ... of eight parts, packed as the K types have it. */
  const scales = range(8, (j) => (1 + 17 * j) & 63);
  const mins = range(8, (j) => 63 - 3 * j);
  const packed = [
    ...range(4, (j) => scales[j]! | ((scales[j + 4]! >> 4) << 6)),
    ...range(4, (j) => mins[j]! | ((mins[j + 4]! >> 4) << 6)),
    ...range(4, (j) => (scales[j + 4]! & 15) | ((mins[j + 4]! & 15) << 4)),
  ];
  const number = (i: number): number => (i * 7 + (i >> 5)) & 15;
  const nibbles = range(128, (k) => {
    const [pair, i] = [k >> 5, k & 31];
    return number(64 * pair + i) | (number(64 * pair + 32 + i) << 4);
  });

  it("Q4_K", async () => {
    const block = [...u16(TWO, MINUS_HALF), ...packed, ...nibbles];
    expect(await values(12, [256], block)).toEqual(range(256, (i) => 2 * scales[i >> 5]! * number(i) + 0.5 * mins[i >> 5]!));
  });

  it("Q5_K", async () => {
    const fifth = (i: number): number => ((i * 5) >> 2) & 1;
    const high = range(32, (i) => range(8, (j) => fifth(32 * j + i) << j).reduce((a, b) => a | b));
    const block = [...u16(TWO, MINUS_HALF), ...packed, ...high, ...nibbles];
    const want = range(256, (i) => 2 * scales[i >> 5]! * (number(i) + 16 * fifth(i)) + 0.5 * mins[i >> 5]!);
    expect(await values(13, [256], block)).toEqual(want);
  });

  it("Q6_K", async () => {
    const six = (i: number): number => (i * 11 + (i >> 4)) & 63;
    // Of each half of 128 numbers: two rows of 32 bytes with the low bits of quarters 0, 2 and 1, 3; one with the high bits of all four.
    const at = (side: number, quarter: number, l: number): number => six(128 * side + 32 * quarter + l);
    const low = range(128, (k) => (at(k >> 6, (k >> 5) & 1, k & 31) & 15) | ((at(k >> 6, ((k >> 5) & 1) + 2, k & 31) & 15) << 4));
    const high = range(64, (k) => range(4, (q) => (at(k >> 5, q, k & 31) >> 4) << (2 * q)).reduce((a, b) => a | b));
    const factors = range(16, (j) => (j - 8) & 255);
    const got = (await values(14, [256], [...low, ...high, ...factors, ...u16(TWO)])) as number[];
    // The sign of zero is that of no number in particular.
    const want = range(256, (i) => 2 * ((i >> 4) - 8) * (six(i) - 32));
    expect(got.map((x) => x + 0)).toEqual(want.map((x) => x + 0));
  });

  it("lists what it cannot read, and says so when it is asked for", async () => {
    const file = await io.open_gguf(gguf({}, [{ name: "x", type: 10, shape: [256], data: new Uint8Array(84) }]));
    expect(file.get_info("x").type).toBe("Q2_K");
    await expect(file.get_tensor("x")).rejects.toThrow(/of type Q2_K, which is not read/);
    await expect(file.get_tensor("y")).rejects.toThrow(/does not contain tensor 'y'/);
    await file.close();
  });

  it("reads only what is asked for, and honours general.alignment", async () => {
    const data = new Uint8Array(Float32Array.of(1, 2).buffer);
    const big = { name: "big", type: 0, shape: [1_000_000], data: new Uint8Array(4_000_000) };
    const bytes = gguf({ "general.alignment": [4, 256] }, [big, { name: "x", type: 0, shape: [2], data }]);
    let count = 0;
    const source = {
      size: bytes.length,
      read: (a: number, b: number) => ((count += b - a), Promise.resolve(bytes.subarray(a, b))),
    };
    const file = await io.open_gguf(source);
    expect((await file.get_tensor("x")).tolist_sync()).toEqual([1, 2]);
    expect(count).toBeLessThan(70_000);
  });
});

describe("GGUF files that lie", () => {
  const one = { name: "x", type: 0, shape: [2], data: new Uint8Array(8) };
  const patched = (at: number, ...bytes: number[]): Uint8Array => {
    const file = gguf({ a: [8, "text"] }, [one]);
    file.set(bytes, at);
    return file;
  };
  const bad: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /no GGUF file/],
    ["another magic", patched(0, 0), /no GGUF file/],
    ["version 1", patched(4, 1), /version 1; expected 2 or 3/],
    ["big-endian", patched(4, 0, 0, 0, 3), /big-endian/],
    ["countless tensors", patched(8, 255, 255, 255, 255), /4294967295 tensors do not fit/],
    ["countless entries", patched(16, 255, 255, 255, 255), /entries of metadata do not fit/],
    ["an endless key", patched(24, 255, 255, 255, 255, 255, 255), /bytes of text do not fit/],
    ["an unknown type of value", patched(33, 99), /unknown type 99/],
    ["unknown type", gguf({}, [{ ...one, type: 4 }]), /the unknown type 4/],
    ["data beyond the file", gguf({}, [{ ...one, shape: [3000] }]), /takes bytes .* but the file has/],
    ["an overflow", gguf({}, [{ ...one, shape: [2 ** 40, 2 ** 40] }]), /does not consist of/],
    ["half blocks", gguf({}, [{ ...one, type: 8, shape: [16] }]), /blocks of 32/],
    ["an overlap", gguf({}, [one, { ...one, name: "y", offset: 4 }]), /overlaps/],
    ["two of one name", gguf({}, [one, one]), /have one name/],
    ["deep lists", gguf({ a: [9, [9, [[9, [[9, [[9, [[4, [1]]]]]]]]]]] }), /nested more than 4/],
    ["alignment 0", gguf({ "general.alignment": [4, 0] }, [one]), /general.alignment is 0/],
  ];
  it.each(bad)("%s", async (_, bytes, message) => {
    await expect(io.load_gguf(bytes)).rejects.toThrow(message);
    await expect(io.load_gguf(bytes)).rejects.toThrow(io.FileFormatError);
  });
});
