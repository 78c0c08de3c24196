/** What the pickles in PyTorch's files may name: tensors, storages, dtypes and plain containers. */

import { Complex, DType, dtypeByName } from "../core/dtype.ts";
import { NotImplementedError } from "../core/errors.ts";
import { isCount } from "./header.ts";
import { UnpicklingError } from "./format.ts";
import { PickleFunction, pythonType } from "./pickle.ts";

/** PyTorch's classes of storages by the dtype of their elements. */
const STORAGES: Readonly<Record<string, string>> = {
  bool: "BoolStorage",
  uint8: "ByteStorage",
  int8: "CharStorage",
  int16: "ShortStorage",
  int32: "IntStorage",
  int64: "LongStorage",
  float16: "HalfStorage",
  bfloat16: "BFloat16Storage",
  float32: "FloatStorage",
  float64: "DoubleStorage",
  complex64: "ComplexFloatStorage",
  complex128: "ComplexDoubleStorage",
};
/** dtypes of PyTorch's that some files name. */
const OTHER_DTYPES = /^(uint(16|32|64)|complex32|float8_\w+|float4_\w+|q?u?int\d+|quint\w+|bits\w+)$/;

export function storageClass({ name }: DType): string {
  return STORAGES[name]!;
}

/** A class of storages. */
export class StorageType {
  constructor(
    readonly name: string,
    /** null: plain bytes. */
    readonly dtype: DType | null,
  ) {}
}

/** What makes a tensor of the arguments that PyTorch's function of this name takes. */
export interface TensorMaker {
  /** `storage`, `storage_offset`, `size`, `stride`, `requires_grad`, and where the tensor has another type than its storage, that. */
  rebuild(storage: unknown, offset: unknown, size: unknown, stride: unknown, requires_grad: unknown, dtype?: DType): unknown;
  parameter(data: unknown, requires_grad: unknown): unknown;
}

const ALLOWED = "only tensors, storages, dtypes and plain containers (dict, list, tuple, set, OrderedDict) are read";

const missing = (what: string): NotImplementedError =>
  new NotImplementedError(`load: the file has ${what}, which does not exist here`);

function unfit(fn: string, x: unknown): never {
  throw new UnpicklingError(`pickle: ${fn} is called with ${pythonType(x)}`);
}

function listOf(fn: string, x: unknown = []): unknown[] {
  return Array.isArray(x) ? (x as unknown[]) : x instanceof Set ? [...(x as Set<unknown>)] : unfit(fn, x);
}

function dictOf(fn: string, x: unknown = []): Map<unknown, unknown> {
  if (x instanceof Map) return new Map(x as Map<unknown, unknown>);
  const pairs = listOf(fn, x);
  if (!pairs.every((p): p is [unknown, unknown] => Array.isArray(p) && p.length === 2)) return unfit(fn, x);
  return new Map(pairs);
}

function bytesOf(fn: string, text: unknown, encoding: unknown = "utf-8"): Uint8Array {
  if (typeof text === "number" && isCount(text) && text === 0) return new Uint8Array(0);
  if (text instanceof Uint8Array) return text;
  if (typeof text !== "string" || typeof encoding !== "string") return unfit(fn, text);
  const name = encoding.toLowerCase().replace(/[-_]/g, "");
  if (name === "utf8") return new TextEncoder().encode(text);
  const codes = Array.from(text, (c) => c.codePointAt(0)!);
  if ((name !== "latin1" && name !== "ascii") || codes.some((c) => c > 255)) return unfit(fn, encoding);
  return Uint8Array.from(codes);
}

function realOf(fn: string, x: unknown = 0): number {
  return typeof x === "number" ? x : unfit(fn, x);
}

const TEXT: Record<string, true> = { "torch.device": true, "torch.serialization._get_layout": true };

