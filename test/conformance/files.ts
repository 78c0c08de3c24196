/** Files of torch.save and of NumPy: what is in them, and what must be refused. */

import { readJson, type Corpus, type Json, type JsonObject } from "./corpus.ts";
import { Failure, outcomeOf, type Outcome } from "./outcome.ts";
import type { Session, TensorLike } from "./session.ts";

interface ArraySpec {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly Json[];
}

interface FileSpec extends Partial<ArraySpec> {
  readonly value?: Json;
  readonly refuse?: string;
  readonly arrays?: Readonly<Record<string, ArraySpec>>;
}

interface TensorSpec extends ArraySpec {
  readonly storage: number;
  readonly offset: number;
  readonly stride: readonly number[];
  readonly requires_grad?: boolean;
}

/** Reads each file of a corpus. */
export async function runFiles(
  session: Session,
  corpus: Corpus,
  files: readonly string[],
  only: (unit: string) => boolean,
  pick: (unit: string, id: string) => boolean,
  report: (outcome: Outcome) => void,
): Promise<void> {
  for (const file of files.filter(only)) {
    const spec = readJson<FileSpec>(corpus, `${file}.json`);
    const bytes = corpus.bytes(file);
    const cases: [id: string, run: () => Promise<void>][] = [];
    if (spec.refuse !== undefined) cases.push(["refuse", () => refused(session, file, bytes, spec.refuse!)]);
    else if (spec.value !== undefined) cases.push(["value", () => pytorch(session, bytes, spec.value!)]);
    else if (spec.arrays !== undefined) {
      for (const name of Object.keys(spec.arrays)) cases.push([name, () => npz(session, bytes, spec.arrays!, name)]);
    } else cases.push(["array", () => npy(session, bytes, spec as ArraySpec)]);
    for (const [id, run] of cases) if (pick(file, id)) report(await outcomeOf(file, id, run));
  }
}

async function refused(session: Session, file: string, bytes: Uint8Array, name: string): Promise<void> {
  const [load, type] = /\.np[yz]$/.test(file) ? [`io.read_${file.slice(-3)}`, "FileFormatError"] : ["load", "UnpicklingError"];
  let error: unknown = null;
  try {
    await session.call(load, [bytes]);
  } catch (thrown) {
    error = thrown;
  }
  if (error === null) throw new Failure(`no error; it must name ${name}`);
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (!(error instanceof Error) || error.name !== type || !error.message.includes(name)) {
    throw new Failure(`${text}; expected ${type} that names ${name}`);
  }
}

async function pytorch(session: Session, bytes: Uint8Array, want: Json): Promise<void> {
  const dtypes = new Set<string>();
  for (const spec of tensorsIn(want)) dtypes.add(spec.dtype);
  session.require(dtypes);
  const got = await session.call("load", [bytes, { map_location: session.device }]);
  await new Comparison(session).value("value", got, want);
}

function* tensorsIn(value: Json): Generator<TensorSpec> {
  if (typeof value !== "object" || value === null) return;
  const { tensor } = value as { tensor?: TensorSpec };
  if (tensor !== undefined) yield tensor;
  else for (const part of Object.values(value)) yield* tensorsIn(part as Json);
}

/** A number as the corpus writes it. */
function numberOf(x: Json): number | bigint | boolean {
  if (typeof x === "boolean" || typeof x === "number") return x;
  if (x === "inf" || x === "-inf" || x === "nan") return { inf: Infinity, "-inf": -Infinity, nan: NaN }[x];
  return BigInt(x as string);
}

function same(got: unknown, want: number | bigint | boolean): boolean {
  if (typeof got === "bigint" && typeof want === "number") return got === BigInt(want);
  if (typeof want === "boolean") return got === want || got === Number(want);
  return Object.is(got, want);
}

function checkValues(path: string, got: ArrayLike<unknown>, want: readonly Json[]): void {
  if (got.length !== want.length) throw new Failure(`${path}: ${got.length} values, want ${want.length}`);
  for (let i = 0; i < want.length; i++) {
    const number = numberOf(want[i]);
    if (!same(got[i], number)) throw new Failure(`${path}: value ${i} is ${String(got[i])}, want ${String(number)}`);
  }
}

function checkEqual(path: string, got: unknown, want: unknown): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
  if (a !== b) throw new Failure(`${path}: ${a}, want ${b}`);
}

/** One file's contents: tensors of one storage number must share memory, others must not. */
class Comparison {
  private readonly storages = new Map<number, unknown>();
  constructor(private readonly session: Session) {}

