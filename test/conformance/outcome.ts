/** How a case ends: it returns (passed), or throws one of these, or throws anything else (failed, with what was thrown as the reason). */

/** The result is not what the corpus says. */
export class Failure extends Error {
  override name = "Failure";
}

/** The device cannot do this by its caps. There is no other ground for leaving a case out. */
export class Skip extends Error {
  override name = "Skip";
}

/** The library has no such function, method or class. */
export class Missing extends Failure {
  constructor(what: string) {
    super(`not implemented: ${what}`);
  }
}

export interface Outcome {
  /** The operation, or FAMILY/GROUP. */
  readonly unit: string;
  readonly id: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly reason: string;
  /** The cpu has computed a part of it for the device. */
  readonly fallback?: boolean;
}

/** Runs one case, whatever it does. */
export async function outcomeOf(unit: string, id: string, run: () => Promise<void>): Promise<Outcome> {
  try {
    await run();
    return { unit, id, status: "passed", reason: "" };
  } catch (error) {
    return { unit, id, status: error instanceof Skip ? "skipped" : "failed", reason: describeError(error) };
  }
}

/** Does a part of a case; what goes wrong in it is reported under its name. */
export async function part<T>(name: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Skip) throw error;
    throw new Failure(`${name}: ${describeError(error)}`);
  }
}

export function describeError(error: unknown): string {
  if (error instanceof Failure || error instanceof Skip) return error.message;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
  const line = text.replace(/\s+/g, " ");
  const short = line.length > 300 ? `${line.slice(0, 300)}…` : line;
  return isAccident(error) ? `internal error: ${short}` : short;
}

/** What the JavaScript engine itself says when code trips over an unexpected value. */
const ENGINE_MESSAGES =
  /Cannot (read|set) propert|Cannot (destructure|access '|mix BigInt|convert (undefined|a BigInt|a Symbol))|is not (a function|a constructor|iterable|defined)|object is not extensible|read only property|Invalid (array|typed array|DataView) length|Reduce of empty array|Class constructor|out of bounds|unreachable|indirect call/;

/** Whether an error is nobody's decision: a wasm trap, or JavaScript failing on a value that no check has caught. */
export function isAccident(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  if (error instanceof WebAssembly.RuntimeError) return true;
  if (error instanceof RangeError || error instanceof ReferenceError || error instanceof SyntaxError) return true;
  return error.name === "TypeError" && ENGINE_MESSAGES.test(error.message);
}
