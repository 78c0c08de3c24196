/** Plain data as a pickle of protocol 2, the way torch.save writes it. */

import { Complex, FloatScalar } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import { concat } from "./format.ts";

const BATCH = 1 << 16;

/** Writes what a value of ours, such as a tensor, is in a pickle; false where it is none of them. */
export type PickleObject = (value: object, pickle: PickleWriter) => boolean;

/** Levels of lists and dicts in each other. */
const MOST_DEPTH = 500;

export class PickleWriter {
  private readonly parts: Uint8Array[] = [];
  private buffer = new Uint8Array(BATCH);
  private used = 0;
  private readonly memo = new Map<unknown, number>();
  private depth = 0;

  constructor(private readonly object: PickleObject) {
    this.bytes(0x80, 2);
  }

  finish(): Uint8Array {
    this.bytes(0x2e);
    this.flush();
    return concat(this.parts);
  }

  private flush(): void {
    this.parts.push(this.buffer.subarray(0, this.used));
    this.buffer = new Uint8Array(BATCH);
    this.used = 0;
  }
  private raw(bytes: Uint8Array): void {
    if (this.used + bytes.length > this.buffer.length) {
      this.flush();
      if (bytes.length > BATCH) return void this.parts.push(bytes);
    }
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
  }
  bytes(...bytes: number[]): void {
    this.raw(Uint8Array.from(bytes));
  }
  private uint32(op: number, value: number): void {
    this.bytes(op, value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24);
  }

  /** Pushes what has been written before; false when it has not. */
  private recall(key: unknown): boolean {
    const index = this.memo.get(key);
    if (index === undefined) return false;
    if (index < 256) this.bytes(0x68, index);
    else this.uint32(0x6a, index);
    return true;
  }
  private remember(key: unknown): void {
    const index = this.memo.size;
    this.memo.set(key, index);
    if (index < 256) this.bytes(0x71, index);
    else this.uint32(0x72, index);
  }

  global(module: string, name: string): void {
    const key = `${module}\n${name}\n`;
    const at = `global ${key}`;
    if (this.recall(at)) return;
    this.bytes(0x63);
    this.raw(new TextEncoder().encode(key));
    this.remember(at);
  }
  string(text: string): void {
    const key = `text ${text}`;
    if (text.length < 200 && this.recall(key)) return;
    const bytes = new TextEncoder().encode(text);
    this.uint32(0x58, bytes.length);
    this.raw(bytes);
    if (text.length < 200) this.remember(key);
  }
  integer(value: number | bigint): void {
    if (value >= 0 && value < 256) return this.bytes(0x4b, Number(value));
    if (value >= -(2 ** 31) && value < 2 ** 31) return this.uint32(0x4a, Number(value));
    let bits = 8;
    while (BigInt.asIntN(bits, BigInt(value)) !== BigInt(value)) bits += 8;
    if (bits / 8 > 255) throw new ValueError(`save: an integer of ${bits} bits`);
    const bytes: number[] = [];
    for (let i = 0; i < bits; i += 8) bytes.push(Number((BigInt(value) >> BigInt(i)) & 255n));
    this.bytes(0x8a, bytes.length, ...bytes);
  }
  float(value: number): void {
    const data = new DataView(new ArrayBuffer(8));
    data.setFloat64(0, value, false);
    this.bytes(0x47);
    this.raw(new Uint8Array(data.buffer));
  }
  /** A tuple that is written by `items`. */
  tuple(items: () => void): void {
    this.bytes(0x28);
    items();
    this.bytes(0x74);
  }
  /** The items on the stack become the arguments of the function below them. */
  call(module: string, name: string, args: () => void): void {
    this.global(module, name);
    this.tuple(args);
    this.bytes(0x52);
  }

  write(value: unknown, path: string): void {
    if (value === null || value === undefined) this.bytes(0x4e);
    else if (typeof value === "boolean") this.bytes(value ? 0x88 : 0x89);
    else if (typeof value === "number") {
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.integer(value);
      else this.float(value);
    } else if (typeof value === "bigint") this.integer(value);
    else if (typeof value === "string") this.string(value);
    else if (value instanceof FloatScalar) this.float(value.value);
    else if (value instanceof Complex) {
      this.call("builtins", "complex", () => {
        this.float(value.re);
        this.float(value.im);
      });
    } else if (typeof value === "object") this.container(value, path);
    else throw refusal(value, path);
  }

  private container(value: object, path: string): void {
    if (this.recall(value)) return;
    if (++this.depth > MOST_DEPTH) throw new ValueError(`save: ${path} lies ${MOST_DEPTH} levels deep`);
    if (Array.isArray(value)) {
      this.bytes(0x5d);
      this.remember(value);
      this.filled(0x65, value.entries(), ([i, item]) => this.write(item, `${path}[${i}]`));
    } else if (value instanceof Map) this.dict(value, value.entries() as Iterable<[unknown, unknown]>, path);
    else if (value instanceof Set) {
      this.call("builtins", "set", () => this.write([...(value as Set<unknown>)], path));
      this.remember(value);
    } else if (value instanceof Uint8Array) {
      // How protocol 2 spells bytes.
      let text = "";
      for (const byte of value) text += String.fromCharCode(byte);
      this.call("_codecs", "encode", () => {
        this.string(text);
        this.string("latin1");
      });
      this.remember(value);
    } else if (this.object(value, this)) this.remember(value);
    else if (isPlain(value)) this.dict(value, entriesOf(value), path);
    else throw refusal(value, path);
    this.depth--;
  }

  private dict(value: object, entries: Iterable<[unknown, unknown]>, path: string): void {
    this.bytes(0x7d);
    this.remember(value);
    this.filled(0x75, entries, ([key, item]) => {
      const name = typeof key === "object" && key !== null ? "…" : String(key);
      if (typeof key === "object" && key !== null && !Array.isArray(key)) throw refusal(key, `a key of ${path}`);
      if (Array.isArray(key)) this.tuple(() => key.forEach((part) => this.write(part, `a key of ${path}`)));
      else this.write(key, `a key of ${path}`);
      this.write(item, `${path}[${name}]`);
    });
  }

  /** A mark, the items, and the instruction that takes them; nothing for none. */
  private filled<T>(op: number, items: Iterable<T>, write: (item: T) => void): void {
    let open = false;
    for (const item of items) {
      if (!open) this.bytes(0x28);
      open = true;
      write(item);
    }
    if (open) this.bytes(op);
  }
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
}

/** An optimizer's state is by numbers, which JavaScript's objects turn into text. */
function entriesOf(value: object): [unknown, unknown][] {
  const entries: [string, unknown][] = Object.entries(value);
  const { state, param_groups } = value as Record<string, unknown>;
  if (!Array.isArray(param_groups) || typeof state !== "object" || state === null || !isPlain(state)) return entries;
  const numbered = Object.entries(state).map(([k, v]): [unknown, unknown] => [/^(0|[1-9]\d{0,14})$/.test(k) ? Number(k) : k, v]);
  return entries.map(([key, item]) => [key, key === "state" ? new Map(numbered) : item]);
}

function refusal(value: unknown, path: string): ValueError {
  // Modules can be called, so they are functions, too.
  const stateful = typeof (value as { state_dict?: unknown }).state_dict === "function";
  const what = stateful || typeof value === "object" ? (value as object).constructor.name : typeof value;
  const advice = stateful ? "; save its state_dict() instead" : "";
  return new ValueError(
    `save: ${path} is of type ${what}; expected tensors, numbers, text, booleans, null, arrays, plain objects, Maps, Sets or bytes${advice}`,
  );
}
