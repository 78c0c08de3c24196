/** A library of a few operations, for testing the runner itself: correct, unless a test spoils one of them. */

import type { DTypeName, Numbers } from "./safetensors.ts";
import type { Namespace } from "./session.ts";

class FakeError extends Error {}
class RuntimeError extends FakeError {
  override name = "RuntimeError";
}
class IndexError extends FakeError {
  override name = "IndexError";
}

type Data = Float32Array | Int32Array | BigInt64Array | Uint8Array;

export class FakeTensor {
  grad: FakeTensor | null = null;
  leaf = false;
  /** What it was made of, and by what factor each element moves with that. */
  parents: readonly (readonly [FakeTensor, readonly number[]])[] = [];

  constructor(
    public values: number[],
    public shape: readonly number[],
    readonly dtype: { readonly name: DTypeName },
  ) {}

  get requires_grad(): boolean {
    return this.leaf || this.parents.some(([parent]) => parent.requires_grad);
  }
  requires_grad_(): this {
    this.leaf = true;
    return this;
  }
  reshape(shape: readonly number[]): FakeTensor {
    return new FakeTensor(this.values, shape, this.dtype);
  }
  as_strided(shape: readonly number[], strides: readonly number[], offset: number): FakeTensor {
    const step = strides.at(-1) ?? 0;
    const n = shape.reduce((a, b) => a * b, 1);
    const out = new FakeTensor(
      Array.from({ length: n }, (_, i) => this.values[offset + step * i]),
      shape,
      this.dtype,
    );
    return Object.assign(out, { strided: true });
  }
  clone(): FakeTensor {
    return map(this, (x) => x, 1);
  }
  double(): FakeTensor {
    return map(this, (x) => 2 * x, 2);
  }
  double_(): this {
    this.values = this.values.map((x) => 2 * x);
    return this;
  }
  abs(): FakeTensor {
    const signs = this.values.map(Math.sign);
    const out = map(this, Math.abs, 1);
    out.parents = [[this, signs]];
    return out;
  }
  item(): Promise<number> {
    return Promise.resolve(this.values[0]);
  }
  data(): Promise<Numbers> {
    return Promise.resolve(pack(this.dtype.name, this.values) as Numbers);
  }
}

function map(t: FakeTensor, f: (x: number) => number, factor: number): FakeTensor {
  const out = new FakeTensor(t.values.map(f), t.shape, t.dtype);
  out.parents = [[t, t.values.map(() => factor)]];
  return out;
}

function pack(dtype: DTypeName, values: readonly number[]): Data {
  if (dtype === "int64") return BigInt64Array.from(values, BigInt);
  if (dtype === "int32") return Int32Array.from(values);
  return dtype === "bool" ? Uint8Array.from(values) : Float32Array.from(values);
}

const DTYPES = Object.fromEntries((["float32", "int32", "int64", "bool"] as const).map((name) => [name, { name }]));

function grad(
  outputs: readonly FakeTensor[],
  inputs: readonly FakeTensor[],
  { grad_outputs }: { grad_outputs: readonly FakeTensor[] },
): (FakeTensor | null)[] {
  const totals = new Map<FakeTensor, number[]>();
  const visit = (t: FakeTensor, values: readonly number[]): void => {
    const total = totals.get(t) ?? values.map(() => 0);
    totals.set(
      t,
      total.map((x, i) => x + values[i]),
    );
    for (const [parent, factors] of t.parents) {
      visit(
        parent,
        values.map((x, i) => x * factors[i]),
      );
    }
  };
  outputs.forEach((t, i) => visit(t, grad_outputs[i].values));
  return inputs.map((t) => {
    const values = totals.get(t);
    return values === undefined ? null : new FakeTensor(values, t.shape, t.dtype);
  });
}

/** The namespace; `spoiled` replaces parts of it. */
export function fakeTorch(spoiled: Namespace = {}): Namespace {
  return {
    ...DTYPES,
    Tensor: FakeTensor,
    FloatScalar: class {
      constructor(readonly value: number) {}
      valueOf(): number {
        return this.value;
      }
    },
    Slice: class {
      constructor(...parts: (number | null)[]) {
        Object.assign(this, { parts });
      }
    },
    RuntimeError,
    IndexError,
    tensor: (data: ArrayLike<number | bigint>, { dtype }: { dtype: { name: DTypeName } }) =>
      new FakeTensor(Array.from(data, Number), [data.length], dtype),
    double: (t: FakeTensor) => t.double(),
    add: (a: FakeTensor, b: FakeTensor, { alpha = 1 } = {}) => {
      if (a.values.length !== b.values.length)
        throw new RuntimeError(`add: shapes [${a.shape}] and [${b.shape}] do not broadcast`);
      const out = new FakeTensor(
        a.values.map((x, i) => x + alpha * b.values[i]),
        a.shape,
        a.dtype,
      );
      out.parents = [
        [a, a.values.map(() => 1)],
        [b, a.values.map(() => alpha)],
      ];
      return out;
    },
    largest: (t: FakeTensor) => {
      const index = t.values.indexOf(Math.max(...t.values));
      const parts = [new FakeTensor([t.values[index]], [], t.dtype), new FakeTensor([index], [], DTYPES.int64)];
      return Object.assign(parts, { values: parts[0], indices: parts[1] });
    },
    noise: (n: number) =>
      new FakeTensor(
        Array.from({ length: n }, () => Math.random()),
        [n],
        DTYPES.float32,
      ),
    autograd: { grad },
    ...spoiled,
  };
}
