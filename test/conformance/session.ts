/** The library under test, reached only through its public names, on one device. */

import { Failure, Missing, Skip } from "./outcome.ts";
import { elements, type DTypeName, type Numbers, type Stored } from "./safetensors.ts";

/** What is known of a tensor; everything else is called by name. */
export interface TensorLike {
  readonly shape: readonly number[];
  readonly dtype: { readonly name: string };
  readonly requires_grad: boolean;
  grad: TensorLike | null;
  readonly [name: string]: unknown;
}

/** A namespace, `torch` itself or one in it. */
export type Namespace = Readonly<Record<string, unknown>>;
export type Callable = (...args: readonly unknown[]) => unknown;
export type Constructor = new (...args: readonly unknown[]) => object;

interface Caps {
  readonly readSync: boolean;
  readonly float64: boolean;
  readonly int64: boolean;
  readonly subnormals: boolean;
}

const EVERYTHING: Caps = { readSync: true, float64: true, int64: true, subnormals: true };
const NO_COMPLEX = "complex dtypes are not implemented";

export class Session {
  /** Whether the cpu has computed something for the device in `blocking`. */
  fellBack = false;

  private constructor(
    readonly torch: Namespace,
    readonly device: string,
    private readonly caps: Caps,
  ) {}

  /** Starts the device, if that is needed. */
  static async open(torch: Namespace, device: string): Promise<Session> {
    const { owner, value: init } = new Session(torch, device, EVERYTHING).find(`${device.split(":")[0]}.init`);
    if (typeof init === "function") await (init as Callable).call(owner);
    return Session.on(torch, device);
  }

  /** On a device that is ready. */
  static on(torch: Namespace, device: string): Session {
    const anything = new Session(torch, device, EVERYTHING);
    if (device === "cpu") return anything;
    // The golden results come from a cpu; convolutions on cuda round to TF32 by default, as PyTorch's do there.
    const { value: cudnn } = anything.find("backends.cudnn");
    if (typeof cudnn === "object" && cudnn !== null) (cudnn as { allow_tf32: boolean }).allow_tf32 = false;
    // Decompositions have no kernels there; reports say which ops the cpu has computed.
    const { value: fallback } = anything.find("backends.fallback");
    if (typeof fallback === "object" && fallback !== null) (fallback as { enabled: boolean }).enabled = true;
    const probe = anything.tensor({ dtype: "float32", shape: [1], data: new Float32Array(1) });
    const { caps } = probe.device as { caps: Caps };
    return new Session(torch, device, caps);
  }

  /** Whether values can be read without an await. */
  get readsAtOnce(): boolean {
    return this.caps.readSync;
  }

  /** The same for one case, which has its own `fellBack`. */
  fork(): Session {
    return new Session(this.torch, this.device, this.caps);
  }

  isTensor(x: unknown): x is TensorLike {
    return x instanceof (this.torch.Tensor as Constructor);
  }

  /** `nn.functional.relu` → what it is, with the namespace it lies in. */
  find(path: string): { owner: unknown; value: unknown } {
    let owner: unknown;
    let value: unknown = this.torch;
    for (const name of path.split(".")) {
      if ((typeof value !== "object" && typeof value !== "function") || value === null) return { owner, value: undefined };
      owner = value;
      value = (value as Namespace)[name];
    }
    return { owner, value };
  }

