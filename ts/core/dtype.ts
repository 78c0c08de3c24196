/** Data types and PyTorch's promotion between them. */

export type DTypeName = "bool" | "uint8" | "int8" | "int16" | "int32" | "int64" | "float16" | "bfloat16" | "float32" | "float64";
/** Complex tensors are pairs of reals in memory, and no kernel sees them as anything else. */
export type ComplexName = "complex64" | "complex128";

/** Promotion categories, in rising order: a higher category wins over a lower one. */
export const enum Category {
  bool = 0,
  integral = 1,
  floating = 2,
  complex = 3,
}

/** The type a value has while it is computed with. Narrow types are widened on load and rounded or wrapped on store. */
export type ComputeType = "i32" | "i64" | "f32" | "f64";

export class DType {
  private constructor(
    /** Of a complex type it is a `ComplexName`; kernels and devices, which ask for the name, never see one. */
    readonly name: DTypeName,
    /** Bytes per element. */
    readonly itemsize: number,
    readonly category: Category,
    readonly is_signed: boolean,
    readonly compute: ComputeType,
    /** A small dense number, for tables and keys. */
    readonly code: number,
  ) {}

  get is_floating_point(): boolean {
    return this.category === Category.floating;
  }
  get is_complex(): boolean {
    return this.category === Category.complex;
  }
  /** @internal Whether gradients flow through it. */
  get differentiable(): boolean {
    return this.category >= Category.floating;
  }
  /** @internal The type of a complex type's parts; of others itself. */
  get real(): DType {
    return this === complex64 ? float32 : this === complex128 ? float64 : this;
  }
  /** @internal The complex type whose parts hold this type. */
  get complex(): DType {
    if (this.is_complex) return this;
    if (this.category < Category.floating) return defaultDType.complex;
    return this === float64 ? complex128 : complex64;
  }
  toString(): string {
    return `torch.${this.name}`;
  }
  /** What Node's console shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** @internal Only this file makes data types. */
  static of(
    name: DTypeName | ComplexName,
    itemsize: number,
    category: Category,
    signed: boolean,
    compute: ComputeType,
    code: number,
  ): DType {
    return new DType(name as DTypeName, itemsize, category, signed, compute, code);
  }
}

export const bool = DType.of("bool", 1, Category.bool, false, "i32", 0);
export const uint8 = DType.of("uint8", 1, Category.integral, false, "i32", 1);
export const int8 = DType.of("int8", 1, Category.integral, true, "i32", 2);
export const int16 = DType.of("int16", 2, Category.integral, true, "i32", 3);
export const int32 = DType.of("int32", 4, Category.integral, true, "i32", 4);
export const int64 = DType.of("int64", 8, Category.integral, true, "i64", 5);
export const float16 = DType.of("float16", 2, Category.floating, true, "f32", 6);
export const bfloat16 = DType.of("bfloat16", 2, Category.floating, true, "f32", 7);
export const float32 = DType.of("float32", 4, Category.floating, true, "f32", 8);
export const float64 = DType.of("float64", 8, Category.floating, true, "f64", 9);
export const complex64 = DType.of("complex64", 8, Category.complex, true, "f32", 10);
export const complex128 = DType.of("complex128", 16, Category.complex, true, "f64", 11);

/** The real ones. */
export const DTYPES: readonly DType[] = [bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64];

export function dtypeByName(name: string): DType | undefined {
  return [...DTYPES, complex64, complex128].find((d) => d.toString() === `torch.${name}`);
}

/**
 * The dtype that holds both, by PyTorch's lattice
 * (https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
 */
export function promote_types(a: DType, b: DType): DType {
  if (a === b) return a;
  if (a.is_complex || b.is_complex) {
    return [a, b].some((d) => d.differentiable && d.real === float64) ? complex128 : complex64;
  }
  if (a.category !== b.category) return a.category > b.category ? a : b;
  if (a.category === Category.floating) {
    if (a.itemsize === 2 && b.itemsize === 2) return float32; // float16 with bfloat16
    return a.itemsize > b.itemsize ? a : b;
  }
  if (a.is_signed === b.is_signed) return a.itemsize > b.itemsize ? a : b;
  // uint8 with a signed type: int8 cannot hold it, the wider ones can.
  const signed = a.is_signed ? a : b;
  return signed === int8 ? int16 : signed;
}

/** Whether PyTorch's `can_cast` allows `from` → `to` (never to a lower category). */
export function can_cast(from: DType, to: DType): boolean {
  return from.category <= to.category;
}

let defaultDType: DType = float32;
export function get_default_dtype(): DType {
  return defaultDType;
}
export function set_default_dtype(dtype: DType): void {
  if (!dtype.is_floating_point) {
    throw new TypeError(`set_default_dtype: only floating-point types are supported as the default type, got ${dtype}`);
  }
  defaultDType = dtype;
}

/** A number that counts as floating in type promotion although its value is whole (Python's `1.0`). */
export class FloatScalar {
  constructor(readonly value: number) {}
  valueOf(): number {
    return this.value;
  }
  toString(): string {
    return `${this.value}f`;
  }
}

/** A complex number, Python's `complex`. */
export class Complex {
  constructor(
    readonly re: number,
    readonly im = 0,
  ) {}
  toString(): string {
    const negative = this.im < 0 || Object.is(this.im, -0);
    return `(${this.re}${negative ? "-" : "+"}${Math.abs(this.im)}j)`;
  }
}

/** What a Python number may be here. A whole `number` counts as an int, a `bigint` as an int64. */
export type Scalar = number | bigint | boolean | FloatScalar;

export function isScalar(x: unknown): x is Scalar {
  return typeof x === "number" || typeof x === "bigint" || typeof x === "boolean" || x instanceof FloatScalar;
}

export function scalarCategory(x: Scalar): Category {
  if (typeof x === "number") return Number.isInteger(x) ? Category.integral : Category.floating;
  if (typeof x === "boolean") return Category.bool;
  return typeof x === "bigint" ? Category.integral : Category.floating;
}

/** The dtype a lone scalar takes: `torch.tensor(x).dtype`. */
export function scalarDType(x: Scalar): DType {
  const c = scalarCategory(x);
  return c === Category.bool ? bool : c === Category.integral ? int64 : defaultDType;
}
