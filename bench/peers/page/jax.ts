/**
 * The workloads in jax-js: every run is one `jit`-compiled function, gradients and Adam included. A function owns its arguments; `.ref` keeps one.
 */

import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad, vjp } from "@jax-js/jax";
import { transposed, type Batch, type Named, type Size } from "./data.ts";
import { adam, layernormEps, weightDecay, type Inputs, type Library, type Runner, type Training } from "./library.ts";

type Weights = { [name: string]: np.Array };
type State = { w: Weights; m: Weights; v: Weights };

const upload = ({ shapes, arrays }: Inputs): np.Array[] =>
  arrays.map((a, i) => np.array(a as Float32Array<ArrayBuffer>).reshape([...shapes[i]!]));

/**
 * Results are computed when somebody waits for them, and one that is let go before that never: so all of a sample are kept until its end.
 */
function lazy(f: () => np.Array | np.Array[]): Pick<Runner, "run" | "finish" | "values"> {
  let last: np.Array | np.Array[] = [];
  let pending: (np.Array | np.Array[])[] = [];
  return {
    run: () => void pending.push(f()),
    async finish() {
      await blockUntilReady(pending);
      tree.dispose(last);
      last = pending.pop() ?? [];
      tree.dispose(pending);
      pending = [];
    },
    values: () => (last instanceof np.Array ? last.ref.data() : np.concatenate(last.map((t) => t.ref.reshape([-1]))).data()),
  };
}

function operation(f: ((...args: np.Array[]) => np.Array) & { dispose(): void }, inputs: readonly np.Array[]): Runner {
  return {
    ...lazy(() => f(...inputs.map((t) => t.ref))),
    dispose: () => {
      tree.dispose([...inputs]);
      f.dispose();
    },
  };
}

const layerNorm = (x: np.Array, weight: np.Array, bias: np.Array): np.Array =>
  nn.standardize(x, -1, { epsilon: layernormEps }).mul(weight).add(bias);

function load(parameters: readonly Named[]): Weights {
  return Object.fromEntries(
    parameters.map((p) => {
      const linear = p.shape.length === 2 && !/tokens|positions/.test(p.name);
      return [
        p.name,
        linear
          ? np.array(transposed(p) as Float32Array<ArrayBuffer>).reshape([p.shape[1]!, p.shape[0]!])
          : np.array(p.values as Float32Array<ArrayBuffer>).reshape([...p.shape]),
      ];
    }),
  );
}

const dense = (x: np.Array, w: Weights, name: string): np.Array => np.matmul(x, w[`${name}.weight`]!).add(w[`${name}.bias`]!);

function crossEntropy(logits: np.Array, y: np.Array): np.Array {
  const classes = logits.shape[1]!;
  const rows = logits.shape[0]!;
  return nn
    .logSoftmax(logits, -1)
    .mul(nn.oneHot(y, classes))
    .sum()
    .mul(-1 / rows);
}

function training(
  parameters: readonly Named[],
  batches: readonly Batch[],
  shape: readonly number[],
  decay: number,
  loss: (w: Weights, x: np.Array, y: np.Array) => np.Array,
): Runner {
  const w = load(parameters);
  const zeros = (): Weights => Object.fromEntries(Object.entries(w).map(([name, t]) => [name, np.zeros(t.shape)]));
  let state: State = { w, m: zeros(), v: zeros() };
  const uploaded = batches.map(({ x, y }) => ({
    x: np.array(x as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>).reshape([...shape]),
    y: np.array(y as Int32Array<ArrayBuffer>),
  }));
  const { lr, beta1, beta2, eps } = adam;
  /** As in optax, within the compiled step; the bias corrections come from outside. */
  const train = jit((s: State, x: np.Array, y: np.Array, c1: np.Array, c2: np.Array): { state: State; loss: np.Array } => {
    const [value, g] = valueAndGrad(loss)(tree.ref(s.w), x, y) as [np.Array, Weights];
    const next: State = { w: {}, m: {}, v: {} };
    for (const name of Object.keys(s.w)) {
      const grad = g[name]!;
      const m = s.m[name]!.mul(beta1).add(grad.ref.mul(1 - beta1));
      const v = s.v[name]!.mul(beta2).add(np.square(grad).mul(1 - beta2));
      const update = m.ref.mul(c1.ref).div(np.sqrt(v.ref.mul(c2.ref)).add(eps));
      next.m[name] = m;
      next.v[name] = v;
      next.w[name] = s.w[name]!.mul(1 - lr * decay).sub(update.mul(lr));
    }
    c1.dispose();
    c2.dispose();
    return { state: next, loss: value };
  });
  const pending: np.Array[] = [];
  const losses: number[] = [];
  let step = 0;
  return {
    run() {
      const { x, y } = uploaded[step++ % uploaded.length]!;
      const out = train(state, x.ref, y.ref, np.array(1 / (1 - beta1 ** step)), np.array(1 / (1 - beta2 ** step)));
      state = out.state;
      pending.push(out.loss);
    },
    async finish() {
      for (const l of pending.splice(0)) losses.push((await l.data())[0]!);
    },
    values: () => Promise.resolve(losses),
    dispose() {
      tree.dispose(state);
      tree.dispose(uploaded);
      train.dispose();
    },
  };
}

