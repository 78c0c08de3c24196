/** Calls that must fail, with an error of the right class and a message that somebody wrote. */

import { describeError, Failure, isAccident, Missing } from "./outcome.ts";
import type { Constructor, Session } from "./session.ts";

export interface ErrorSpec {
  readonly type: string;
  readonly message: string;
}

/** Runs a call that must fail. `mayPass`: the library is free to accept it. Throws a Failure where it does otherwise. */
export async function expectError(
  session: Session,
  want: ErrorSpec,
  mayPass: boolean,
  run: () => Promise<unknown>,
): Promise<void> {
  const thrown = await caught(run);
  if (thrown === null) {
    if (mayPass) return;
    throw new Failure(`did not fail; want ${want.type}: ${want.message}`);
  }
  const { error } = thrown;
  if (error instanceof Missing) throw error;
  if (isAccident(error)) throw new Failure(describeError(error));
  // Where the library need not fail, its reason for failing is its own as well.
  if (!mayPass && !isOfType(session, error, want.type)) {
    throw new Failure(`failed with ${describeError(error)}; want ${want.type}: ${want.message}`);
  }
}

/** What `run` throws, wrapped so that `null` says: nothing. */
export async function caught(run: () => Promise<unknown>): Promise<{ error: unknown } | null> {
  try {
    await run();
    return null;
  } catch (error) {
    return { error };
  }
}

/** Whether an error is of the class that PyTorch names, or of one derived from it. */
function isOfType(session: Session, error: unknown, type: string): boolean {
  const ours = type === "TypeError" ? TypeError : session.torch[type];
  if (typeof ours === "function" && error instanceof (ours as Constructor)) return true;
  return error instanceof Error && error.name === type;
}
