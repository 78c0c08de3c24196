import { createServer } from "node:http";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as torch from "kindling";
import { io, type Tensor } from "kindling";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-io-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function samples(): Record<string, Tensor> {
  const types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"] as const;
  return {
    ...Object.fromEntries(types.map((name) => [`of.${name}`, torch.arange(6, { dtype: torch[name] }).reshape([2, 3])])),
    flags: torch.tensor([true, false, true]),
    scalar: torch.tensor(2.5),
    empty: torch.ones([0, 4]),
    "strided ünïcode": torch.arange(6).reshape([2, 3]).t(),
    __proto__x: torch.ones([1]),
    big: torch.tensor([2n ** 62n + 1n]),
  };
}
const values = (t: Record<string, Tensor>): unknown =>
  Object.fromEntries(Object.entries(t).map(([k, v]) => [k, [v.dtype.name, v.shape, v.tolist_sync()]]));

/** A file of this header and data. */
function file(header: unknown, data = 0): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const entry = (shape: unknown, from: unknown, to: unknown, dtype: unknown = "F32"): object => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

describe("safetensors", () => {
  it("come back as they were, of every dtype", async () => {
    const tensors = samples();
    const bytes = await io.save(tensors, { metadata: { format: "pt" } });
    expect(values(await io.load(bytes))).toEqual(values(tensors));
    expect(values(await io.load_file(new Blob([bytes])))).toEqual(values(tensors));
    expect(values(await io.load_file(new Response(bytes)))).toEqual(values(tensors));
    expect(await io.save(new Map(Object.entries(tensors).reverse()), { metadata: { format: "pt" } })).toEqual(bytes);
  });
  it("are aligned, as others write them", async () => {
    const bytes = await io.save({ b: torch.ones([1], { dtype: torch.uint8 }), a: torch.tensor([1.5]) });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
    expect(text.trimEnd()).toBe(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}',
    );
    expect([...bytes.subarray(8 + length)]).toEqual([0, 0, 192, 63, 1]);
  });
  it("are written whole or not at all", async () => {
    const path = join(folder, "model.safetensors");
    await io.save_file({ a: torch.ones([3]) }, path);
    await io.save_file({ a: torch.zeros([3]) }, path);
    expect(values(await io.load_file(path))).toEqual({ a: ["float32", [3], [0, 0, 0]] });
    await expect(io.save_file({ a: 1 as never }, path)).rejects.toThrow(/key 'a' is invalid, expected Tensor but got number/);
    await expect(io.save_file({ __metadata__: torch.ones([1]) }, path)).rejects.toThrow(io.SafetensorError);
    await expect(io.save_file({ a: torch.ones([1]) }, join(folder, "no", "such"))).rejects.toThrow(/ENOENT/);
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
    expect(values(await io.load_file(path))).toEqual({ a: ["float32", [3], [0, 0, 0]] });
  });
  it("are read in parts: the header, and what is asked for", async () => {
    const bytes = await io.save({ a: torch.ones([1000]), b: torch.tensor([7]) }, { metadata: { who: "me" } });
    let read = 0;
    const source = {
      size: bytes.length,
      read: (from: number, to: number) => {
        read += to - from;
        return Promise.resolve(bytes.subarray(from, to));
      },
    };
    const opened = await io.safe_open(source);
    expect(opened.keys().sort()).toEqual(["a", "b"]);
    expect(opened.get_info("a")).toEqual({ dtype: "F32", shape: [1000] });
    expect(opened.metadata()).toEqual({ who: "me" });
    expect((await opened.get_tensor("b")).tolist_sync()).toEqual([7]);
    expect(read).toBeLessThan(400);
    await expect(opened.get_tensor("c")).rejects.toThrow(/does not contain tensor 'c'/);
    await expect(io.safe_open(3 as never)).rejects.toThrow(TypeError);
  });
  it("are read from the network by ranges, or whole", async () => {
    const bytes = await io.save(samples());
    const asked: string[] = [];
    const server = createServer((request, answer) => {
      const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
      asked.push(request.url!);
      if (request.url === "/gone") answer.writeHead(404).end();
      else if (request.url === "/ranges" && range) {
        const [from, to] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
        answer.writeHead(206, { "content-range": `bytes ${from}-${to}/${bytes.length}` }).end(bytes.subarray(from, to + 1));
      } else answer.end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    try {
      expect(values(await io.load_file(new URL(`${base}/ranges`)))).toEqual(values(samples()));
      expect(asked.length).toBeGreaterThan(3);
      expect(values(await io.load_file(`${base}/whole`))).toEqual(values(samples()));
      await expect(io.load_file(`${base}/gone`)).rejects.toThrow(/404/);
    } finally {
      server.close();
    }
  });
});

describe("files that lie", () => {
  const bad: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /header too small/],
    ["seven bytes", new Uint8Array(7), /header too small/],
    ["a header longer than allowed", new Uint8Array(8).fill(255), /header too large: it claims 18446744073709551615 bytes/],
    [
      "a header longer than the file",
      Uint8Array.from([100, 0, 0, 0, 0, 0, 0, 0, 123]),
      /invalid header length: it claims 100 bytes, but the file has only 1/,
    ],
    ["an empty header", new Uint8Array(8), /does not start with '\{'/],
    ["a list", file("[]"), /does not start with '\{'/],
    ["no JSON", file("{nonsense"), /not JSON/],
    ["no UTF-8", (() => { const b = file('{"ab":1}'); b[10] = 0xff; return b; })(), /not UTF-8/], // prettier-ignore
    ["bad metadata", file({ __metadata__: { a: 1 } }), /__metadata__ is not a map/],
    ["an entry that is none", file({ a: 5 }), /'a': its entry is not an object/],
    ["an unknown dtype", file({ a: entry([1], 0, 4, "F13") }, 4), /'a': unknown dtype "F13"/],
    ["a dtype from the prototype", file({ a: entry([1], 0, 4, "toString") }, 4), /unknown dtype "toString"/],
    ["a negative dimension", file({ a: entry([-1], 0, 4) }, 4), /invalid shape \[-1\]/],
    ["a broken dimension", file({ a: entry([0.5], 0, 4) }, 4), /invalid shape/],
    ["no offsets", file({ a: { dtype: "F32", shape: [1] } }, 4), /invalid data_offsets/],
    ["offsets backwards", file({ a: entry([1], 4, 0) }, 4), /run backwards/],
    ["offsets beyond the end", file({ a: entry([2], 0, 8) }, 4), /reach beyond the 4 bytes of data/],
    [
      "a shape that is not the offsets'",
      file({ a: entry([2], 0, 4) }, 4),
      /F32 of shape \[2\] takes 8 bytes, but data_offsets \[0, 4\] hold 4/,
    ],
    ["a shape that overflows", file({ a: entry([2 ** 40, 2 ** 40], 0, 4) }, 4), /takes .* bytes/],
    ["overlaps", file({ a: entry([2], 0, 8), b: entry([1], 4, 8) }, 8), /'b': its bytes overlap/],
    ["a hole", file({ a: entry([1], 4, 8) }, 8), /'a': 4 bytes before it belong to no tensor/],
    ["bytes left over", file({ a: entry([1], 0, 4) }, 8), /4 bytes at the end of the file belong to no tensor/],
  ];
  it.each(bad)("%s", async (_name, bytes, message) => {
    await expect(io.load(bytes)).rejects.toThrow(message);
    await expect(io.load(bytes)).rejects.toThrow(io.SafetensorError);
    await expect(io.load_file(new Blob([bytes as Uint8Array<ArrayBuffer>]))).rejects.toThrow(torch.ValueError);
  });
  it("every truncation of a good file is noticed", async () => {
    const path = join(folder, "cut.safetensors");
    const bytes = await io.save({ a: torch.ones([2]), b: torch.zeros([1]) });
    await writeFile(path, bytes);
    for (let n = bytes.length - 1; n >= 0; n--) {
      await truncate(path, n);
      await expect(io.load_file(path)).rejects.toThrow(io.SafetensorError);
      await expect(io.load(bytes.subarray(0, n))).rejects.toThrow(io.SafetensorError);
    }
    expect((await readFile(path)).length).toBe(0);
  });
  it("a file that shrinks while it is read is noticed", async () => {
    const path = join(folder, "shrinks.safetensors");
    const bytes = await io.save({ a: torch.ones([100]) });
    await writeFile(path, bytes);
    const opened = await io.safe_open(path);
    await truncate(path, bytes.length - 10);
    await expect(opened.get_tensor("a")).rejects.toThrow(/bytes were expected/);
    await opened.close();
  });
  it("types without a counterpart can be skipped, not loaded", async () => {
    const bytes = file({ a: entry([2], 0, 2, "F8_E4M3"), b: entry([1], 2, 3, "BOOL") }, 3);
    bytes[bytes.length - 1] = 7;
    const opened = await io.safe_open(bytes);
    expect((await opened.get_tensor("b")).tolist_sync()).toEqual([true]);
    await expect(opened.get_tensor("a")).rejects.toThrow(torch.NotImplementedError);
  });
});
