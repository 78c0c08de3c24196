/** Zip archives as others write and read them. */

import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { joined } from "../../ts/io/format.ts";
import { memory } from "../../ts/io/source.ts";
import { crc32, writeZip, ZipReader, type ZipContent } from "../../ts/io/zip.ts";
import { pythonWith } from "./python.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-zip-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const contents = (): ZipContent[] => [
  { name: "a/one.txt", bytes: text("one ".repeat(1000)) },
  {
    name: "a/zwei ü.bin",
    bytes: {
      size: 7,
      async *parts() {
        yield text("abc");
        yield text("defg");
      },
    },
  },
  { name: "a/empty", bytes: new Uint8Array(0) },
];

it("checksums are those of the standard, in one piece or in several", () => {
  expect(crc32(text("123456789"))).toBe(0xcbf43926);
  expect(crc32(text("6789"), crc32(text("12345")))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
});

it.each([
  [false, 1],
  [false, 64],
  [true, 1],
])("come back, deflated: %s, aligned to %s", async (deflate, align) => {
  const bytes = await joined(writeZip(contents(), { deflate, align }));
  const zip = await ZipReader.open(memory(bytes));
  const read = await Promise.all(
    [...zip.entries.values()].map(async (e) => [e.name, new TextDecoder().decode(await zip.read(e))]),
  );
  expect(read).toEqual([
    ["a/one.txt", "one ".repeat(1000)],
    ["a/zwei ü.bin", "abcdefg"],
    ["a/empty", ""],
  ]);
  for (const entry of zip.entries.values()) expect((await zip.range(entry))[0] % align).toBe(0);
  if (deflate) expect(bytes.length).toBeLessThan(800);
});

const python = pythonWith("zipfile");
it.skipIf(python === null)("Python's zipfile reads ours, and we its, zip64 fields and comments included", async () => {
  const path = join(folder, "ours.zip");
  for (const deflate of [false, true]) {
    await writeFile(path, await joined(writeZip(contents(), { deflate, align: 64 })));
    const script = `
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
assert z.namelist() == ["a/one.txt", "a/zwei \\u00fc.bin", "a/empty"] and z.read("a/zwei \\u00fc.bin") == b"abcdefg"
w = zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED)
with w.open(zipfile.ZipInfo("streamed"), "w", force_zip64=True) as f: f.write(b"x" * 5000)
w.writestr("other", b"y")
w.comment = b"a comment"
w.close()`;
    const { status, stderr } = spawnSync(python!, ["-c", script, path, join(folder, "theirs.zip")], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
    const zip = await ZipReader.open(memory(await readFile(join(folder, "theirs.zip"))));
    const sizes = await Promise.all([...zip.entries.values()].map(async (e) => [e.name, (await zip.read(e)).length]));
    expect(sizes).toEqual([
      ["streamed", 5000],
      ["other", 1],
    ]);
  }
});

it("sizes beyond 32 bits have zip64 fields, which are read again", async () => {
  // The directory of an archive with an entry of 5 GiB; what lies before it is never made.
  const size = 5 * 2 ** 30;
  const parts: Uint8Array[] = [];
  let at = 0;
  const places: [number, Uint8Array][] = [];
  const big: ZipContent = {
    name: "big",
    bytes: {
      size,
      async *parts() {
        yield new Uint8Array(0);
      },
    },
  };
  for await (const part of writeZip([big, { name: "small", bytes: text("s") }], { align: 64 })) {
    parts.push(part);
    places.push([at, part]);
    // The empty piece stands for all of the data.
    at += part.length === 0 ? size : part.length;
  }
  const read = (from: number, to: number): Promise<Uint8Array> => {
    const out = new Uint8Array(to - from);
    for (const [place, part] of places) {
      for (let i = 0; i < part.length; i++) if (place + i >= from && place + i < to) out[place + i - from] = part[i]!;
    }
    return Promise.resolve(out);
  };
  const zip = await ZipReader.open({ size: at, read });
  const [first, second] = [...zip.entries.values()];
  expect([first!.size, second!.size]).toEqual([size, 1]);
  const [from, to] = await zip.range(first!);
  expect([from % 64, to - from]).toEqual([0, size]);
  expect(new TextDecoder().decode(await zip.read(second!))).toBe("s");
});