  async value(path: string, got: unknown, want: Json): Promise<void> {
    if (typeof want !== "object" || want === null) {
      if (!Object.is(got, want)) throw new Failure(`${path}: ${String(got)}, want ${String(want)}`);
      return;
    }
    if (Array.isArray(want)) return this.list(path, got, want);
    const spec = want as JsonObject;
    if (spec.float !== undefined || spec.int !== undefined) {
      const number = numberOf(spec.float ?? spec.int);
      if (!same(got, number)) throw new Failure(`${path}: ${String(got)}, want ${String(number)}`);
    } else if (spec.dict !== undefined) await this.dict(path, got, spec.dict as [Json, Json][]);
    else if (spec.tuple !== undefined || spec.size !== undefined) await this.list(path, got, (spec.tuple ?? spec.size) as Json[]);
    else if (spec.dtype !== undefined) {
      if (got !== this.session.dtype(spec.dtype as string))
        throw new Failure(`${path}: ${String(got)}, want ${String(spec.dtype)}`);
    } else if (spec.device !== undefined) checkEqual(path, String(got), spec.device);
    else if (spec.complex !== undefined) {
      const { re, im } = got as { re?: number; im?: number };
      checkValues(path, [re, im], spec.complex as Json[]);
    } else if (spec.tensor !== undefined) await this.tensor(path, got, spec.tensor as unknown as TensorSpec);
    else throw new Error(`${path}: the corpus has a value of an unknown kind: ${Object.keys(spec).join(", ")}`);
  }

  private async list(path: string, got: unknown, want: readonly Json[]): Promise<void> {
    if (!Array.isArray(got) || got.length !== want.length) throw new Failure(`${path}: no list of ${want.length}`);
    for (const [i, part] of want.entries()) await this.value(`${path}[${i}]`, got[i], part);
  }

  private async dict(path: string, got: unknown, want: readonly [Json, Json][]): Promise<void> {
    if (typeof got !== "object" || got === null) throw new Failure(`${path}: ${String(got)}, want a dict`);
    const entries: [unknown, unknown][] = got instanceof Map ? [...(got as Map<unknown, unknown>)] : Object.entries(got);
    const order = want.map(([key]) => key);
    checkEqual(
      `${path}: keys`,
      entries.map(([key]) => key),
      order,
    );
    for (const [i, [key, value]] of want.entries()) await this.value(`${path}[${String(key)}]`, entries[i][1], value);
  }

  private async tensor(path: string, got: unknown, want: TensorSpec): Promise<void> {
    if (!this.session.isTensor(got)) throw new Failure(`${path}: ${String(got)}, want a tensor`);
    checkEqual(`${path}: dtype`, got.dtype.name, want.dtype);
    checkEqual(`${path}: shape`, got.shape, want.shape);
    checkEqual(`${path}: stride`, this.session.method(got, "stride"), want.stride);
    checkEqual(`${path}: offset`, this.session.method(got, "storage_offset"), want.offset);
    checkEqual(`${path}: requires_grad`, (got as { requires_grad?: boolean }).requires_grad, want.requires_grad ?? false);
    const memory = (got as { _storage?: unknown })._storage;
    const known = this.storages.get(want.storage);
    const others = [...this.storages].filter(([number]) => number !== want.storage);
    if (known !== undefined && known !== memory) throw new Failure(`${path}: does not share memory as it should`);
    if (others.some(([, other]) => other === memory)) throw new Failure(`${path}: shares memory as it should not`);
    this.storages.set(want.storage, memory);
    const detached = this.session.method(got, "detach") as TensorLike;
    checkValues(path, (await this.session.read(detached)).data, want.values);
  }
}

interface ReadArray {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<unknown>;
}

async function npy(session: Session, bytes: Uint8Array, want: ArraySpec): Promise<void> {
  checkArray((await session.call("io.read_npy", [bytes])) as ReadArray, want);
  const load = (): unknown => session.call("io.load_npy", [bytes, { device: session.device }]);
  await checkLoaded(session, load, want);
}

async function npz(session: Session, bytes: Uint8Array, all: Readonly<Record<string, ArraySpec>>, name: string): Promise<void> {
  const read = (await session.call("io.read_npz", [bytes])) as Readonly<Record<string, ReadArray>>;
  checkEqual("names", Object.keys(read).sort(), Object.keys(all).sort());
  checkArray(read[name], all[name]);
}

function checkArray(got: ReadArray, want: ArraySpec): void {
  checkEqual("dtype", got.dtype, want.dtype);
  checkEqual("shape", got.shape, want.shape);
  const data = want.dtype === "float16" ? Array.from(got.data as ArrayLike<number>, half) : got.data;
  checkValues("values", data, want.values);
}

/** The value of a float16's bits. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size =
    exponent === 31
      ? fraction === 0
        ? Infinity
        : NaN
      : exponent === 0
        ? fraction * 2 ** -24
        : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

/** As a tensor; unsigned types, which tensors do not have, become wider ones, and what fits none is refused. */
async function checkLoaded(session: Session, load: () => unknown, want: ArraySpec): Promise<void> {
  const large = want.dtype === "uint64" && want.values.some((x) => BigInt(x as string | number) > 0x7fffffffffffffffn);
  if (large) {
    const error = await Promise.resolve(load()).then(
      () => null,
      (e: unknown) => e as Error,
    );
    if (error?.name !== "ValueError") throw new Failure(`load_npy: ${String(error)}; expected a ValueError`);
    return;
  }
  const dtype = { uint16: "int32", uint32: "int64", uint64: "int64" }[want.dtype] ?? want.dtype;
  session.require(new Set([dtype]));
  const got = (await load()) as TensorLike;
  checkEqual("load_npy: dtype", got.dtype.name, dtype);
  checkEqual("load_npy: shape", got.shape, want.shape);
  checkValues("load_npy", (await session.read(got)).data, want.values);
}
