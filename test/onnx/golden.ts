/** Models that PyTorch's exporter wrote, with inputs and outputs: test/golden/onnx.pack, made by test/golden/onnx_models.py. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import * as torch from "kindling";

interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly at: readonly [number, number];
}
interface Entry {
  readonly name: string;
  readonly opset: number;
  readonly model: readonly [number, number];
  readonly inputs: readonly Stored[];
  readonly outputs: readonly Stored[];
}
export interface Golden {
  readonly name: string;
  readonly opset: number;
  readonly bytes: Uint8Array;
  readonly inputs: torch.Tensor[];
  readonly outputs: torch.Tensor[];
}

export function goldenModels(): Golden[] {
  const data = new Uint8Array(gunzipSync(readFileSync(new URL("../golden/onnx.pack", import.meta.url))));
  const length = new DataView(data.buffer).getUint32(0, true);
  const entries = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length))) as Entry[];
  const piece = ([from, size]: readonly [number, number]): Uint8Array => data.slice(4 + length + from, 4 + length + from + size);
  const tensor = (s: Stored): torch.Tensor => {
    const dtype = (torch as unknown as Record<string, torch.DType>)[s.dtype]!;
    const bytes = piece(s.at);
    return bytes.length === 0
      ? torch.empty(s.shape, { dtype })
      : torch.frombuffer(bytes.slice().buffer as ArrayBuffer, { dtype }).reshape(s.shape);
  };
  return entries.map((e) => ({
    name: e.name,
    opset: e.opset,
    bytes: piece(e.model),
    inputs: e.inputs.map(tensor),
    outputs: e.outputs.map(tensor),
  }));
}

/** Fails where the two differ in shape, dtype or by more than a tolerance. */
export function expectClose(got: torch.Tensor, want: torch.Tensor, what: string, tolerance = 1e-5): void {
  const same = got.shape.length === want.shape.length && got.shape.every((n, d) => n === want.shape[d]);
  if (!same || got.dtype !== want.dtype) {
    throw new Error(`${what}: got ${got.dtype} [${got.shape.join(", ")}], expected ${want.dtype} [${want.shape.join(", ")}]`);
  }
  if (!torch.allclose(got.double(), want.double(), { rtol: tolerance, atol: tolerance, equal_nan: true })) {
    const far = got.double().sub(want.double()).abs().max().item_sync();
    throw new Error(`${what}: values differ by up to ${String(far)}`);
  }
}