  /** How many values the cpu has read so far to compute what the device has no kernels for. */
  #fallbacks(): number {
    const { owner, value } = this.find("backends.fallback.counts");
    if (typeof value !== "function") return 0;
    return Object.values((value as Callable).call(owner) as Record<string, number>).reduce((sum, n) => sum + n, 0);
  }

  /** Calls `torch.PATH`. */
  call(path: string, args: readonly unknown[]): unknown {
    const { owner, value } = this.find(path);
    if (typeof value !== "function") throw new Missing(`torch.${path}`);
    return (value as Callable).apply(owner, args as unknown[]);
  }

  /** `new torch.PATH(…)`. */
  construct(path: string, args: readonly unknown[]): object {
    const { value } = this.find(path);
    if (typeof value !== "function") throw new Missing(`torch.${path}`);
    return new (value as Constructor)(...args);
  }

  method(target: TensorLike, name: string, args: readonly unknown[] = []): unknown {
    const method = target[name];
    if (typeof method !== "function") throw new Missing(`Tensor.${name}`);
    return (method as Callable).apply(target, args as unknown[]);
  }

  dtype(name: string): unknown {
    const dtype = this.torch[name];
    if (dtype === undefined) throw name.startsWith("complex") ? new Failure(NO_COMPLEX) : new Missing(`torch.${name}`);
    return dtype;
  }

  get hasComplex(): boolean {
    return typeof this.torch.view_as_complex === "function";
  }

  /** Leaves out what the device says that it cannot do. */
  require(dtypes: ReadonlySet<string>): void {
    for (const name of dtypes) {
      if (name.startsWith("complex") && !this.hasComplex) throw new Failure(NO_COMPLEX);
      const wide = name === "float64" || name === "complex128";
      if (wide && !this.caps.float64) throw new Skip(`${this.device} has no float64`);
    }
  }

  /** A new tensor with these values. `strided`: with gaps between its elements, filled with what would spoil a result. */
  tensor(stored: Stored, strided = false): TensorLike {
    const { dtype, shape } = stored;
    this.checkRange(stored);
    const data = strided ? withGaps(stored.data, dtype) : stored.data;
    const flat = this.call("tensor", [data, { dtype: this.dtype(dtype), device: this.device }]) as TensorLike;
    if (strided) {
      const strides = shape.map((_, d) => 2 * elements(shape.slice(d + 1)));
      return this.method(flat, "as_strided", [shape, strides, 1]) as TensorLike;
    }
    return shape.length === 1 ? flat : (this.method(flat, "reshape", [shape]) as TensorLike);
  }

  /**
   * Does something that may read values on its way, which devices without synchronous reading do by waiting and doing it again.
   */
  async blocking<T>(fn: () => T): Promise<Awaited<T>> {
    const watched = this.device === "cpu" ? fn : () => this.#watch(fn);
    if (this.caps.readSync) return await watched();
    return (await this.call("blocking", [watched])) as Awaited<T>;
  }

  /** Other cases run in between, but not within synchronous code. */
  #watch<T>(fn: () => T): T {
    const before = this.#fallbacks();
    try {
      return fn();
    } finally {
      if (this.#fallbacks() > before) this.fellBack = true;
    }
  }

  /** What went wrong may be due to subnormal numbers among these tensors, on a device that may take them for zero. */
  mayFlush(tensors: Iterable<Stored>): boolean {
    if (this.caps.subnormals) return false;
    for (const { dtype, data } of tensors) {
      if (dtype === "float32" && (data as Float32Array).some((x) => x !== 0 && Math.abs(x) < 2 ** -126)) return true;
    }
    return false;
  }

  /** Leaves out integers that the device does not have. */
  checkRange({ data }: Stored): void {
    if (this.caps.int64 || !(data instanceof BigInt64Array)) return;
    for (const x of data) {
      if (BigInt.asIntN(32, x) !== x) throw new Skip(`${this.device} has no integers beyond 32 bits`);
    }
  }

  /** The values of a tensor. */
  async read(t: TensorLike): Promise<Stored> {
    if (t.dtype.name.startsWith("complex")) return this.read(this.call("view_as_real", [t]) as TensorLike);
    const dtype = t.dtype.name as DTypeName;
    return { dtype, shape: [...t.shape], data: (await this.method(t, "data")) as Numbers };
  }
}

function withGaps(data: Numbers, dtype: DTypeName): Numbers {
  const wide = new (data.constructor as new (n: number) => Numbers)(2 * data.length);
  if (wide instanceof BigInt64Array) wide.fill(-77n);
  else wide.fill(dtype === "bool" ? 1 : dtype.includes("float") ? NaN : 77);
  for (let i = 0; i < data.length; i++) wide[2 * i + 1] = data[i];
  return wide;
}
