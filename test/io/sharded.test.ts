/** Models in several files. */

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as torch from "kindling";
import { io, type Tensor } from "kindling";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

let root = "";
let folder = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-shards-"));
});
beforeEach(async () => {
  folder = await mkdtemp(join(root, "model-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const tensors = (): Record<string, Tensor> => ({
  b: torch.arange(10, { dtype: torch.float32 }),
  a: torch.ones([4], { dtype: torch.float64 }),
  big: torch.zeros([40]),
  c: torch.tensor([7]),
});
const values = (t: Record<string, Tensor>): unknown =>
  Object.fromEntries(Object.entries(t).map(([k, v]) => [k, v.tolist_sync()]));
const INDEX = "model.safetensors.index.json";

describe("sharded safetensors", () => {
  it("come back from files of a size, by path and by URL", async () => {
    const files = await io.save_sharded(tensors(), folder, { max_shard_size: 80, metadata: { format: "pt" } });
    const names = [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`);
    expect(files).toEqual([...names, INDEX]);
    expect((await readdir(folder)).sort()).toEqual([...files].sort());
    const index = JSON.parse(await readFile(join(folder, INDEX), "utf8")) as object;
    expect(index).toEqual({
      metadata: { total_size: 40 + 32 + 160 + 8 },
      weight_map: { a: names[0], b: names[0], big: names[1], c: names[2] },
    });
    const path = join(folder, INDEX);
    for (const from of [path, pathToFileURL(path)]) expect(values(await io.load_sharded(from))).toEqual(values(tensors()));
  });
  it("are one file where that is enough", async () => {
    expect(await io.save_sharded(tensors(), folder)).toEqual(["model.safetensors"]);
    expect(values(await io.load_file(join(folder, "model.safetensors")))).toEqual(values(tensors()));
    await expect(io.save_sharded(tensors(), folder, { max_shard_size: "many" })).rejects.toThrow(
      /expected bytes, or text such as "5GB"/,
    );
  });
  it("come from anywhere by a function, and may be PyTorch's own", async () => {
    const files: Record<string, Uint8Array<ArrayBuffer>> = {
      "x.bin": await torch.save({ a: torch.ones([2]), b: torch.zeros([1]), more: 1 }),
      "y.bin": await torch.save({ c: torch.ones([1]) }),
    };
    const index = new Blob([JSON.stringify({ weight_map: { a: "x.bin", c: "y.bin", b: "x.bin" } })]);
    const shard = (name: string): Blob => new Blob([files[name]!]);
    expect(values(await io.load_sharded(index, { shard }))).toEqual({ a: [1, 1], c: [1], b: [0] });
    await expect(io.load_sharded(index)).rejects.toThrow(/pass `shard: /);
    const wrong = new Blob([JSON.stringify({ weight_map: { more: "x.bin" } })]);
    await expect(io.load_sharded(wrong, { shard })).rejects.toThrow(/x.bin does not contain tensor 'more'/);
  });
  it.each([
    ["no JSON", "{", /not JSON/],
    ["a list", "[]", /no weight_map/],
    ["a path upwards", '{"weight_map": {"a": "../secret.safetensors"}}', /expected a file beside the index/],
    ["an absolute path", '{"weight_map": {"a": "/etc/passwd"}}', /expected a file beside/],
    ["a URL", '{"weight_map": {"a": "http://example.com"}}', /expected a file beside/],
    ["a number", '{"weight_map": {"a": 3}}', /expected a file beside/],
    ["depth", `{"weight_map": {"a": ${"[".repeat(100_000)}${"]".repeat(100_000)}}}`, /nested too deeply/],
    ["a parent", '{"weight_map": {"a": ".."}}', /expected a file beside/],
  ])("refuse an index with %s", async (_, text, message) => {
    const path = join(folder, INDEX);
    await writeFile(path, text);
    await expect(io.load_sharded(path)).rejects.toThrow(message);
    await expect(io.load_sharded(path)).rejects.toThrow(io.FileFormatError);
  });
  it("say which tensor a file does not have", async () => {
    const files = await io.save_sharded(tensors(), folder, { max_shard_size: 80 });
    await writeFile(join(folder, INDEX), JSON.stringify({ weight_map: { nothing: files[0] } }));
    await expect(io.load_sharded(join(folder, INDEX))).rejects.toThrow(/does not contain tensor 'nothing'/);
  });
});
