/** .npy and .npz: NumPy's types both ways. Files that NumPy itself wrote are in the corpus of files. */

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import * as torch from "kindling";
import { io } from "kindling";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { zipOf } from "./pickles.ts";
import { pythonWith } from "./python.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-np-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function npy(header: string, data: number, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const begin = version === 1 ? 10 : 12;
  const bytes = new Uint8Array(begin + text.length + data);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  new DataView(bytes.buffer).setUint16(8, text.length, true);
  bytes.set(text, begin);
  return bytes;
}
const dict = (descr: string, shape: string, fortran = "False"): string =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

const arrays: Record<string, io.NumpyArray> = {
  bool: { dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) },
  int8: { dtype: "int8", shape: [2], data: Int8Array.of(-128, 127) },
  uint8: { dtype: "uint8", shape: [2], data: Uint8Array.of(0, 255) },
  int16: { dtype: "int16", shape: [1, 2], data: Int16Array.of(-32768, 5) },
  uint16: { dtype: "uint16", shape: [2], data: Uint16Array.of(1, 65535) },
  int32: { dtype: "int32", shape: [2], data: Int32Array.of(-(2 ** 31), 7) },
  uint32: { dtype: "uint32", shape: [2], data: Uint32Array.of(2 ** 32 - 1, 7) },
  int64: { dtype: "int64", shape: [2], data: BigInt64Array.of(-(2n ** 63n), 7n) },
  uint64: { dtype: "uint64", shape: [2], data: BigUint64Array.of(2n ** 64n - 1n, 7n) },
  float16: { dtype: "float16", shape: [2], data: Uint16Array.of(0x3c00, 0xfc00) },
  float32: { dtype: "float32", shape: [2, 2], data: Float32Array.of(1.5, -0, Infinity, 2) },
  float64: { dtype: "float64", shape: [], data: Float64Array.of(0.1) },
  complex64: { dtype: "complex64", shape: [1], data: Float32Array.of(1, -2) },
  complex128: { dtype: "complex128", shape: [2], data: Float64Array.of(1, -2, 0.1, 4) },
  empty: { dtype: "float32", shape: [0, 3], data: new Float32Array(0) },
};

describe("npy and npz", () => {
  it("come back as they were, of every type", async () => {
    for (const array of Object.values(arrays)) expect(await io.read_npy(await io.save_npy(array))).toEqual(array);
    for (const compressed of [false, true]) {
      expect(await io.read_npz(await io.save_npz(arrays, null, { compressed }))).toEqual(arrays);
    }
  });
  it("are tensors", async () => {
    const x = torch.arange(12).reshape([3, 4]).t();
    const back = await io.load_npy(await io.save_npy(x));
    expect([back.dtype, back.tolist_sync()]).toEqual([torch.int64, x.tolist_sync()]);
    const half = torch.tensor([1.5, -2], { dtype: torch.float16 });
    const all = await io.load_npz(await io.save_npz({ x, half, plain: arrays.int8! }, null, { compressed: true }));
    expect(Object.keys(all)).toEqual(["x", "half", "plain"]);
    expect([all.half!.dtype, all.half!.tolist_sync(), all.plain!.tolist_sync()]).toEqual([torch.float16, [1.5, -2], [-128, 127]]);
    await expect(io.save_npy(torch.ones([1], { dtype: torch.bfloat16 }))).rejects.toThrow(/NumPy has no torch.bfloat16/);
  });
  it("widen unsigned integers, and refuse what does not fit", async () => {
    const load = async (name: string): Promise<unknown> => {
      const t = await io.load_npy(await io.save_npy(arrays[name]!));
      return [t.dtype.name, t.tolist_sync()];
    };
    expect(await load("uint16")).toEqual(["int32", [1, 65535]]);
    expect(await load("uint32")).toEqual(["int64", [2 ** 32 - 1, 7]]);
    await expect(load("uint64")).rejects.toThrow(/18446744073709551615 of an array of uint64 does not fit int64/);
  });
  it("understand column-major, big-endian and versions 2 and 3", async () => {
    const column = npy(dict("'>i2'", "(2, 3)", "True"), 12);
    column.set([0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 0], column.length - 12);
    expect((await io.load_npy(column)).tolist_sync()).toEqual([
      [1, 3, 5],
      [2, 4, 256],
    ]);
    for (const version of [2, 3])
      expect((await io.load_npy(npy(dict('"<f4"', "(2,)"), 8, version))).tolist_sync()).toEqual([0, 0]);
    expect((await io.read_npy(npy(dict("'<c8'", "(1L, 1)"), 8))).shape).toEqual([1, 1]);
  });
  it("take plain numbers only as they are declared", async () => {
    await expect(io.save_npy({ dtype: "float32", shape: [3], data: new Float32Array(2) })).rejects.toThrow(/takes 12 bytes/);
    await expect(io.save_npy({ dtype: "float32", shape: [1], data: new Int32Array(1) })).rejects.toThrow(/in a Float32Array/);
    await expect(io.save_npy(3 as never)).rejects.toThrow(/expected a Tensor or a NumpyArray, got number/);
  });
});

