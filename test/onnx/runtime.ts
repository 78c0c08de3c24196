/** onnxruntime, for comparison. */

import * as torch from "kindling";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;

const TYPES = new Map<torch.DType, string>([
  [torch.float32, "float32"],
  [torch.int64, "int64"],
]);

/** What onnxruntime makes of a file. */
export async function runtime(bytes: Uint8Array, inputs: readonly torch.Tensor[]): Promise<torch.Tensor[]> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const feeds = Object.fromEntries(
    inputs.map((t, i) => [
      session.inputNames[i]!,
      new ort.Tensor(TYPES.get(t.dtype) as "float32", t.data_sync() as Float32Array, t.shape),
    ]),
  );
  const results = await session.run(feeds);
  return session.outputNames.map((name) => {
    const { data, dims, type } = results[name]!;
    const dtype = (torch as unknown as Record<string, torch.DType>)[type]!;
    return torch.tensor(data as Float32Array, { dtype }).reshape(dims);
  });
}

export const listed = (x: unknown): torch.Tensor[] => (Array.isArray(x) ? (x.flat(2) as torch.Tensor[]) : [x as torch.Tensor]);
