import * as torch from "kindling";
import * as onnx from "kindling/onnx";
import { describe, expect, it } from "vitest";
import { expectClose, goldenModels } from "./golden.ts";

describe("models of PyTorch's exporter give PyTorch's results", () => {
  it.each(goldenModels())("$name, operator set $opset", async ({ name, opset, bytes, inputs, outputs }) => {
    const model = await onnx.load(bytes);
    expect(model.opset).toBe(opset);
    const result = torch.no_grad(() => model(...inputs) as torch.Tensor | torch.Tensor[]);
    const list = Array.isArray(result) ? result : [result];
    expect(list.length).toBe(outputs.length);
    list.forEach((t, i) => expectClose(t, outputs[i]!, `output ${i} of ${name}`));
  });
});
