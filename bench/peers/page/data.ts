/** The same numbers for every library: inputs, initial weights, batches. Weights are named and laid out as PyTorch does. */

/** A reproducible generator of uniform numbers in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Normal numbers (Box-Muller). */
export function normal(count: number, seed: number, std = 1): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: count }, () => std * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

export function integers(count: number, below: number, seed: number): Int32Array {
  const next = generator(seed);
  return Int32Array.from({ length: count }, () => Math.floor(next() * below));
}

export interface Named {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Inputs as numbers, or as the ids of tokens; targets as classes. */
export interface Batch {
  readonly x: Float32Array | Int32Array;
  readonly y: Int32Array;
}

export interface Size {
  readonly batch: number;
  /** Width of each layer of the MLP, from the input's on; empty for the GPT. */
  readonly widths: readonly number[];
  readonly vocabulary: number;
  readonly context: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Weights normal, biases zero, and of norms the weights one. */
function initialise(
  shapes: readonly (readonly [string, readonly number[]])[],
  std: (shape: readonly number[]) => number,
): Named[] {
  return shapes.map(([name, shape], i) => {
    const count = product(shape);
    if (name.endsWith("bias")) return { name, shape, values: new Float32Array(count) };
    if (shape.length === 1) return { name, shape, values: new Float32Array(count).fill(1) };
    return { name, shape, values: normal(count, 1000 + i, std(shape)) };
  });
}

export function mlpSize(): Size {
  return { batch: 128, widths: [784, 512, 256, 10], vocabulary: 0, context: 0, layers: 0, heads: 0, width: 0 };
}

export function mlpTraining(size: Size, batches = 4): { parameters: Named[]; batches: Batch[]; size: Size } {
  const { widths, batch } = size;
  const shapes = widths.slice(1).flatMap(
    (width, i) =>
      [
        [`${2 * i}.weight`, [width, widths[i]!]],
        [`${2 * i}.bias`, [width]],
      ] as [string, number[]][],
  );
  return {
    parameters: initialise(shapes, ([, fanIn]) => Math.sqrt(2 / fanIn!)),
    batches: Array.from({ length: batches }, (_, i) => ({
      x: normal(batch * widths[0]!, 10 + i),
      y: integers(batch, widths.at(-1)!, 20 + i),
    })),
    size,
  };
}

export function gptTraining(size: Size, batches = 4): { parameters: Named[]; batches: Batch[]; size: Size } {
  const { vocabulary, context, layers, width, batch } = size;
  const shapes: [string, number[]][] = [
    ["tokens.weight", [vocabulary, width]],
    ["positions.weight", [context, width]],
  ];
  for (let i = 0; i < layers; i++) {
    const add = (name: string, ...shape: number[]): unknown => shapes.push([`blocks.${i}.${name}`, shape]);
    add("ln1.weight", width);
    add("ln1.bias", width);
    add("attention.qkv.weight", 3 * width, width);
    add("attention.qkv.bias", 3 * width);
    add("attention.proj.weight", width, width);
    add("attention.proj.bias", width);
    add("ln2.weight", width);
    add("ln2.bias", width);
    add("mlp.0.weight", 4 * width, width);
    add("mlp.0.bias", 4 * width);
    add("mlp.2.weight", width, 4 * width);
    add("mlp.2.bias", width);
  }
  shapes.push(["norm.weight", [width]], ["norm.bias", [width]], ["head.weight", [vocabulary, width]]);
  return {
    parameters: initialise(shapes, () => 0.02),
    batches: Array.from({ length: batches }, (_, i) => ({
      x: integers(batch * context, vocabulary, 30 + i),
      y: integers(batch * context, vocabulary, 40 + i),
    })),
    size,
  };
}

/** [rows, columns] → [columns, rows]: other libraries keep a linear layer's weight as [inputs, outputs]. */
export function transposed({ shape, values }: Named): Float32Array {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!;
  return out;
}
