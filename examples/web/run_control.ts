/** Pausing and stopping a training loop from outside, and the clock that counts its steps. */

/** Thrown into a training loop that is to end. */
export class Stopped extends Error {
  override name = "Stopped";
}

/** Resolves in a later task of the event loop, so that messages come in between. Unlike setTimeout, it is never slowed down. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

export class RunControl {
  #stopped = false;
  #paused = false;
  #wake: (() => void) | undefined;

  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }
  stop(): void {
    this.#stopped = true;
    this.resume();
  }

  /** Awaited between two steps: lets messages in, waits while paused (having said so), throws `Stopped` when stopped. */
  async checkpoint(onPause?: () => void): Promise<void> {
    await turn();
    if (this.#paused && !this.#stopped) onPause?.();
    while (this.#paused && !this.#stopped) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#stopped) throw new Stopped();
  }
}

/** How long the speed's window is, in milliseconds. */
const WINDOW = 2000;

/** Counts time in which something was computed, and the speed of the last two seconds. */
export class StepClock {
  #active = 0;
  #last: number | undefined;
  readonly #ends: number[] = [];

  get seconds(): number {
    return this.#active / 1000;
  }
  /** A step begins, or goes on after a pause. */
  start(): void {
    this.#last = performance.now();
  }
  /** A step ended. */
  step(): void {
    const now = performance.now();
    this.#active += now - (this.#last ?? now);
    this.#last = now;
    this.#ends.push(this.#active);
    while (this.#ends.length > 2 && this.#ends[0]! < this.#active - WINDOW) this.#ends.shift();
  }
  get stepsPerSecond(): number {
    const span = this.#active - (this.#ends[0] ?? 0);
    if (this.#ends.length < 2) return this.#active > 0 ? 1000 / this.#active : 0;
    return ((this.#ends.length - 1) * 1000) / Math.max(span, 1e-3);
  }
}
