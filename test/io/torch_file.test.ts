/** torch.save and torch.load: what goes in comes out; what is not plain data is refused. Python's side is in torch_python.test.ts. */

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as torch from "kindling";
import { io, nn, optim, type Tensor } from "kindling";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pickled, torchZip } from "./pickles.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-pt-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function roundTrip(value: unknown): Promise<unknown> {
  return torch.load(await torch.save(value));
}

describe("torch.save and torch.load", () => {
  it("keep plain values", async () => {
    const value = {
      int: 3,
      large: 2 ** 40,
      negative: -7,
      short: -(2 ** 31),
      huge: 2n ** 70n,
      hugeNegative: -(2n ** 64n),
      float: 0.1,
      minusZero: -0,
      inf: -Infinity,
      nan: NaN,
      text: "grüß 🦊\n",
      long: "x".repeat(70_000),
      bool: true,
      no: false,
      none: null,
      list: [1, [2, [3, []]], {}],
      bytes: Uint8Array.of(0, 127, 128, 255),
      dtype: torch.bfloat16,
      numbered: new Map<unknown, unknown>([
        [0, "a"],
        ["0", "b"],
        [2n ** 65n, null],
      ]),
      set: new Set([1, "a"]),
      [JSON.parse('"__proto__"') as string]: 5,
    };
    expect(await roundTrip(value)).toEqual(value);
    expect(await roundTrip(new torch.FloatScalar(1))).toBe(1);
    expect(await roundTrip(undefined)).toBe(null);
    const many = Array.from({ length: 1000 }, (_, i) => `key ${i}`);
    expect(await roundTrip([many, many])).toEqual([many, many]);
  });

  it("keep tensors of every dtype, also empty and 0-d ones", async () => {
    const types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"] as const;
    for (const name of types) {
      for (const shape of [[2, 3], [], [0, 4]]) {
        const x = torch.ones(shape, { dtype: torch[name] });
        const y = (await roundTrip({ x })) as { x: Tensor };
        expect([y.x.dtype, y.x.shape, y.x.tolist_sync()]).toEqual([x.dtype, x.shape, x.tolist_sync()]);
      }
    }
  });

  it("keep complex tensors and numbers", async () => {
    for (const dtype of [torch.complex64, torch.complex128]) {
      const x = torch.tensor([new torch.Complex(1, -2), new torch.Complex(0, 0.5)], { dtype });
      const out = (await roundTrip([x, x.select(0, 1), new torch.Complex(1, 2)])) as [Tensor, Tensor, torch.Complex];
      expect([out[0].dtype, out[0].tolist_sync(), out[1].tolist_sync()]).toEqual([
        dtype,
        x.tolist_sync(),
        new torch.Complex(0, 0.5),
      ]);
      expect([out[1].storage_offset(), out[2]]).toEqual([1, new torch.Complex(1, 2)]);
      expect((await io.load_npy(await io.save_npy(x))).tolist_sync()).toEqual(x.tolist_sync());
      const tensors = io.save({ x });
      if (dtype === torch.complex128) await expect(tensors).rejects.toThrow(/complex128, which safetensors does not have/);
      else expect((await io.load(await tensors)).x!.tolist_sync()).toEqual(x.tolist_sync());
    }
  });

  it("keep shared memory shared, with strides and offsets", async () => {
    const whole = torch.arange(12).reshape([3, 4]);
    const out = (await roundTrip([whole, whole.t(), whole.select(1, 2), [whole], whole.clone()])) as [
      Tensor,
      Tensor,
      Tensor,
      [Tensor],
      Tensor,
    ];
    expect(out[1].stride()).toEqual([1, 4]);
    expect([out[2].storage_offset(), out[2].stride(), out[2].tolist_sync()]).toEqual([2, [4], [2, 6, 10]]);
    expect(out[3][0]).toBe(out[0]);
    out[0].fill_(7);
    expect(out[1].tolist_sync()).toEqual(torch.full([4, 3], 7).tolist_sync());
    expect(out[2].tolist_sync()).toEqual([7, 7, 7]);
    expect(out[4].tolist_sync()).toEqual(whole.tolist_sync());
  });

  it("keep what contains itself", async () => {
    const list: unknown[] = [1];
    list.push({ list });
    const out = (await roundTrip(list)) as [number, { list: unknown }];
    expect(out[1].list).toBe(out);
  });

  it("keep requires_grad, and values that wait to be computed", async () => {
    const w = torch.ones([2], { requires_grad: true });
    const [a, b] = (await roundTrip([w, w.detach().mul(3).add(1)])) as [Tensor, Tensor];
    expect([a.requires_grad, a.is_leaf, b.requires_grad]).toEqual([true, true, false]);
    expect(b.tolist_sync()).toEqual([4, 4]);
  });

  it("keep a training run: model, optimizer, epoch", async () => {
    const make = (): [nn.Sequential, optim.Adam] => {
      const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 1));
      return [model, new optim.Adam(model.parameters(), { lr: 0.05 })];
    };
    const x = torch.rand([8, 3]);
    const step = ([model, opt]: [nn.Sequential, optim.Adam]): number => {
      opt.zero_grad();
      const loss = model.forward(x).square().mean();
      loss.backward();
      opt.step();
      return Number(loss.item_sync());
    };
    const first = make();
    for (let i = 0; i < 3; i++) step(first);
    const path = join(folder, "run.pt");
    await torch.save({ model: first[0].state_dict(), opt: first[1].state_dict(), epoch: 3 }, path);
    const loaded = (await torch.load(path)) as {
      model: Record<string, Tensor>;
      opt: Parameters<optim.Adam["load_state_dict"]>[0];
      epoch: number;
    };
    const second = make();
    second[0].load_state_dict(loaded.model);
    second[1].load_state_dict(loaded.opt);
    expect(loaded.epoch).toBe(3);
    expect([...(loaded.opt.state as Map<number, unknown>).keys()]).toEqual([0, 1, 2, 3]);
    expect([step(second), step(second)]).toEqual([step(first), step(first)]);
  });

  it("write files whole or not at all, to paths, URLs and streams", async () => {
    const place = join(folder, "sub.pt");
    await torch.save({ a: torch.ones([2]) }, place);
    await torch.save({ a: torch.zeros([2]) }, pathToFileURL(place));
    await expect(torch.save({ a: () => 1 }, place)).rejects.toThrow(/the value\[a\] is of type function; expected tensors/);
    expect(((await torch.load(place)) as { a: Tensor }).a.tolist_sync()).toEqual([0, 0]);
    const parts: Uint8Array[] = [];
    await torch.save([1], new WritableStream({ write: (part) => void parts.push(part) }));
    expect(await torch.load(new Blob(parts as Uint8Array<ArrayBuffer>[]))).toEqual([1]);
    expect((await readdir(folder)).filter((name) => name.includes("tmp"))).toEqual([]);
    expect(await torch.load(await readFile(place))).toBeTruthy();
    await expect(torch.save(1, new URL("https://example.com/x"))).rejects.toThrow(/file: URL/);
  });

  it("refuse what cannot be saved, and say where it is", async () => {
    await expect(torch.save({ a: [new nn.Linear(1, 1)] })).rejects.toThrow(
      /the value\[a\]\[0\] is of type Linear.*state_dict\(\) instead/,
    );
    await expect(torch.save({ d: new Date() })).rejects.toThrow(/the value\[d\] is of type Date/);
    await expect(torch.save(new Map([[{}, 1]]))).rejects.toThrow(/a key of the value/);
    let deep: unknown = 1;
    for (let i = 0; i < 2000; i++) deep = [deep];
    await expect(torch.save(deep)).rejects.toThrow(/500 levels deep/);
  });

  it("place tensors by map_location", async () => {
    const bytes = await torch.save(torch.ones([1]));
    const cpu = torch.get_default_device();
    const seen: string[] = [];
    const where = (location: string): null => (seen.push(location), null);
    for (const map_location of ["cpu", cpu, { cpu: "cpu" }, where, null]) {
      expect(((await torch.load(bytes, { map_location })) as Tensor).device).toBe(cpu);
    }
    expect(seen).toEqual(["cpu"]);
    const elsewhere = torchZip(pickled.tensor({ location: "mps:0" }), { "data/0": new Uint8Array(8) });
    await expect(torch.load(elsewhere)).rejects.toThrow(/saved on 'mps:0'.*map_location: "cpu"/);
    expect(((await torch.load(elsewhere, { map_location: "cpu" })) as Tensor).tolist_sync()).toEqual([0, 0]);
    await expect(torch.load(bytes, { map_location: "moon" })).rejects.toThrow(/Invalid device string/);
    await expect(torch.load(bytes, { weights_only: false as never })).rejects.toThrow(torch.NotImplementedError);
  });

  it("read only what is needed from a source of ranges", async () => {
    const bytes = await torch.save({ big: torch.zeros([100_000]), small: torch.ones([2]) });
    let [most, calls] = [0, 0];
    const read = (from: number, to: number): Promise<Uint8Array> => {
      most = Math.max(most, to - from);
      calls++;
      return Promise.resolve(bytes.subarray(from, to));
    };
    const out = (await torch.load({ size: bytes.length, read })) as { small: Tensor };
    expect(out.small.tolist_sync()).toEqual([1, 1]);
    expect(most).toBe(400_000);
    expect(calls).toBeLessThan(14);
  });
});

