import * as torch from "kindling";
import * as onnx from "kindling/onnx";
import { describe, expect, it } from "vitest";
import { expectClose } from "./golden.ts";
import { cases } from "./models.ts";
import { listed, runtime } from "./runtime.ts";

describe("exported models give in onnxruntime what they give here", () => {
  const all = cases();
  it.each([14, 17, 18, 21])("with operator set %i, for other sizes, too", async (opset_version) => {
    for (const { name, model, inputs, others, axes } of opset_version === 17 ? all : all.filter((c) => c.name !== "lstm")) {
      const bytes = await onnx.export(model, inputs, null, { dynamic_axes: axes, opset_version });
      model.eval();
      const again = await onnx.load(bytes);
      for (const given of [inputs, others]) {
        const want = listed(torch.no_grad(() => model(...given) as unknown));
        const got = await runtime(bytes, given).catch((error: unknown) => {
          throw new Error(`${name}: ${String(error)}`);
        });
        expect(got.length).toBe(want.length);
        got.forEach((t, i) => expectClose(t, want[i]!, `output ${i} of ${name}`));
        const ours = listed(torch.no_grad(() => again(...given) as unknown));
        ours.forEach((t, i) => expectClose(t, want[i]!, `output ${i} of ${name}, loaded`));
      }
    }
  });
});

describe("a file of ours that is loaded", () => {
  it("has the weights under their names, and learns", async () => {
    const { model, inputs } = cases().find((c) => c.name === "gpt")!;
    const again = await onnx.load(await onnx.export(model, inputs));
    const keys = Object.keys(model.state_dict()).sort();
    expect(Object.keys(again.state_dict()).sort()).toEqual(keys);
    const loss = (): torch.Tensor => (again(...inputs) as torch.Tensor).square().mean();
    const optimizer = new torch.optim.SGD(again.parameters(), { lr: 0.1 });
    const before = loss();
    before.backward();
    model.zero_grad();
    (model(...inputs) as torch.Tensor).square().mean().backward();
    expectClose(again.get_parameter("tok.weight").grad!, model.get_parameter("tok.weight").grad!, "gradient");
    optimizer.step();
    expect(loss().item_sync() as number).toBeLessThan(before.item_sync() as number);
  });

  it("says what it takes and gives", async () => {
    const model = new torch.nn.Linear(3, 2);
    const bytes = await onnx.export(model, torch.ones([4, 3]), null, {
      input_names: ["x"],
      output_names: ["y"],
      dynamic_axes: { x: { 0: "batch" } },
    });
    const again = await onnx.load(bytes);
    expect(again.inputs).toEqual([{ name: "x", shape: ["batch", 3], dtype: torch.float32 }]);
    expect(again.outputs).toEqual([{ name: "y", shape: ["batch", 2], dtype: torch.float32 }]);
    expect((again({ x: torch.ones([7, 3]) }) as torch.Tensor).shape).toEqual([7, 2]);
    expect(() => again() as unknown).toThrow(/takes x; 'x' is missing/);
    expect(() => again({ z: torch.ones([1, 3]) }) as unknown).toThrow(/no input 'z'/);
  });
});

describe("what cannot be exported is said", () => {
  class Of extends torch.nn.Module {
    constructor(readonly f: (x: torch.Tensor) => torch.Tensor) {
      super();
    }
    forward(x: torch.Tensor): torch.Tensor {
      return this.f(x);
    }
  }
  const attempt = (f: (x: torch.Tensor) => torch.Tensor, axes = {}): Promise<unknown> =>
    onnx.export(new Of(f), torch.ones([2, 3]), null, { dynamic_axes: axes });

  it("ops without a form in ONNX, all of them", async () => {
    await expect(attempt((x) => x.digamma().add(x.lgamma()))).rejects.toThrow(/operator set 17: digamma, lgamma/);
  });
  it("random numbers", async () => {
    await expect(attempt((x) => x.add(torch.randn(2, 3)))).rejects.toThrow(/operator set 17: randn/);
  });
  it("values that leave the tensors", async () => {
    await expect(attempt((x) => x.mul(x.sum().item_sync() as number))).rejects.toThrow(
      /a number that is 6, 4.875 for different inputs/,
    );
  });
  it("programs that go by sizes", async () => {
    const byRow = (x: torch.Tensor): torch.Tensor => x.unbind(0).reduce((a, b) => a.add(b));
    await expect(attempt(byRow, { input: { 0: "n" } })).rejects.toThrow(/differs between inputs of different sizes/);
    await expect(attempt(byRow)).resolves.toBeInstanceOf(Uint8Array);
  });
  it("axes and operator sets that are not there", async () => {
    await expect(attempt((x) => x, { input: { 5: "n" } })).rejects.toThrow(torch.IndexError);
    await expect(onnx.export(new Of((x) => x), torch.ones([1]), null, { opset_version: 9 })).rejects.toThrow(torch.ValueError);
  });
});
