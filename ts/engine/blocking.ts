/**
 * Reading values in the middle of synchronous code, on devices whose memory can only be read asynchronously. The code is run until it
 * wants values that are not there; they are waited for, and it is run again from its start, this time with them.
 */

import type { Buffer, Device } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";

/** What a run of `fn` has been given so far, in the order of its questions. */
interface Replay {
  readonly answers: Uint8Array[];
  asked: number;
}

/** Thrown through the code that is to be run again. */
class Suspension {
  constructor(readonly answer: Promise<Uint8Array>) {}
}

let current: Replay | null = null;
/** State that must be as it was when the code runs again: each saves, and returns how to restore. */
const replayed: (() => () => void)[] = [];

/** @internal */
export function onReplay(save: () => () => void): void {
  replayed.push(save);
}

/** @internal Whether values of a device can be read right now: always where reading is synchronous, else within `blocking`. */
export function readable(device: Device): boolean {
  return device.caps.readSync || current !== null;
}

/** @internal Whether what runs now may be run again from its start: what cannot be done twice is left to its end. */
export function replaying(): boolean {
  return current !== null;
}

/** @internal The bytes, now; `what` is the op that wants them. */
export function readNow(what: string, device: Device, buffer: Buffer, byteOffset: number, nbytes: number): Uint8Array {
  if (device.readSync !== undefined) return device.readSync(buffer, byteOffset, nbytes);
  if (current === null) {
    throw new RuntimeError(
      `${what}: values on ${device.type} can only be read asynchronously. Use "await t.item()", "await t.tolist()" or "await t.data()"; to move a tensor or a module, "await x.to_async(device)"; where an op needs values itself (a shape that depends on them, as in nonzero), "await torch.blocking(() => ...)"`,
    );
  }
  const known = current.answers[current.asked];
  if (known === undefined) throw new Suspension(device.read(buffer, byteOffset, nbytes));
  current.asked++;
  return known;
}

/**
 * Runs `fn`, in which values may be read synchronously on every device: `item_sync`, and ops whose shape depends on values (`nonzero`,
 * `masked_select`, `unique`). On devices that cannot, `fn` is run again from its start after each value that it waits for, with
 * random streams set back: it should change nothing in place before its last such value. Only what `fn` does before it returns counts.
 */
export async function blocking<T>(fn: () => T): Promise<Awaited<T>> {
  const answers: Uint8Array[] = [];
  for (;;) {
    const restore = replayed.map((save) => save());
    const attempt = tryOnce(fn, answers);
    if (!(attempt instanceof Suspension)) return await attempt;
    for (const back of restore) back();
    answers.push(await attempt.answer);
  }
}

function tryOnce<T>(fn: () => T, answers: Uint8Array[]): T | Suspension {
  const outer = current;
  current = { answers, asked: 0 };
  try {
    return fn();
  } catch (error) {
    if (error instanceof Suspension) return error;
    throw error;
  } finally {
    current = outer;
  }
}