describe("pickles that want more than data", () => {
  const { global, string, tuple, reduce, stop } = pickled;
  const bad: [string, Uint8Array, RegExp][] = [
    ["os.system", reduce(global("os", "system"), tuple(string("touch /tmp/kindling_was_here"))), /os\.system/],
    ["posix.system", reduce(global("posix", "system"), tuple(string("id"))), /posix\.system/],
    ["eval under its old name", reduce(global("__builtin__", "eval"), tuple(string("1+1"))), /builtins\.eval/],
    ["builtins.eval", reduce(global("builtins", "eval"), tuple(string("1+1"))), /builtins\.eval/],
    ["getattr", reduce(global("builtins", "getattr"), tuple(string("a"), string("b"))), /builtins\.getattr/],
    ["import", reduce(global("builtins", "__import__"), tuple(string("os"))), /__import__/],
    ["a prototype", global("constructor", "constructor"), /constructor\.constructor/],
    ["an inherited name", global("torch", "toString"), /torch\.toString/],
    ["__proto__", global("__proto__", "__proto__"), /__proto__/],
    ["by the stack", Uint8Array.of(...string("subprocess"), ...string("Popen"), 0x93), /subprocess\.Popen/],
    ["an old instance", Uint8Array.of(0x28, 0x69, ...new TextEncoder().encode("os\nsystem\n")), /os\.system/],
    ["a call of text", reduce(string("x"), tuple()), /is called, which is no function/],
    ["a call with text", reduce(global("collections", "OrderedDict"), string("x")), /with 'x' as arguments/],
    ["attributes", Uint8Array.of(0x5d, 0x7d, 0x62), /attributes are set on a list/],
    ["extensions", Uint8Array.of(0x82, 1), /0x82/],
    ["a persistent module", Uint8Array.of(...tuple(string("module"), string("x")), 0x51), /'module'; only storages/],
  ];
  it.each(bad)("%s", async (_, body, message) => {
    for (const file of [torchZip(stop(body)), pickled.legacy(stop(body))]) {
      await expect(torch.load(file)).rejects.toThrow(io.UnpicklingError);
      await expect(torch.load(file)).rejects.toThrow(message);
    }
  });
  it("leave nothing behind", async () => {
    await expect(readFile("/tmp/kindling_was_here")).rejects.toThrow(/ENOENT/);
    const evil = torchZip(
      pickled.stop(Uint8Array.of(0x7d, 0x28, ...string("__proto__"), 0x7d, ...string("x"), 0x4b, 1, 0x73, 0x75)),
    );
    const value = (await torch.load(evil)) as object;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(({} as { x?: number }).x).toBeUndefined();
  });
});