describe("NumPy's files that lie", () => {
  const bad: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /no \.npy file/],
    ["objects", npy(dict("'|O'", "(1,)"), 8), /a pickle, which is not read/],
    ["records", npy(dict("[('a', '<i4')]", "(1,)"), 4), /an array of records/],
    ["text", npy(dict("'<U5'", "(1,)"), 20), /an array of bytes|an array of text/],
    ["dates", npy(dict("'<M8[s]'", "(1,)"), 8), /descr/],
    ["long doubles", npy(dict("'<f16'", "(1,)"), 16), /an array of floats \(<f16\)/],
    ["petabytes", npy(dict("'<f8'", "(1000000000000000,)"), 8), /takes 8000000000000000 bytes, but the file has 8/],
    ["an endless product", npy(dict("'<f8'", `(${"9007199254740991, ".repeat(40)})`), 8), /takes .* bytes, but the file has 8/],
    ["a negative size", npy(dict("'<f8'", "(-1,)"), 8), /no tuple of whole numbers/],
    ["code", npy("{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (1,)}", 8), /descr is no text/],
    ["other keys", npy("{'descr': '<f4', 'evil': 1}", 8), /other keys/],
    ["no header", npy("", 8), /no dict/],
    ["a cut", npy(dict("'<f4'", "(2,)"), 8).subarray(0, 40), /a header of/],
    ["version 9", npy(dict("'<f4'", "(2,)"), 8, 9), /version 9.0/],
  ];
  it.each(bad)("%s", async (_, bytes, message) => {
    await expect(io.load_npy(bytes)).rejects.toThrow(message);
    await expect(io.load_npz(zipOf({ "a.npy": bytes }))).rejects.toThrow();
  });
  it("archives: other entries, wrong checksums, bombs", async () => {
    const good = npy(dict("'<f4'", "(2,)"), 8);
    await expect(io.load_npz(zipOf({ "a.txt": good }))).rejects.toThrow(/'a.txt' is no array/);
    const file = await io.save_npz({ a: torch.ones([4]) });
    expect(Object.keys(await io.load_npz(file))).toEqual(["a"]);
    // A compressed entry that holds far more than it says: nothing of it is kept.
    const packed = deflateRawSync(new Uint8Array(50_000_000));
    const zip = zipOf({ "a.npy": packed });
    const data = new DataView(zip.buffer);
    const directory = data.getUint32(zip.length - 6, true);
    data.setUint16(directory + 10, 8, true);
    data.setUint32(directory + 24, 1000, true);
    await expect(io.load_npz(zip)).rejects.toThrow(/claims 1000 bytes, but inflates to more/);
    data.setUint32(directory + 24, 50_000_000, true);
    await expect(io.load_npz(zip)).rejects.toThrow(/does not begin with/);
    data.setUint32(directory + 24, 0xfffffff0, true);
    await expect(io.load_npz(zip)).rejects.toThrow(/claims 4294967280 bytes, but has/);
  });
});

const python = pythonWith("numpy");
describe("NumPy itself", () => {
  it.skipIf(python === null)("reads what is written here, with equal values", async () => {
    for (const compressed of [false, true]) {
      const path = join(folder, "all.npz");
      await io.save_npz(arrays, path, { compressed });
      await writeFile(join(folder, "one.npy"), await io.save_npy(arrays.complex128!));
      const script = `
import numpy as np, json, sys
z = np.load(sys.argv[1])
print(json.dumps({k: [str(z[k].dtype), list(z[k].shape), z[k].tobytes().hex()] for k in z.files}))
print(np.load(sys.argv[2]).tolist())`;
      const [first, second] = execFileSync(python!, ["-c", script, path, join(folder, "one.npy")], { encoding: "utf8" }).split(
        "\n",
      );
      const hex = ({ data }: io.NumpyArray): string => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex");
      expect(JSON.parse(first!)).toEqual(
        Object.fromEntries(Object.entries(arrays).map(([k, a]) => [k, [a.dtype, a.shape, hex(a)]])),
      );
      expect(second).toBe("[(1-2j), (0.1+4j)]");
    }
  });
});