function plain(name: string): PickleFunction | null {
  const fn = (call: (...args: unknown[]) => unknown): PickleFunction => new PickleFunction(name, call);
  const [module, what] = [name.slice(0, name.lastIndexOf(".")), name.slice(name.lastIndexOf(".") + 1)];
  if (Object.hasOwn(TEXT, name)) {
    return fn((text, index) => {
      if (typeof text !== "string") return unfit(name, text);
      return isCount(index) ? `${text}:${index}` : text;
    });
  }
  if (name === "torch.Size") return fn((x) => [...listOf(name, x)]);
  if (name === "_codecs.encode") return fn((text, encoding) => bytesOf(name, text, encoding));
  if (module === "collections") {
    if (what === "OrderedDict" || what === "Counter") return fn((x) => dictOf(name, x));
    if (what === "defaultdict") return fn((_, x) => dictOf(name, x));
  }
  if (module === "builtins") {
    if (what === "set" || what === "frozenset") return fn((x) => new Set(listOf(name, x)));
    if (what === "list" || what === "tuple") return fn((x) => [...listOf(name, x)]);
    if (what === "dict") return fn((x) => dictOf(name, x));
    if (what === "complex") return fn((re, im) => new Complex(realOf(name, re), realOf(name, im)));
    if (what === "bytes" || what === "bytearray") return fn((x = "", encoding) => bytesOf(name, x, encoding).slice());
  }
  return null;
}

function storageType(module: string, what: string): StorageType | null {
  if (!/^torch(\.cuda|\.storage)?$/.test(module)) return null;
  if (what === "UntypedStorage") return new StorageType(what, null);
  const found = Object.entries(STORAGES).find(([, storage]) => storage === what);
  if (found === undefined) return null;
  const dtype = dtypeByName(found[0]);
  if (dtype === undefined) throw missing(`a tensor of torch.${found[0]}`);
  return new StorageType(what, dtype);
}

function tensorFunction(name: string, maker: TensorMaker): PickleFunction | null {
  const fn = (call: (...args: unknown[]) => unknown): PickleFunction => new PickleFunction(name, call);
  switch (name) {
    case "torch._utils._rebuild_tensor":
      return fn((storage, offset, size, stride) => maker.rebuild(storage, offset, size, stride, false));
    case "torch._utils._rebuild_tensor_v2":
      return fn((storage, offset, size, stride, requires_grad, _hooks, metadata) => {
        marks(metadata);
        return maker.rebuild(storage, offset, size, stride, requires_grad);
      });
    case "torch._utils._rebuild_tensor_v3":
      return fn((storage, offset, size, stride, requires_grad, _hooks, dtype, metadata) => {
        marks(metadata);
        if (!(dtype instanceof DType)) return unfit(name, dtype);
        return maker.rebuild(storage, offset, size, stride, requires_grad, dtype);
      });
    case "torch._utils._rebuild_parameter":
    case "torch._utils._rebuild_parameter_with_state":
      return fn((data, requires_grad) => maker.parameter(data, requires_grad));
    case "torch._tensor._rebuild_from_type_v2":
      return fn((make, type, args) => {
        const known = make instanceof PickleFunction && make.name.startsWith("torch._utils._rebuild_");
        if (!known || !(type instanceof PickleFunction)) return unfit(name, make);
        return make.call(...listOf(name, args).slice(0, 8));
      });
    case "torch.Tensor":
    case "torch.nn.parameter.Parameter":
    case "torch.nn.Parameter":
    case "torch.nn.parameter.Buffer":
      return fn((data) => maker.parameter(data, name.endsWith("Parameter")));
    default:
      return null;
  }
}

/** A tensor's bits for a pending conjugation or negation. */
function marks(metadata: unknown): void {
  if (!(metadata instanceof Map)) return;
  for (const bit of ["conj", "neg"]) if (metadata.get(bit) === true) throw missing(`a tensor with its ${bit} bit set`);
}

/** Modules under the names that protocol 2 gives them, which are those of Python 2. */
const PYTHON2: ReadonlyMap<string, string> = new Map([
  ["__builtin__", "builtins"],
  ["copy_reg", "copyreg"],
  ["exceptions", "builtins"],
]);

/** What `module.name` stands for in a file of PyTorch's. */
export function torchGlobal(spelt: string, name: string, maker: TensorMaker): unknown {
  const module = PYTHON2.get(spelt) ?? spelt;
  const path = `${module}.${name}`;
  const found = plain(path) ?? storageType(module, name) ?? tensorFunction(path, maker);
  if (found !== null) return found;
  if (module === "torch") {
    const dtype = dtypeByName(name);
    if (dtype !== undefined) return dtype;
    if (OTHER_DTYPES.test(name)) throw missing(path);
  }
  if (module === "torch._utils" && name.startsWith("_rebuild_")) throw missing(`a tensor of a kind (${path})`);
  throw new UnpicklingError(`load: the file holds an object of class ${path}; ${ALLOWED}`);
}