describe("torch files that lie", () => {
  /** A list of 100,000 items, remembered, and copied 30,000 times. */
  const copies = (): Uint8Array => {
    const list = [0x5d, 0x28, ...new Array<number>(100_000).fill(0x4e), 0x65, 0x71, 0, 0x30];
    const fn = [...pickled.global("builtins", "list"), 0x71, 1, 0x30];
    const calls = Array.from({ length: 30_000 }, () => [0x68, 1, 0x68, 0, 0x85, 0x52]).flat();
    return pickled.stop(Uint8Array.from([...list, ...fn, ...calls]));
  };
  const storage = (numel: number, extra = {}): Uint8Array => pickled.tensor({ numel, ...extra });
  const data = { "data/0": new Uint8Array(8) };
  const bad: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /no file of torch.save/],
    ["text", new TextEncoder().encode("hello, this is no checkpoint"), /no file of torch.save/],
    ["an empty archive", Uint8Array.of(0x50, 0x4b, 5, 6, ...new Array<number>(18).fill(0)), /has no data.pkl/],
    ["more elements than bytes", torchZip(storage(3), data), /takes 12 bytes, but the file has 8/],
    ["petabytes", torchZip(storage(2 ** 50), data), /takes \d+ bytes, but the file has 8/],
    ["a missing storage", torchZip(storage(2), {}), /has no data of storage '0'/],
    ["a window beyond its storage", torchZip(storage(2, { size: [3], stride: [1] }), data), /does not fit its storage of 2/],
    ["a stride beyond", torchZip(storage(2, { size: [2], stride: [2] }), data), /does not fit/],
    ["a negative size", torchZip(storage(2, { size: [-1], stride: [1] }), data), /expected up to 64 whole numbers/],
    ["an offset beyond", torchZip(storage(2, { offset: 1, size: [2], stride: [1] }), data), /does not fit/],
    ["unlike size and stride", torchZip(storage(2, { size: [2], stride: [] }), data), /does not fit/],
    ["no end", torchZip(Uint8Array.of(0x80, 2, 0x5d)), /bytes were expected.*cut off/],
    ["an empty stack", torchZip(Uint8Array.of(0x80, 2, 0x2e)), /stack is empty/],
    ["nothing remembered", torchZip(pickled.stop(Uint8Array.of(0x68, 9))), /nothing is remembered as 9/],
    ["a huge text", torchZip(pickled.stop(Uint8Array.of(0x58, 255, 255, 255, 255))), /bytes were expected/],
    ["a huge integer", torchZip(pickled.stop(Uint8Array.of(0x8b, 255, 255, 255, 127))), /an integer of \d+ bytes/],
    ["one list copied again and again", torchZip(copies()), /copies one list again and again/],
    ["protocol 9", torchZip(Uint8Array.of(0x80, 9, 0x4e, 0x2e)), /protocol 9/],
    ["legacy: petabytes", pickled.legacy(storage(2 ** 50)), /which the file of \d+ does not have/],
    [
      "legacy: data cut off",
      pickled.legacy(storage(2), ["0"], Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
      /the file has \d+.*cut off/,
    ],
    ["legacy: another count", pickled.legacy(storage(2), ["0"], new Uint8Array(32)), /has 2 elements, its data 0/],
    ["legacy: unknown key", pickled.legacy(storage(2), ["7"], new Uint8Array(32)), /no storage '7'/],
    ["legacy: keys missing", pickled.legacy(storage(2), [], new Uint8Array(32)), /data of 1 storages are missing/],
    ["TorchScript", torchZip(pickled.stop(Uint8Array.of(0x4e)), { "constants.pkl": new Uint8Array(1) }), /TorchScript/],
  ];
  it.each(bad)("%s", async (_, bytes, message) => {
    await expect(torch.load(bytes)).rejects.toThrow(message);
  });
  it("a good one, for comparison", async () => {
    expect(((await torch.load(torchZip(storage(2), data))) as Tensor).tolist_sync()).toEqual([0, 0]);
    const legacy = pickled.legacy(storage(2), ["0"], Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64));
    expect(((await torch.load(legacy)) as Tensor).tolist_sync()).toEqual([1, 2]);
  });
  it("parts of storages, as very old files have them", async () => {
    const bytes = new Uint8Array(8 + 16);
    bytes[0] = 4;
    new Float32Array(bytes.buffer, 8).set([1, 2, 3, 4]);
    const part = (offset: number): Uint8Array => storage(4, { part: ["1", offset, 3], size: [2], offset: 1 });
    expect(((await torch.load(pickled.legacy(part(1), ["0"], bytes))) as Tensor).tolist_sync()).toEqual([3, 4]);
    await expect(torch.load(pickled.legacy(part(2), ["0"], bytes))).rejects.toThrow(/does not lie in it/);
  });
  it("big-endian data", async () => {
    const file = torchZip(storage(2), {
      "data/0": Uint8Array.of(63, 128, 0, 0, 64, 0, 0, 0),
      byteorder: new TextEncoder().encode("big"),
    });
    expect(((await torch.load(file)) as Tensor).tolist_sync()).toEqual([1, 2]);
  });
});