/** ids [batch, context] → logits [batch * context, vocabulary]. */
function gptForward(w: Weights, ids: np.Array, { batch, context, layers, heads, width }: Size): np.Array {
  let x = np
    .take(w["tokens.weight"]!, ids, 0)
    .add(w["positions.weight"]!)
    .reshape([batch * context, width]);
  const each = width / heads;
  for (let i = 0; i < layers; i++) {
    const at = `blocks.${i}.`;
    const norm = (h: np.Array, name: string): np.Array => layerNorm(h, w[`${at}${name}.weight`]!, w[`${at}${name}.bias`]!);
    const qkv = dense(norm(x.ref, "ln1"), w, `${at}attention.qkv`).reshape([batch, context, 3, heads, each]);
    const [q, k, v] = np.unstack(qkv, 2) as [np.Array, np.Array, np.Array];
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch * context, width]);
    x = x.add(dense(mixed, w, `${at}attention.proj`));
    const h = nn.gelu(dense(norm(x.ref, "ln2"), w, `${at}mlp.0`), { approximate: false });
    x = x.add(dense(h, w, `${at}mlp.2`));
  }
  return np.matmul(layerNorm(x, w["norm.weight"]!, w["norm.bias"]!), w["head.weight"]!);
}

export async function jax(version: string): Promise<Library> {
  if (!(await init("webgpu")).includes("webgpu")) throw new Error("jax-js found no WebGPU");
  defaultDevice("webgpu");
  return {
    name: "jax-js",
    version,
    matmul: (inputs) =>
      operation(
        jit((a: np.Array, b: np.Array) => np.matmul(a, b)),
        upload(inputs),
      ),
    softmax: (inputs) =>
      operation(
        jit((x: np.Array) => nn.softmax(x, -1)),
        upload(inputs),
      ),
    layernorm: (inputs) => operation(jit(layerNorm), upload(inputs)),
    layernormBackward(inputs) {
      const args = upload(inputs);
      const gradients = jit((x: np.Array, weight: np.Array, bias: np.Array, dy: np.Array): np.Array[] => {
        const [y, pull] = vjp(layerNorm, [x, weight, bias]);
        y.dispose();
        const g = pull(dy) as np.Array[];
        pull.dispose();
        return g;
      });
      return {
        ...lazy(() => gradients(...(args.map((t) => t.ref) as [np.Array, np.Array, np.Array, np.Array]))),
        dispose: () => {
          tree.dispose(args);
          gradients.dispose();
        },
      };
    },
    chain: (inputs) =>
      operation(
        jit((x: np.Array) => {
          const inner = x.ref.mul(x.ref).mul(x.ref).mul(0.044715).add(x.ref).mul(0.7978845608);
          return np.tanh(inner).add(1).mul(x).mul(0.5);
        }),
        upload(inputs),
      ),
    mlp({ parameters, batches, size }: Training) {
      const { widths, batch } = size;
      const last = widths.length - 2;
      return training(parameters, batches, [batch, widths[0]!], 0, (w, x, y) => {
        for (let i = 0; i <= last; i++) {
          x = dense(x, w, String(2 * i));
          if (i < last) x = nn.relu(x);
        }
        return crossEntropy(x, y);
      });
    },
    gpt({ parameters, batches, size }: Training) {
      return training(parameters, batches, [size.batch, size.context], weightDecay, (w, x, y) =>
        crossEntropy(gptForward(w, x, size), y),
      );
    },
  };
}
