/** Pictures and tables in files. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encode as encodePng } from "fast-png";
import jpeg from "jpeg-js";
import * as torch from "kindling";
import { datasets, io, transforms } from "kindling/vision";
import { afterAll, describe, expect, it } from "vitest";

const root = mkdtempSync(join(tmpdir(), "kindling-vision-"));
afterAll(() => rmSync(root, { recursive: true }));
const put = (path: string, data: Uint8Array | string): string => {
  const file = join(root, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, data);
  return file;
};

const pixels = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => 10 * i);
const png = (channels: number, depth: 8 | 16 = 8): Uint8Array => {
  const data = Array.from({ length: 2 * 3 * channels }, (_, i) => (depth === 16 ? 257 * i : 10 * i));
  return encodePng({ width: 3, height: 2, channels, depth, data: depth === 16 ? Uint16Array.from(data) : Uint8Array.from(data) });
};

describe("decode_image", () => {
  it("of PNGs of every kind", async () => {
    expect((await io.decode_image(png(3))).tolist_sync()).toEqual([
      [[0, 30, 60], [90, 120, 150]],
      [[10, 40, 70], [100, 130, 160]],
      [[20, 50, 80], [110, 140, 170]],
    ]); // prettier-ignore
    for (const channels of [1, 2, 4]) expect((await io.decode_image(png(channels))).shape).toEqual([channels, 2, 3]);
    expect((await io.decode_image(png(1, 16))).tolist_sync()).toEqual([[[0, 1, 2], [3, 4, 5]]]); // prettier-ignore
    // Palettes, and several pixels in a byte.
    const palette = [[1, 2, 3], [40, 50, 60]] as [number, number, number][]; // prettier-ignore
    const indexed = encodePng({ width: 2, height: 1, depth: 8, channels: 1, data: Uint8Array.of(1, 0), palette });
    expect((await io.decode_image(indexed)).tolist_sync()).toEqual([[[40, 1]], [[50, 2]], [[60, 3]]]);
    const bits = encodePng({ width: 3, height: 2, depth: 1, channels: 1, data: Uint8Array.of(0b10100000, 0b01100000) });
    expect((await io.decode_image(bits)).tolist_sync()).toEqual([[[255, 0, 255], [0, 255, 255]]]); // prettier-ignore
  });
  it("in other modes", async () => {
    const shapes = await Promise.all(
      (["GRAY", "GRAY_ALPHA", "RGB", "RGB_ALPHA"] as const).map(async (mode) => (await io.decode_image(png(3), mode)).shape[0]),
    );
    expect(shapes).toEqual([1, 2, 3, 4]);
    expect((await io.decode_image(png(3), { mode: "RGB_ALPHA" })).select(0, 3).min().item_sync()).toBe(255);
    expect((await io.decode_image(png(1), "RGB")).select(0, 2).tolist_sync()).toEqual([[0, 10, 20], [30, 40, 50]]); // prettier-ignore
    // 0.299 * 0 + 0.587 * 10 + 0.114 * 20
    expect((await io.decode_image(png(4), "GRAY")).tolist_sync()).toEqual([[[8, 48, 88], [128, 168, 208]]]); // prettier-ignore
    await expect(io.decode_image(png(3), "CMYK" as never)).rejects.toThrow(torch.ValueError);
  });
  it("of JPEGs, near to what was encoded", async () => {
    const rgba = Uint8Array.from({ length: 16 * 16 * 4 }, (_, i) => (i % 4 === 3 ? 255 : ((i >> 2) % 256) >> (i % 4)));
    const { data } = jpeg.encode({ width: 16, height: 16, data: rgba }, 95);
    const image = await io.decode_image(data);
    expect(image.shape).toEqual([3, 16, 16]);
    const wanted = torch.tensor(rgba).view(16, 16, 4).permute(2, 0, 1).narrow(0, 0, 3);
    expect(image.to(torch.float32).sub(wanted).abs().mean().item_sync()).toBeLessThan(8);
    await expect(io.decode_image(data.subarray(0, 300))).rejects.toThrow(torch.RuntimeError);
  });
  it("says what is wrong with a file", async () => {
    const damaged = png(3).slice();
    damaged[40]! ^= 255;
    await expect(io.decode_image(damaged)).rejects.toThrow(/the file is damaged/);
    await expect(io.decode_image(png(3).slice(0, 45))).rejects.toThrow(torch.RuntimeError);
    await expect(io.decode_image(new TextEncoder().encode("GIF89a..."))).rejects.toThrow(/Only jpeg and png.*47 49 46/);
    await expect(io.decode_image(new Uint8Array(0))).rejects.toThrow(torch.ValueError);
    await expect(io.read_image(put("broken.png", damaged))).rejects.toThrow(/damaged.*broken\.png/);
  });
});

describe("ImageFolder", () => {
  it("has the classes and samples in order, and loads them", async () => {
    for (const path of ["a/2.png", "a/1.png", "b c/x.png", "b/deep/y.PNG"]) put(`photos/${path}`, png(3));
    put("photos/a/notes.txt", "");
    put("photos/top.png", png(3));
    const folder = new datasets.ImageFolder<torch.Tensor>(join(root, "photos"), {
      transform: new transforms.Compose([new transforms.ToTensor(), new transforms.Resize([4, 4])]),
    });
    expect(folder.classes).toEqual(["a", "b", "b c"]);
    expect(folder.class_to_idx).toEqual({ a: 0, b: 1, "b c": 2 });
    expect(folder.samples.map(([path]) => (path as string).slice(root.length + 8))).toEqual([
      "a/1.png",
      "a/2.png",
      "b/deep/y.PNG",
      "b c/x.png",
    ]);
    const loader = new torch.utils.data.DataLoader(folder, { batch_size: 3 });
    const shapes: unknown[] = [];
    for await (const [images, labels] of loader) shapes.push(images.shape, labels.tolist_sync());
    expect(shapes).toEqual([[3, 3, 4, 4], [0, 0, 1], [1, 3, 4, 4], [2]]);
    expect(
      new datasets.ImageFolder(join(root, "photos"), { is_valid_file: (p) => p.endsWith("1.png"), allow_empty: true }).length,
    ).toBe(1);
  });
  it("of a browser's files", async () => {
    const file = (path: string): File =>
      Object.defineProperty(new File([png(1) as Uint8Array<ArrayBuffer>], path.split("/").at(-1)!), "webkitRelativePath", {
        value: path,
      });
    const folder = new datasets.ImageFolder([file("mine/dog/1.png"), file("mine/cat/2.png")]);
    expect(folder.classes).toEqual(["cat", "dog"]);
    const [image, label] = await folder.get(1);
    expect([image.shape, label]).toEqual([[3, 2, 3], 1]);
  });
  it("says what is missing", () => {
    mkdirSync(join(root, "empty/c"), { recursive: true });
    expect(() => new datasets.ImageFolder(join(root, "empty"))).toThrow(/no valid file for the classes c.*\.png/);
    expect(new datasets.ImageFolder(join(root, "empty"), { allow_empty: true }).length).toBe(0);
    expect(() => new datasets.ImageFolder(join(root, "empty/c"))).toThrow(/any class folder/);
    expect(() => new datasets.ImageFolder(join(root, "nowhere"))).toThrow(/no folder/);
  });
});

describe("CSV", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  it("by column, types as they fit", async () => {
    const text = '\ufeffid,x,ok,"the, name"\r\n1,0.5,true,"say ""hi"""\r\n2,,FALSE,"two\nlines"\r\n\r\n3,-1e3,true,\r\n';
    const table = await datasets.read_csv(bytes(text));
    expect(Object.keys(table)).toEqual(["id", "x", "ok", "the, name"]);
    const { id, x, ok } = table as Record<string, torch.Tensor>;
    expect([id!.dtype, x!.dtype, ok!.dtype]).toEqual([torch.int64, torch.float32, torch.bool]);
    expect(x!.tolist_sync()).toEqual([0.5, NaN, -1000]);
    expect(table["the, name"]).toEqual(['say "hi"', "two\nlines", ""]);
  });
  it("with given columns and without a header", async () => {
    const options = { header: ["a", "b"], delimiter: ";", comment: "#", columns: { b: "float64" } } as const;
    const table = await datasets.read_csv(bytes("# made by hand\nx;1\ny;2"), options);
    expect(Object.keys(table)).toEqual(["b"]);
    expect((table.b as torch.Tensor).tolist_sync()).toEqual([1, 2]);
    const plain = await datasets.read_csv(bytes("1,2\n3,4"), { header: false });
    expect((plain["1"] as torch.Tensor).tolist_sync()).toEqual([2, 4]);
  });
  it("row by row, whatever the parts in which it comes", async () => {
    const text = Array.from({ length: 200 }, (_, i) => `${i},"a\r\n""${i}"""\r\n`).join("");
    const whole = bytes(`n,s\r\n${text}`);
    for (const size of [1, 7, 64]) {
      const stream = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < whole.length; at += size) controller.enqueue(whole.subarray(at, at + size));
          controller.close();
        },
      });
      const rows = new datasets.CSVDataset(new Response(stream), { columns: { n: "int64", s: "string" } });
      const loader = new torch.utils.data.DataLoader(rows, { batch_size: 150 });
      const seen: number[] = [];
      for await (const batch of loader) {
        const { n, s } = batch as unknown as { n: torch.Tensor; s: string[] };
        seen.push(...(n.tolist_sync() as number[]));
        expect(s[0]).toBe(`a\r\n"${seen.at(-s.length)}"`);
      }
      expect(seen).toEqual([...Array(200).keys()]);
    }
  });
  it("says where a table is wrong", async () => {
    const read = (text: string, options = {}): Promise<unknown> => datasets.read_csv(bytes(text), options);
    await expect(read("a,b\n1,2\n3")).rejects.toThrow(/row 3 has 1 fields, expected 2/);
    await expect(read("a,b\n1,x", { columns: { b: "int64" } })).rejects.toThrow(/row 2, column "b": "x" is not of type int64/);
    await expect(read("a,b\n1,2", { columns: { c: "int64" } })).rejects.toThrow(/no column "c"; there are a, b/);
    await expect(read('a\n"open\n')).rejects.toThrow(torch.ValueError);
    await expect(read("a,a\n1,2")).rejects.toThrow(/same name/);
    await expect(datasets.read_csv(join(root, "none.csv"))).rejects.toThrow(/ENOENT/);
  });
});

describe("MNIST and CIFAR", () => {
  const idx = (type: number, shape: number[], data: number[]): Uint8Array =>
    Uint8Array.from([0, 0, type, shape.length, ...shape.flatMap((n) => [0, 0, n >> 8, n & 255]), ...data]);
  it("MNIST", () => {
    put("mnist/MNIST/raw/train-images-idx3-ubyte.gz", gzipSync(idx(8, [2, 2, 3], [...pixels.slice(0, 12)])));
    put("mnist/MNIST/raw/train-labels-idx1-ubyte", idx(8, [2], [7, 1]));
    const digits = new datasets.MNIST(join(root, "mnist"), { transform: (x) => x.sum().item_sync() });
    expect([digits.length, digits.targets, digits.get(1)]).toEqual([2, [7, 1], [60 + 70 + 80 + 90 + 100 + 110, 1]]);
    expect(digits.data.shape).toEqual([2, 1, 2, 3]);
    expect(() => new datasets.MNIST(join(root, "mnist"), { train: false })).toThrow(/t10k-images-idx3-ubyte/);
    expect(() => digits.get(2)).toThrow(torch.IndexError);
    expect(datasets.decode_idx(idx(0x0b, [1], [255, 254])).tolist_sync()).toEqual([-2]);
    expect(() => datasets.decode_idx(idx(8, [3], [1]))).toThrow(/takes 11 bytes, there are 9/);
  });
  it("CIFAR", () => {
    const record = Uint8Array.from({ length: 3073 }, (_, i) => (i === 0 ? 9 : i % 251));
    put("cifar-10-batches-bin/test_batch.bin", Buffer.concat([record, record]));
    const cifar = new datasets.CIFAR10(root, { train: false });
    expect([cifar.length, cifar.classes[cifar.targets[0]!]]).toEqual([2, "truck"]);
    expect((cifar.get(0)[0] as torch.Tensor).shape).toEqual([3, 32, 32]);
    expect(cifar.data.select(0, 1).flatten().narrow(0, 0, 2).tolist_sync()).toEqual([1, 2]);
  });
});
