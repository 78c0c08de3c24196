/** The workloads in TensorFlow.js: eager ops within `tf.tidy`, `tf.variableGrads`, fused dense layers, its own Adam. */

import * as tf from "@tensorflow/tfjs-core";
// What its users get with the union package: methods of tensors and gradients of ops.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
import "@tensorflow/tfjs-backend-webgpu";
import { transposed, type Batch, type Named, type Size } from "./data.ts";
import { adam, layernormEps, weightDecay, type Inputs, type Library, type Runner, type Training } from "./library.ts";

function upload({ shapes, arrays }: Inputs): tf.Tensor[] {
  return arrays.map((a, i) => tf.tensor(a, [...shapes[i]!]));
}

/** What it takes to have everything submitted and wait for it, without reading a result. */
interface Backend {
  readonly device: GPUDevice;
  readonly commandEncoder: GPUCommandEncoder | null | undefined;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

async function finish(): Promise<void> {
  const backend = tf.backend() as unknown as Backend;
  // Up to 15 dispatches wait for more; with none waiting there is no encoder to finish.
  if (backend.commandEncoder !== null && backend.commandEncoder !== undefined) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  await backend.device.queue.onSubmittedWorkDone();
}

function operation(f: () => tf.Tensor, inputs: readonly tf.Tensor[]): Runner {
  let result: tf.Tensor | null = null;
  return {
    run() {
      const next = tf.tidy(f);
      result?.dispose();
      result = next;
    },
    finish,
    values: () => result!.data(),
    dispose: () => tf.dispose([result!, ...inputs]),
  };
}

function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor {
  const centred = x.sub(x.mean(-1, true));
  const variance = centred.square().mean(-1, true);
  return centred.mul(variance.add(layernormEps).rsqrt()).mul(weight).add(bias);
}

type Variables = Readonly<Record<string, tf.Variable>>;

function variables(parameters: readonly Named[]): Variables {
  return Object.fromEntries(
    parameters.map((p) => {
      const linear = p.shape.length === 2 && !/tokens|positions/.test(p.name);
      const value = linear ? tf.tensor(transposed(p), [p.shape[1]!, p.shape[0]!]) : tf.tensor(p.values, [...p.shape]);
      return [p.name, tf.variable(value)];
    }),
  );
}

const dense = (x: tf.Tensor2D, w: Variables, name: string, activation?: "relu"): tf.Tensor2D =>
  tf.fused.matMul({
    a: x,
    b: w[`${name}.weight`] as tf.Tensor2D,
    bias: w[`${name}.bias`]!,
    ...(activation === undefined ? {} : { activation }),
  }) as tf.Tensor2D;

function training(
  w: Variables,
  batches: readonly Batch[],
  shape: readonly number[],
  decay: number,
  loss: (x: tf.Tensor, y: tf.Tensor1D) => tf.Scalar,
): Runner {
  const all = Object.values(w);
  const uploaded = batches.map(({ x, y }) => ({
    x: tf.tensor(x, [...shape], x instanceof Int32Array ? "int32" : "float32"),
    y: tf.tensor1d(y, "int32"),
  }));
  const optimizer = tf.train.adam(adam.lr, adam.beta1, adam.beta2, adam.eps);
  const pending: tf.Scalar[] = [];
  const losses: number[] = [];
  let step = 0;
  return {
    run() {
      const { x, y } = uploaded[step++ % uploaded.length]!;
      const { value, grads } = tf.variableGrads(() => loss(x, y), all);
      // TensorFlow.js has no AdamW: the decay is a product of its own before Adam's step.
      if (decay > 0) tf.tidy(() => all.forEach((v) => v.assign(v.mul(1 - adam.lr * decay))));
      optimizer.applyGradients(grads as Parameters<typeof optimizer.applyGradients>[0]);
      tf.dispose(grads);
      pending.push(value);
    },
    async finish() {
      for (const l of pending.splice(0)) {
        losses.push((await l.data())[0]!);
        l.dispose();
      }
    },
    values: () => Promise.resolve(losses),
    dispose() {
      tf.dispose([all, uploaded]);
      optimizer.dispose();
    },
  };
}

const crossEntropy = (logits: tf.Tensor2D, y: tf.Tensor1D): tf.Scalar =>
  tf.losses.softmaxCrossEntropy(tf.oneHot(y, logits.shape[1]), logits);

/** ids [batch, context] → logits [batch * context, vocabulary]. */
function gptForward(w: Variables, ids: tf.Tensor, mask: tf.Tensor, { batch, context, layers, heads, width }: Size): tf.Tensor2D {
  const positions = w["positions.weight"]!;
  let x = tf
    .gather(w["tokens.weight"]!, ids as tf.Tensor2D)
    .add(positions)
    .reshape([batch * context, width]) as tf.Tensor2D;
  const each = width / heads;
  for (let i = 0; i < layers; i++) {
    const at = `blocks.${i}.`;
    const norm = (h: tf.Tensor2D, name: string): tf.Tensor2D =>
      layerNorm(h, w[`${at}${name}.weight`]!, w[`${at}${name}.bias`]!) as tf.Tensor2D;
    const [q, k, v] = tf.unstack(
      dense(norm(x, "ln1"), w, `${at}attention.qkv`).reshape([batch, context, 3, heads, each]).transpose([2, 0, 3, 1, 4]),
    ) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
    const scores = tf
      .matMul(q, k, false, true)
      .mul(1 / Math.sqrt(each))
      .add(mask);
    const mixed = tf
      .matMul(tf.softmax(scores), v)
      .transpose([0, 2, 1, 3])
      .reshape([batch * context, width]) as tf.Tensor2D;
    x = x.add(dense(mixed, w, `${at}attention.proj`));
    const h = dense(norm(x, "ln2"), w, `${at}mlp.0`);
    const gelu = h.mul(0.5).mul(h.mul(Math.SQRT1_2).erf().add(1)) as tf.Tensor2D;
    x = x.add(dense(gelu, w, `${at}mlp.2`));
  }
  return tf.matMul(layerNorm(x, w["norm.weight"]!, w["norm.bias"]!) as tf.Tensor2D, w["head.weight"] as tf.Tensor2D);
}

export async function tfjs(): Promise<Library> {
  if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js found no WebGPU");
  await tf.ready();
  return {
    name: "tfjs",
    version: tf.version_core,
    matmul(inputs) {
      const [a, b] = upload(inputs) as [tf.Tensor2D, tf.Tensor2D];
      return operation(() => tf.matMul(a, b), [a, b]);
    },
    softmax(inputs) {
      const [x] = upload(inputs) as [tf.Tensor];
      return operation(() => tf.softmax(x), [x]);
    },
    layernorm(inputs) {
      const [x, weight, bias] = upload(inputs) as [tf.Tensor, tf.Tensor, tf.Tensor];
      return operation(() => layerNorm(x, weight, bias), [x, weight, bias]);
    },
    layernormBackward(inputs) {
      const [x, weight, bias, dy] = upload(inputs) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const gradients = tf.grads((...args) => layerNorm(...(args as [tf.Tensor, tf.Tensor, tf.Tensor])));
      let result: tf.Tensor[] = [];
      return {
        run() {
          const next = tf.tidy(() => gradients([x, weight, bias], dy));
          tf.dispose(result);
          result = next;
        },
        finish,
        values: () => tf.tidy(() => tf.concat(result.map((t) => t.flatten()))).data(),
        dispose: () => tf.dispose([result, x, weight, bias, dy]),
      };
    },
    chain(inputs) {
      const [x] = upload(inputs) as [tf.Tensor];
      return operation(() => x.mul(x).mul(x).mul(0.044715).add(x).mul(0.7978845608).tanh().add(1).mul(x).mul(0.5), [x]);
    },
    mlp({ parameters, batches, size }: Training) {
      const w = variables(parameters);
      const { widths, batch } = size;
      const last = widths.length - 2;
      return training(w, batches, [batch, widths[0]!], 0, (x, y) => {
        let h = x as tf.Tensor2D;
        for (let i = 0; i <= last; i++) h = dense(h, w, String(2 * i), i < last ? "relu" : undefined);
        return crossEntropy(h, y);
      });
    },
    gpt({ parameters, batches, size }: Training) {
      const w = variables(parameters);
      const { context } = size;
      const mask = tf.tidy(() =>
        tf.linalg
          .bandPart(tf.ones([context, context]), -1, 0)
          .sub(1)
          .mul(1e9),
      );
      const runner = training(w, batches, [size.batch, context], weightDecay, (x, y) =>
        crossEntropy(gptForward(w, x, mask, size), y),
      );
      return {
        ...runner,
        dispose() {
          runner.dispose();
          mask.dispose();
        },
      };
    },
  };
}
