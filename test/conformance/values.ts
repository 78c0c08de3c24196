/** Results as a whole: structure, tensors in it, and the numbers, flags and types that are not tensors. */

import type { Json } from "./corpus.ts";
import { compareNumbers, compareTensors, type Closeness } from "./compare.ts";
import { floatOf, isList, isObject } from "./decode.ts";
import { Failure } from "./outcome.ts";
import type { SafeTensors, Stored } from "./safetensors.ts";
import type { Session, TensorLike } from "./session.ts";

/** Two tensors, before they are compared. */
export interface Pair {
  readonly path: string;
  readonly got: Stored;
  readonly want: Stored;
  /** Both in the (re, im) form of complex tensors. */
  readonly complex?: boolean;
}

/** The tensors of a result, in the order in which they appear. */
export function tensorsOf(session: Session, result: unknown): TensorLike[] {
  if (session.isTensor(result)) return [result];
  const parts = asList(result) ?? (isRecord(result) ? Object.values(result) : []);
  return parts.flatMap((x) => tensorsOf(session, x));
}

/** Checks everything but the tensors' values, and returns those in pairs. Throws a Failure. */
export async function matchStructure(
  session: Session,
  result: unknown,
  want: Json,
  tensors: SafeTensors,
  path = "output",
): Promise<Pair[]> {
  if (isObject(want) && typeof want.tensor === "string") {
    if (!session.isTensor(result)) throw new Failure(`${path}: got ${describe(result)}, want a tensor`);
    const complex = want.complex === true;
    if (result.dtype.name.startsWith("complex") !== complex) {
      throw new Failure(`${path}: dtype ${result.dtype.name}, want a ${complex ? "complex" : "real"} one`);
    }
    const stored = tensors.get(want.tensor);
    session.checkRange(stored);
    return [{ path, got: await session.read(result), want: stored, complex }];
  }
  const list = isList(want) ? want : isObject(want) && isList(want.tuple ?? null) ? (want.tuple as readonly Json[]) : null;
  if (list !== null) {
    const names = isObject(want) && want.names !== undefined ? (want.names as readonly string[]) : null;
    const parts = partsOf(result, names, path);
    if (parts.length !== list.length) throw new Failure(`${path}: ${parts.length} parts, want ${list.length}`);
    const pairs: Pair[] = [];
    for (let i = 0; i < list.length; i++) {
      pairs.push(...(await matchStructure(session, parts[i], list[i], tensors, `${path}[${names?.[i] ?? i}]`)));
    }
    return pairs;
  }
  if (isObject(want) && isObject(want.dict)) {
    const pairs: Pair[] = [];
    for (const [key, x] of Object.entries(want.dict)) {
      const got = isRecord(result) ? result[key] : undefined;
      pairs.push(...(await matchStructure(session, got, x, tensors, `${path}.${key}`)));
    }
    return pairs;
  }
  const problem = compareScalar(result, want);
  if (problem !== null) throw new Failure(`${path}: ${problem}`);
  return [];
}

/** Compares a result with what the corpus wants. Throws a Failure. */
export async function expectValue(
  session: Session,
  result: unknown,
  want: Json,
  tensors: SafeTensors,
  close: Closeness = {},
  path = "output",
): Promise<void> {
  for (const pair of await matchStructure(session, result, want, tensors, path)) expectPair(pair, close);
}

export function expectPair({ path, got, want }: Pair, close: Closeness = {}): void {
  const problem = compareTensors(got, want, close);
  if (problem !== null) throw new Failure(`${path}: ${problem}`);
}

/** Compares one tensor with stored values. Throws a Failure. */
export async function expectTensor(
  session: Session,
  got: unknown,
  want: Stored,
  path: string,
  close: Closeness = {},
): Promise<void> {
  if (!session.isTensor(got)) throw new Failure(`${path}: got ${describe(got)}, want a tensor`);
  session.checkRange(want);
  expectPair({ path, got: await session.read(got), want }, close);
}

/** A result whose values are free: `[{shape, dtype}]`. */
export function expectMeta(session: Session, result: unknown, want: Json): void {
  const got = tensorsOf(session, result);
  const metas = want as readonly { shape: readonly number[]; dtype: string }[];
  if (got.length !== metas.length) throw new Failure(`output: ${got.length} tensors, want ${metas.length}`);
  metas.forEach(({ shape, dtype }, i) => {
    const found = `${got[i].dtype.name} [${got[i].shape.join(", ")}]`;
    const wanted = `${dtype} [${shape.join(", ")}]`;
    if (found !== wanted) throw new Failure(`output ${i}: ${found}, want ${wanted}`);
  });
}

function partsOf(result: unknown, names: readonly string[] | null, path: string): readonly unknown[] {
  const list = asList(result);
  if (names === null || (list === null && !isRecord(result))) {
    if (list === null) throw new Failure(`${path}: got ${describe(result)}, want a list`);
    return list;
  }
  for (const name of names) {
    if (!(name in (result as object))) throw new Failure(`${path}: has no part named "${name}"`);
  }
  const named = names.map((name) => (result as Record<string, unknown>)[name]);
  const swapped = list === null ? -1 : named.findIndex((x, i) => x !== list[i]);
  if (swapped >= 0) throw new Failure(`${path}: part "${names[swapped]}" is not part ${swapped}`);
  return named;
}

function asList(x: unknown): readonly unknown[] | null {
  return Array.isArray(x) ? (x as unknown[]) : null;
}

function isRecord(x: unknown): x is Record<string, unknown> {
  return typeof x === "object" && x !== null;
}

function compareScalar(got: unknown, want: Json): string | null {
  const wrong = `got ${describe(got)}, want ${JSON.stringify(want)}`;
  if (want === null) return got === null || got === undefined ? null : wrong;
  if (typeof want === "boolean" || typeof want === "string") return got === want ? null : wrong;
  if (typeof want === "number") return isNumber(got) && Number(got) === want ? null : wrong;
  if (!isObject(want)) return wrong;
  if ("float" in want) return isNumber(got) ? compareNumbers(Number(got), floatOf(want)) : wrong;
  if ("int" in want) return isNumber(got) && BigInt(got) === BigInt(want.int as string) ? null : wrong;
  if ("dtype" in want) return isRecord(got) && got.name === want.dtype ? null : wrong;
  return wrong;
}

function isNumber(x: unknown): x is number | bigint {
  return typeof x === "number" || typeof x === "bigint";
}

export function describe(x: unknown): string {
  if (x === null || x === undefined) return "nothing";
  if (typeof x === "function") return "a function";
  if (Array.isArray(x)) return `a list of ${x.length}`;
  return typeof x === "object" ? `a ${x.constructor.name}` : `${typeof x} ${String(x)}`;
}
