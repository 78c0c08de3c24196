/**
 * Damaged files of every format: an error of a type that says so, or a value; never a crash, a long wait or memory that the file does not account
 * for. 40,000 files or half a minute; FUZZ=100000 says how many there are to be, however long it takes. FUZZ_SEED: where to begin.
 */

import { fileURLToPath } from "node:url";
import * as torch from "kindling";
import { io } from "kindling";
import * as onnx from "kindling/onnx";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCorpus } from "../conformance/corpus_files.ts";
import { isAccident } from "../conformance/outcome.ts";
import { joined } from "../../ts/io/format.ts";
import { memory } from "../../ts/io/source.ts";
import { writeZip, ZipReader } from "../../ts/io/zip.ts";
import { goldenModels } from "../onnx/golden.ts";
import { gguf } from "./gguf_maker.ts";
import { pickled, torchZip } from "./pickles.ts";

const COUNT = Number(process.env.FUZZ ?? 40_000);
const SECONDS = process.env.FUZZ === undefined ? 30 : Infinity;
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const SLOWEST_MS = 2000;

interface Sample {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Bytes of what is in it, where that is more than the file. */
  readonly contents: number;
  readonly load: (bytes: Uint8Array) => Promise<unknown>;
}

/** mulberry32: the same files for the same seed. */
function generator(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function makeSamples(): Promise<Sample[]> {
  const corpus = openCorpus(fileURLToPath(new URL("../golden/files.pack", import.meta.url)));
  const pt = (name: string, bytes: Uint8Array): Sample => ({ name, bytes, contents: bytes.length, load: (b) => torch.load(b) });
  const npz = (name: string, bytes: Uint8Array, contents = bytes.length): Sample => ({
    name,
    bytes,
    contents,
    // The corpus' archives have types that no tensor has.
    load: (b) => (name.includes("_a") ? io.read_npz(b) : io.load_npz(b)),
  });
  /** Damage within one entry of an archive, which is then whole again around it. */
  const within = async (archive: Sample, entry: string, deflate = false): Promise<Sample> => {
    const zip = await ZipReader.open(memory(archive.bytes));
    const contents = await Promise.all(
      [...zip.entries.values()].map(async (e) => ({ name: e.name, bytes: await zip.read(e, { crc: false }) })),
    );
    const load = async (bad: Uint8Array): Promise<unknown> =>
      archive.load(
        await joined(
          writeZip(
            contents.map((e) => (e.name.endsWith(entry) ? { ...e, bytes: bad } : e)),
            { deflate },
          ),
        ),
      );
    const { bytes } = contents.find((e) => e.name.endsWith(entry))!;
    return { name: `${entry} in ${archive.name}`, bytes, contents: 2 * archive.bytes.length + archive.contents, load };
  };
  const tensors = { a: torch.arange(30).reshape([5, 6]), b: torch.ones([7], { dtype: torch.float16 }), c: torch.tensor(true) };
  const metadata = {
    "general.architecture": [8, "llama"],
    tokens: [9, [8, ["a", "bc", "def"]]],
    scores: [9, [6, [1, 2, 3]]],
    n: [10, 5n],
  } as const;
  const ggufFile = gguf(metadata, [
    { name: "x", type: 0, shape: [2, 3], data: new Uint8Array(24).fill(60) },
    { name: "q8", type: 8, shape: [2, 32], data: new Uint8Array(68).fill(7) },
    { name: "q4", type: 2, shape: [32], data: new Uint8Array(18).fill(9) },
    { name: "k", type: 12, shape: [256], data: new Uint8Array(144).fill(11) },
    { name: "h", type: 1, shape: [4], data: new Uint8Array(8).fill(1) },
  ]);
  const index = new TextEncoder().encode(
    '{"metadata": {"total_size": 8}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.bin"}}',
  );
  const shards: Record<string, Uint8Array> = {
    "m-1.safetensors": await io.save({ a: torch.ones([2]) }),
    "m-2.bin": await torch.save({ b: torch.ones([2]) }),
  };
  const shard = (name: string): Uint8Array => {
    if (!Object.hasOwn(shards, name)) throw new torch.RuntimeError(`there is no file ${name}`);
    return shards[name]!;
  };
  const files = [
    pt("tensor_a.pt", corpus.bytes("tensor_a.pt")),
    pt("checkpoint_a.pt", corpus.bytes("checkpoint_a.pt")),
    pt("protocol4_a.pt", corpus.bytes("protocol4_a.pt")),
    pt("checkpoint_a.legacy.pt", corpus.bytes("checkpoint_a.legacy.pt")),
    pt("state_a.legacy.pt", corpus.bytes("state_a.legacy.pt")),
    pt(
      "ours.pt",
      await torch.save({ ...tensors, list: [1, -2.5, "x", null, true], set: new Set([1]), bytes: Uint8Array.of(200) }),
    ),
    pt("by hand.pt", torchZip(pickled.tensor(), { "data/0": new Uint8Array(8) })),
    npz("plain_a.npz", corpus.bytes("plain_a.npz")),
    npz("packed_a.npz", corpus.bytes("packed_a.npz"), 8192),
    npz("unnamed.npz", corpus.bytes("unnamed_a.npz")),
    npz("zeros.npz", await io.save_npz({ zeros: torch.zeros([50_000]) }, null, { compressed: true }), 200_128),
    ...["float32_f.npy", "int64_f.npy", "version2_a.npy", "big_endian_a.npy", "complex64_c.npy"].map((name) => ({
      name,
      bytes: corpus.bytes(name),
      contents: corpus.bytes(name).length,
      load: async (b: Uint8Array) => [await io.read_npy(b), name.startsWith("complex") || (await io.load_npy(b))],
    })),
    {
      name: "safetensors",
      bytes: await io.save(tensors, { metadata: { a: "b" } }),
      contents: 1000,
      load: (b: Uint8Array) => io.load(b),
    },
    { name: "gguf", bytes: ggufFile, contents: 4096, load: (b: Uint8Array) => io.load_gguf(b) },
    { name: "index.json", bytes: index, contents: 1000, load: (b: Uint8Array) => io.load_sharded(b, { shard }) },
  ];
  for (const { name, bytes } of goldenModels()) {
    // Numbers of small types take eight bytes each in the message, and constants are computed.
    if (bytes.length < 30_000) files.push({ name, bytes, contents: 4 * bytes.length, load: (b: Uint8Array) => onnx.load(b) });
  }
  const named = (name: string): Sample => files.find((sample) => sample.name === name)!;
  const inner = [
    ...["tensor_a.pt", "checkpoint_a.pt", "protocol4_a.pt", "ours.pt"].map((name) => within(named(name), "data.pkl")),
    within(named("checkpoint_a.pt"), "data/0"),
    within(named("plain_a.npz"), "float64.npy"),
    within(named("unnamed.npz"), "arr_0.npy", true),
  ];
  return [...files, ...(await Promise.all(inner))];
}

const INTERESTING = [0, 1, 2, 127, 128, 255, 0x28, 0x29, 0x2e, 0x52, 0x5d, 0x63, 0x71, 0x74, 0x75, 0x7d, 0x85, 0x8a, 0x8c, 0x94];

/** One to four changes: bits, bytes, numbers, pieces cut out, doubled, taken from elsewhere; ends cut off. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const below = (n: number): number => Math.floor(random() * n);
  // Half of the files keep their length, and with it all that lies behind the damage.
  const kinds = [0, 1, 2, 3, 6, 7, ...(below(2) === 0 ? [4, 5] : [])];
  let out = new Uint8Array(bytes); // Node's Buffers have a slice() that is no copy
  for (let left = 1 + below(4); left > 0 && out.length > 0; left--) {
    const at = below(out.length);
    const length = Math.min(out.length - at, 1 + below(below(4) === 0 ? 200 : 12));
    switch (kinds[below(kinds.length)]) {
      case 0:
        out[at] ^= 1 << below(8);
        break;
      case 1:
        out[at] = below(256);
        break;
      case 2:
        out[at] = INTERESTING[below(INTERESTING.length)]!;
        break;
      case 3: {
        // A number of 2, 4 or 8 bytes, often huge.
        const size = 2 << below(3);
        const fill = below(3) === 0 ? 0 : 255;
        for (let i = at; i < Math.min(out.length, at + size); i++) out[i] = below(4) === 0 ? below(256) : fill;
        break;
      }
      case 4:
        out = below(3) === 0 ? out.slice(0, at) : Uint8Array.from([...out.subarray(0, at), ...out.subarray(at + length)]);
        break;
      case 5:
        out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at, at + length), ...out.subarray(at)]);
        break;
      case 6:
        out.copyWithin(below(out.length), at, at + length);
        break;
      default:
        out.fill(below(2) === 0 ? 0 : below(256), at, at + length);
    }
  }
  return out;
}

const allowed = [io.FileFormatError, torch.ValueError, torch.RuntimeError];
let allocated = 0;
const device = torch.get_default_device();
const { alloc } = device;
beforeAll(() => {
  device.alloc = (nbytes, dtype) => {
    allocated += nbytes;
    return alloc.call(device, nbytes, dtype);
  };
});
afterAll(() => {
  device.alloc = alloc;
});

it("damaged files give typed errors, in time and within their size", async () => {
  const samples = await makeSamples();
  for (const { load, bytes } of samples) await load(bytes);
  const random = generator(SEED);
  const started = performance.now();
  const counts = new Map<string, number>();
  const rejections: unknown[] = [];
  const note = (error: unknown): void => void rejections.push(error);
  process.on("unhandledRejection", note);
  let [done, loaded, slowest] = [0, 0, 0];
  while (done < COUNT && performance.now() - started < 1000 * SECONDS) {
    const { name, bytes, contents, load } = samples[done % samples.length]!;
    const bad = mutate(bytes, random);
    const where = `file ${done} of seed ${SEED}, made of ${name}`;
    allocated = 0;
    const before = performance.now();
    try {
      await load(bad);
      loaded++;
    } catch (error) {
      const typed = !isAccident(error) && allowed.some((type) => error instanceof type);
      if (!typed) throw new Error(`${where}: ${String(error)}\n${(error as Error).stack}`, { cause: error });
      counts.set((error as Error).name, (counts.get((error as Error).name) ?? 0) + 1);
    }
    if (allocated > 2 * Math.max(bad.length, bytes.length) + contents) throw new Error(`${where}: took ${allocated} bytes`);
    let took = performance.now() - before;
    if (took > SLOWEST_MS) {
      // It may have been the machine, which others use, too.
      const again = performance.now();
      await load(bad).catch(() => {});
      took = Math.min(took, performance.now() - again);
      if (took > SLOWEST_MS) throw new Error(`${where}: took ${took} ms`);
    }
    slowest = Math.max(slowest, took);
    done++;
    if (done % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off("unhandledRejection", note);
  const errors = [...counts].map(([name, n]) => `${n} ${name}`).join(", ");
  console.log(`${done} damaged files: ${loaded} could be read, ${errors}; the slowest took ${slowest.toFixed(0)} ms`);
  expect(rejections).toEqual([]);
  expect(done).toBeGreaterThan(Math.min(COUNT, 1000) - 1);
  expect(counts.size).toBeGreaterThan(2);
}, 3_600_000);
