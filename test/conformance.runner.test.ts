/** The conformance runner on a tiny corpus and a tiny library: it must see every way of being wrong. */

import { describe, expect, it } from "vitest";
import { runCorpus } from "./conformance/corpora.ts";
import type { Corpus } from "./conformance/corpus.ts";
import { fakeTorch, FakeTensor } from "./conformance/fake.ts";
import { extend } from "./conformance/known.ts";
import { Report, triage } from "./conformance/report.ts";
import { Session, type Namespace } from "./conformance/session.ts";
import { formula } from "./conformance/training/formula.ts";

/** A safetensors file: float32, except for keys that start with "int". */
function safetensors(tensors: Record<string, { shape: number[]; values: number[] }>): Uint8Array {
  const header: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [key, { shape, values }] of Object.entries(tensors)) {
    const ints = key.startsWith("int");
    const bytes = new Uint8Array(ints ? BigInt64Array.from(values, BigInt).buffer : Float32Array.from(values).buffer);
    header[key] = { dtype: ints ? "I64" : "F32", shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

interface Tiny {
  readonly name?: string;
  readonly call?: string;
  readonly inplace?: string;
  readonly aliases?: string[];
  readonly cases?: object[];
  readonly errors?: object[];
  readonly top?: object;
}

const x = { shape: [3], values: [1, -2, 3] };
const TENSORS = {
  x,
  twice: { shape: [3], values: [2, -4, 6] },
  sum: { shape: [3], values: [3, -6, 9] },
  one: { shape: [3], values: [1, 1, 1] },
  two: { shape: [3], values: [2, 2, 2] },
  square: { shape: [2, 2], values: [1, 2, 3, 4] },
  square_flipped: { shape: [2, 2], values: [1, -2, 3, -4] },
  threes: { shape: [3], values: [3, -2, 3] },
  zero_dim: { shape: [], values: [3] },
  int_index: { shape: [], values: [2] },
  int_one: { shape: [], values: [1] },
};

function corpusOf({ name = "double", call = "function", inplace, aliases, cases = [], errors = [], top = {} }: Tiny): Corpus {
  const defaults = { dtype: "float32", source: "sample", kwargs: {} };
  const manifest = {
    op: name,
    call,
    tensors: "t.safetensors",
    cases: cases.map((c, id) => ({ id, ...defaults, ...c })),
    errors: errors.map((c, i) => ({ id: `e${i}`, kwargs: {}, ...c })),
    ...top,
  };
  return inMemory({
    "index.json": { ops: { [name]: { file: "t", call, inplace, aliases } } },
    "t.json": manifest,
    "t.safetensors": safetensors(TENSORS),
  });
}

function inMemory(files: Record<string, object | Uint8Array>): Corpus {
  return {
    bytes(name) {
      const file = files[name];
      return file instanceof Uint8Array ? file : new TextEncoder().encode(JSON.stringify(file));
    },
  };
}

async function run(corpus: Corpus, spoiled: Namespace = {}): Promise<{ report: Report; lines: string[] }> {
  const lines: string[] = [];
  const report = new Report((line) => lines.push(line));
  const session = await Session.open(fakeTorch(spoiled), "cpu");
  await runCorpus(session, corpus, { report: (outcome) => report.add(outcome) });
  return { report, lines };
}

/** The lines for what has not passed. */
async function problems(tiny: Tiny, spoiled: Namespace = {}): Promise<string[]> {
  const { report, lines } = await run(corpusOf(tiny), spoiled);
  expect(report.totals.failed).toBe(lines.length);
  return lines;
}

const arg = { tensor: "x", requires_grad: true };
const good = { args: [arg], output: { tensor: "twice" }, cotangents: ["one"], grads: { x: "two" } };

describe("operations", () => {
  it("passes what is right", async () => {
    const { report, lines } = await run(corpusOf({ cases: [good], inplace: "double_" }));
    expect(lines).toEqual([]);
    expect(report.lastLine).toBe("1 passed, 0 failed, 0 skipped");
    expect(report.complete).toEqual(["double"]);
  });

  it("sees a wrong value, and says where and by how much", async () => {
    const off = { double: (t: FakeTensor) => new FakeTensor([2, -4, 6.001], t.shape, t.dtype) };
    const [line] = await problems({ cases: [{ args: [arg], output: { tensor: "twice" } }] }, off);
    expect(line).toMatch(/FAIL double 0: output: max error 56.* tolerances \(2 allowed\) at \[2\]: got 6.0009.*, want 6/);
  });

  it("allows PyTorch's own noise and no more", async () => {
    const off = { double: (t: FakeTensor) => new FakeTensor([2, -4, 6.001], t.shape, t.dtype) };
    expect(await problems({ cases: [{ args: [arg], output: { tensor: "twice" }, noise: 30 }] }, off)).toEqual([]);
    expect(await problems({ cases: [{ args: [arg], output: { tensor: "twice" }, noise: 20 }] }, off)).toHaveLength(1);
  });

  it("sees NaN, infinities, types, shapes and structure", async () => {
    const c = { args: [arg], output: { tensor: "twice" } };
    const double = (make: (t: FakeTensor) => unknown): Promise<string[]> => problems({ cases: [c] }, { double: make });
    const { float32, int32 } = fakeTorch() as Record<string, { name: "float32" }>;
    expect(await double((t) => new FakeTensor([2, NaN, 6], t.shape, float32))).toEqual([
      "FAIL double 0: output: at [1]: got NaN, want -4",
    ]);
    expect((await double((t) => new FakeTensor([2, -4, Infinity], t.shape, float32)))[0]).toContain("got Infinity, want 6");
    expect((await double((t) => new FakeTensor([2, -4, 6], t.shape, int32)))[0]).toContain("dtype int32, want float32");
    expect((await double(() => new FakeTensor([2, -4, 6], [1, 3], float32)))[0]).toContain("shape [1, 3], want [3]");
    expect((await double(() => 5))[0]).toContain("got number 5, want a tensor");
    expect((await double((t) => [t]))[0]).toContain("got a list of 1, want a tensor");
  });

  it("sees a wrong, a missing and a superfluous gradient", async () => {
    const with3 = { double: (t: FakeTensor) => Object.assign(t.double(), { parents: [[t, [2, 2, 3]]] }) };
    expect((await problems({ cases: [good] }, with3))[0]).toMatch(/gradient: x: max error .* at \[2\]: got 3, want 2/);
    const detached = { double: (t: FakeTensor) => Object.assign(t.double(), { parents: [] }) };
    expect((await problems({ cases: [good] }, detached))[0]).toContain("gradient: x: got nothing, want a tensor");
    expect((await problems({ cases: [{ ...good, grads: { x: null } }] }))[0]).toContain("got a gradient, want none");
  });

  it("takes gradients of absolute values where the corpus does", async () => {
    const c = { ...good, grad_of_abs: [0] };
    expect((await problems({ cases: [c] }))[0]).toContain("gradient");
    const own = { double: (t: FakeTensor) => new FakeTensor([2, 4, 6], t.shape, t.dtype) };
    expect((await problems({ cases: [{ ...good, output: { tensor: "twice" } }] }, own))[0]).toContain("output");
  });

  it("sees that something is not there", async () => {
    expect(await problems({ name: "triple", cases: [good] })).toEqual(["FAIL triple 0: not implemented: torch.triple"]);
    expect((await problems({ cases: [good], inplace: "halve_" }))[0]).toContain("in place: not implemented: Tensor.halve_");
  });

  it("sees a wrong in-place form", async () => {
    const c = { args: [{ tensor: "x" }], output: { tensor: "sum" } };
    const triple = { double: (t: FakeTensor) => new FakeTensor([3, -6, 9], t.shape, t.dtype) };
    expect((await problems({ cases: [c], inplace: "double_" }, triple))[0]).toContain("in place: output: max error");
    const grown = { double: (t: FakeTensor) => new FakeTensor([1, 2, 3, 4], [2, 2], t.dtype) };
    const growing = { args: [{ tensor: "x" }], output: { tensor: "square" }, broadcasts_input: true };
    expect((await problems({ cases: [growing], inplace: "double_" }, grown))[0]).toContain("in place: did not fail");
  });

  it("sees a result that is wrong only for strided arguments", async () => {
    const lazy = {
      double: (t: FakeTensor) => ("strided" in t ? new FakeTensor([0, 0, 0], t.shape, t.dtype) : t.double()),
    };
    const c = { ...good, noncontiguous: true };
    expect(await problems({ cases: [c] })).toEqual([]);
    expect((await problems({ cases: [c] }, lazy))[0]).toContain("strided arguments: output: max error");
  });

  it("sees an argument that the call should have changed", async () => {
    const c = { args: [{ tensor: "x" }], output: { tensor: "twice" }, mutated: { x: "twice" } };
    expect((await problems({ cases: [c] }))[0]).toContain("x after the call: max error");
    const changing = { double: (t: FakeTensor) => t.double_() };
    expect(await problems({ cases: [c] }, changing)).toEqual([]);
  });

  it("compares named results, numbers, flags and free values", async () => {
    const names = ["values", "indices"];
    const named = { args: [{ tensor: "x" }], output: { tuple: [{ tensor: "zero_dim" }, { tensor: "int_index" }], names } };
    expect(await problems({ name: "largest", cases: [named] })).toEqual([]);
    const other = { ...named, output: { tuple: [{ tensor: "zero_dim" }, { tensor: "int_one" }], names } };
    expect((await problems({ name: "largest", cases: [other] }))[0]).toContain("1 of 1 values differ");
    const misnamed = { ...named, output: { ...named.output, names: ["values", "places"] } };
    expect((await problems({ name: "largest", cases: [misnamed] }))[0]).toContain('has no part named "places"');
    expect(await problems({ name: "item", call: "method", cases: [{ args: [{ tensor: "x" }], output: { float: 1 } }] })).toEqual(
      [],
    );
    expect(await problems({ name: "item", call: "method", cases: [{ args: [{ tensor: "x" }], output: true }] })).toHaveLength(1);
    const free = { args: [4], output: [{ shape: [4], dtype: "float32" }], random: true };
    expect(await problems({ name: "noise", cases: [free] })).toEqual([]);
    expect(await problems({ name: "noise", cases: [{ ...free, args: [5] }] })).toHaveLength(1);
  });

  it("passes keyword arguments, and whole floats as floats", async () => {
    const seen: unknown[] = [];
    const add = (...args: unknown[]): unknown => {
      seen.push(args[2]);
      return new FakeTensor([3, -6, 9], [3], fakeTorch().float32 as never);
    };
    const c = { args: [{ tensor: "x" }, { tensor: "one" }], kwargs: { alpha: { float: 2 }, beta: 2 }, output: { tensor: "sum" } };
    expect(await problems({ name: "add", cases: [c] }, { add })).toEqual([]);
    expect(seen[0]).toEqual({ alpha: { value: 2 }, beta: 2 });
  });

  it("lets signs be free where they are, and only as whole lines", async () => {
    const c = { args: [{ tensor: "square" }], output: { tensor: "square" } };
    const top = { ambiguous: "signs (complex: phases) of the columns of output 0", compare_abs: [0] };
    const flip = (which: number[]) => ({
      double: (t: FakeTensor) =>
        new FakeTensor(
          t.values.map((v, i) => (which.includes(i) ? -v : v)),
          t.shape,
          t.dtype,
        ),
    });
    expect(await problems({ cases: [c], top }, flip([1, 3]))).toEqual([]);
    expect(await problems({ cases: [c] }, flip([1, 3]))).toHaveLength(1);
    expect(await problems({ cases: [c], top }, flip([1]))).toHaveLength(1);
  });

  it("lets the index of an equal value be free, and no other", async () => {
    const pointingAt = (index: number): Namespace => ({
      largest: (t: FakeTensor) => [
        new FakeTensor([3], [], t.dtype),
        new FakeTensor([index], [], fakeTorch().int64 as { name: "int64" }),
      ],
    });
    const c = { args: [{ tensor: "threes" }], output: { tuple: [{ tensor: "zero_dim" }, { tensor: "int_index" }] } };
    const tiny = { name: "largest", cases: [c], top: { ambiguous: "which index of an equal value" } };
    expect(await problems(tiny, pointingAt(2))).toEqual([]);
    expect(await problems(tiny, pointingAt(0))).toEqual([]);
    expect(await problems(tiny, pointingAt(1))).toHaveLength(1);
    expect(await problems({ ...tiny, top: {} }, pointingAt(0))).toHaveLength(1);
  });

  it("checks another name where the library has it", async () => {
    expect((await run(corpusOf({ cases: [good], aliases: ["twofold"] }))).report.lastLine).toBe("1 passed, 0 failed, 0 skipped");
    const wrong = { twofold: (t: FakeTensor) => t };
    expect((await problems({ cases: [good], aliases: ["twofold"] }, wrong))[0]).toContain("double alias twofold: case 0: output");
  });
});

describe("calls that must fail", () => {
  const both = [{ tensor: "x" }, { tensor: "square" }];
  const error = { type: "RuntimeError", message: "shapes" };

  it("passes an error of the right class", async () => {
    expect(await problems({ name: "add", errors: [{ args: both, error }] })).toEqual([]);
  });

  it("sees a call that does not fail, and one that fails otherwise", async () => {
    const [fine] = await problems({ name: "add", errors: [{ args: [{ tensor: "x" }, { tensor: "one" }], error }] });
    expect(fine).toContain("did not fail; want RuntimeError: shapes");
    const [other] = await problems({ name: "add", errors: [{ args: both, error: { ...error, type: "IndexError" } }] });
    expect(other).toContain("failed with RuntimeError: add: shapes");
  });

  it("does not take an accident or something missing for a refusal", async () => {
    const type = { type: "TypeError", message: "must be Tensor" };
    const trips = { add: (a: FakeTensor, b: { absent: { x: number } }) => [a, b.absent.x] };
    expect((await problems({ name: "add", errors: [{ args: both, error: type }] }, trips))[0]).toContain(
      "internal error: TypeError",
    );
    expect((await problems({ name: "plus", errors: [{ args: both, error }] }))[0]).toContain("not implemented: torch.plus");
    const trap = {
      add: () => {
        throw new WebAssembly.RuntimeError("unreachable");
      },
    };
    expect((await problems({ name: "add", errors: [{ args: both, error }] }, trap))[0]).toContain("internal error: RuntimeError");
  });

  it("lets the library accept what only PyTorch's parser refuses", async () => {
    const fine = { args: [{ tensor: "x" }, { tensor: "one" }], error, argument_types: true };
    expect(await problems({ name: "add", errors: [fine] })).toEqual([]);
  });

  it("goes on after whatever a case throws", async () => {
    const broken = {
      double: () => {
        throw new WebAssembly.RuntimeError("memory access out of bounds");
      },
    };
    const { report, lines } = await run(corpusOf({ cases: [good, { ...good, args: [{ complex: [0, 1] }] }, good] }), broken);
    expect(report.lastLine).toBe("0 passed, 3 failed, 0 skipped");
    expect(lines[1]).toContain("complex dtypes are not implemented");
  });
});

describe("devices", () => {
  it("skips what a device says it cannot do, with the reason", async () => {
    const spoiled = {
      tensor: (data: ArrayLike<number>, { dtype }: { dtype: never }) =>
        Object.assign(new FakeTensor(Array.from(data, Number), [data.length], dtype), {
          device: { caps: { readSync: true, float64: false, int64: true, subnormals: true } },
        }),
    };
    const session = await Session.open(fakeTorch(spoiled), "webgpu");
    const lines: string[] = [];
    const report = new Report((line) => lines.push(line));
    const cases = [good, { ...good, kwargs: { dtype: { dtype: "float64" } } }];
    await runCorpus(session, corpusOf({ cases }), { report: (outcome) => report.add(outcome) });
    expect(report.lastLine).toBe("1 passed, 0 failed, 1 skipped");
    expect(lines).toEqual(["skip double 1: webgpu has no float64"]);
    expect(report.complete).toEqual([]);
  });
});

describe("training", () => {
  /** A module that multiplies by its parameter `weight`. */
  class Scale {
    weight: FakeTensor = new FakeTensor([0, 0, 0], [3], fakeTorch().float32 as never).requires_grad_();
    constructor(readonly factor = 1) {}
    state_dict(): object {
      return { weight: this.weight };
    }
    load_state_dict(state: { weight: FakeTensor }): void {
      this.weight.values = state.weight.values;
    }
    named_parameters(): [string, FakeTensor][] {
      return [["weight", this.weight]];
    }
    train(): void {}
    forward(input: FakeTensor): FakeTensor {
      const { values } = this.weight;
      const out = new FakeTensor(
        input.values.map((v, i) => v * values[i] * this.factor),
        input.shape,
        input.dtype,
      );
      out.parents = [
        [input, values.map((v) => v * this.factor)],
        [this.weight, input.values.map((v) => v * this.factor)],
      ];
      return out;
    }
  }
  const corpus = (c: object): Corpus =>
    inMemory({
      "index.json": { families: { modules: { cases: 1 } } },
      "modules.json": { family: "modules", tensors: "t.safetensors", cases: [c] },
      "t.safetensors": safetensors(TENSORS),
    });
  const scale = {
    id: "Scale/0",
    module: "Scale",
    args: [],
    kwargs: {},
    mode: "train",
    state_dict: { weight: { tensor: "two" } },
    inputs: [arg],
    call: {},
    output: { tensor: "twice" },
    cotangents: ["one"],
    grads: { inputs: { x: "two" }, parameters: { weight: "x" } },
  };

  it("runs modules", async () => {
    const { report, lines } = await run(corpus(scale), { nn: { Scale } });
    expect(lines).toEqual([]);
    expect(report.complete).toEqual(["modules/Scale"]);
  });

  it("sees a wrong output, parameter gradient and state", async () => {
    const line = async (c: object, nn: object = { Scale }): Promise<string> => (await run(corpus(c), { nn })).lines[0];
    expect(await line({ ...scale, args: [{ float: 1.5 }] })).toContain("FAIL modules/Scale Scale/0: output: max error");
    expect(await line({ ...scale, grads: { inputs: {}, parameters: { weight: "one" } } })).toContain(
      "gradient: weight: max error",
    );
    expect(await line({ ...scale, state_after: { weight: { tensor: "x" } } })).toContain(
      "state after the call: weight: max error",
    );
    expect(await line({ ...scale, state_after: { bias: { tensor: "x" } } })).toContain('lacks "bias"');
    expect(await line(scale, {})).toContain("not implemented: torch.nn.Scale");
  });

  it("does not pass over a family that it does not know", async () => {
    const files = inMemory({
      "index.json": { families: { others: {} } },
      "others.json": { family: "others", cases: [{ id: "a/0" }] },
    });
    expect((await run(files)).lines).toEqual(['FAIL others/a a/0: the runner does not know the family "others"']);
  });

  it("reads Python's arithmetic", () => {
    const at = (text: string, step: number): number => formula(text)({ step });
    expect(at("0.95 ** step", 3)).toBe(0.95 ** 3);
    expect(at("-2 ** 2 + 7 // 2 - -1 % 3", 0)).toBe(-4 + 3 - 2);
    expect(at("2 ** 3 ** 2", 0)).toBe(512);
    expect(at("0.5 * (1 + cos(pi * step / 50))", 10)).toBe(0.5 * (1 + Math.cos((Math.PI * 10) / 50)));
    expect([3, 30].map((step) => at("1e-1 if step < 10 else min(step, 4) / 8", step))).toEqual([0.1, 0.5]);
    expect(() => formula("step; exit()")).toThrow("cannot read the formula");
    expect(() => formula("step step")).toThrow("cannot read the formula");
    expect(() => at("stop", 1)).toThrow('no name "stop"');
  });
});

describe("reports", () => {
  it("the list of known units grows and tells what is lost", async () => {
    const { report } = await run(corpusOf({ cases: [good] }));
    expect(extend({ ops: ["abs"], training: [], files: [] }, "ops", report)).toEqual({
      extended: { ops: ["abs", "double"], training: [], files: [] },
      added: ["double"],
      lost: [],
    });
    const { report: worse } = await run(corpusOf({ cases: [{ ...good, output: { tensor: "x" } }] }));
    expect(extend({ ops: ["double"], training: [], files: [] }, "ops", worse)).toEqual({
      extended: { ops: ["double"], training: [], files: [] },
      added: [],
      lost: ["double"],
    });
    expect(triage(worse)).toContain("double: 0 passed, 1 failed");
    expect(report.summary("ops").at(-1)).toBe("1 of 1 ops fully passing");
  });
});
