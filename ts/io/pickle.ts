/**
 * Python's pickles, protocols 2 to 5, read without running anything: what a pickle names is looked up by its host, which knows a few
 * functions of ours and refuses all else. Dicts become Maps, lists and tuples arrays.
 */

import { Truncated, UnpicklingError } from "./format.ts";

/** What a pickle may call: a function of ours under the name it has in Python. */
export class PickleFunction {
  constructor(
    readonly name: string,
    readonly call: (...args: unknown[]) => unknown,
  ) {}
}

export interface PickleHost {
  /** What MODULE.NAME stands for; throws UnpicklingError where it stands for nothing. */
  global(module: string, name: string): unknown;
  /** What a persistent id stands for: a storage. */
  persistent(id: unknown): unknown;
}

/** What an error may call a value. */
export function pythonType(x: unknown): string {
  if (x === null) return "None";
  if (Array.isArray(x)) return "a list";
  if (x instanceof Map) return "a dict";
  if (x instanceof Set) return "a set";
  if (x instanceof PickleFunction) return x.name;
  if (typeof x === "object") return x.constructor.name;
  if (typeof x === "string") return x.length > 40 ? "text" : `'${x}'`;
  return typeof x === "number" || typeof x === "bigint" || typeof x === "boolean" ? String(x) : typeof x;
}

/** Longest integer; Python has no limit, files that mean well stay far below. */
const MOST_INTEGER_BYTES = 1024;

/** Little-endian two's complement. */
function integer(bytes: Uint8Array): number | bigint {
  if (bytes.length === 0) return 0;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).reverse();
  return whole(BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex.join("")}`)));
}

/** As a number where that is exact. */
export function whole(value: bigint): number | bigint {
  const n = Number(value);
  return Number.isSafeInteger(n) ? n : value;
}

/** What a function that copies its argument has to copy. */
function sizeOf(x: unknown): number {
  if (typeof x === "string" || Array.isArray(x) || x instanceof Uint8Array) return x.length;
  return x instanceof Map || x instanceof Set ? x.size : 0;
}

export interface Unpickled {
  readonly value: unknown;
  /** Where the pickle ends. */
  readonly end: number;
}

/** Reads the pickle that begins at `start`. */
export function unpickle(bytes: Uint8Array, start: number, host: PickleHost): Unpickled {
  return new Unpickler(bytes, start, host).run();
}

class Unpickler {
  private at: number;
  private readonly data: DataView;
  private readonly text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  private readonly stack: unknown[] = [];
  /** Heights of the stack at open marks. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, unknown>();
  /** Items that functions may still copy: a pickle that means well copies what it holds once. */
  private copies: number;

  constructor(
    private readonly bytes: Uint8Array,
    start: number,
    private readonly host: PickleHost,
  ) {
    this.at = start;
    this.copies = bytes.length + (1 << 16);
    this.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  private take(n: number): number {
    const from = this.at;
    if (n > this.bytes.length - from) throw new Truncated(`pickle: ${n} bytes were expected at ${from}, there are fewer`);
    this.at += n;
    return from;
  }
  private byte(): number {
    return this.bytes[this.take(1)]!;
  }
  private uint16(): number {
    return this.data.getUint16(this.take(2), true);
  }
  private uint32(): number {
    return this.data.getUint32(this.take(4), true);
  }
  private uint64(): number {
    const n = this.data.getBigUint64(this.take(8), true);
    if (n > BigInt(Number.MAX_SAFE_INTEGER)) throw new UnpicklingError(`pickle: a length of ${n}`);
    return Number(n);
  }
  private raw(n: number): Uint8Array {
    const from = this.take(n);
    return this.bytes.subarray(from, from + n);
  }
  private string(n: number): string {
    const raw = this.raw(n);
    try {
      return this.text.decode(raw);
    } catch {
      throw new UnpicklingError(`pickle: text at ${this.at - n} is not UTF-8`);
    }
  }
  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new Truncated("pickle: a line has no end");
    const line = this.string(end - this.at);
    this.at++;
    return line;
  }
  private long(n: number): number | bigint {
    if (n > MOST_INTEGER_BYTES) throw new UnpicklingError(`pickle: an integer of ${n} bytes`);
    return integer(this.raw(n));
  }

  private pop(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw new UnpicklingError(`pickle: the stack is empty at ${this.at - 1}`);
    return this.stack.pop();
  }
  private top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw new UnpicklingError(`pickle: the stack is empty at ${this.at - 1}`);
    return this.stack[this.stack.length - 1];
  }
  private popMark(): unknown[] {
    const from = this.marks.pop();
    if (from === undefined) throw new UnpicklingError(`pickle: there is no mark at ${this.at - 1}`);
    return this.stack.splice(from);
  }
  private popMany(n: number): unknown[] {
    const items = Array.from({ length: n }, () => this.pop());
    return items.reverse();
  }

  private recall(index: number): unknown {
    if (!this.memo.has(index)) throw new UnpicklingError(`pickle: nothing is remembered as ${index}`);
    return this.memo.get(index);
  }

  private dict(items: readonly unknown[], into: unknown): void {
    if (!(into instanceof Map)) throw new UnpicklingError(`pickle: items are set on ${pythonType(into)}, which is no dict`);
    if (items.length % 2 !== 0) throw new UnpicklingError("pickle: a dict's key has no value");
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (key instanceof Map || key instanceof Set) throw new UnpicklingError(`pickle: ${pythonType(key)} as a dict's key`);
      into.set(key, items[i + 1]);
    }
  }
  private append(items: readonly unknown[], to: unknown): void {
    if (!Array.isArray(to)) throw new UnpicklingError(`pickle: items are appended to ${pythonType(to)}, which is no list`);
    for (const item of items) to.push(item);
  }
  private add(items: readonly unknown[], to: unknown): void {
    if (!(to instanceof Set)) throw new UnpicklingError(`pickle: items are added to ${pythonType(to)}, which is no set`);
    for (const item of items) to.add(item);
  }

  private call(fn: unknown, args: unknown): unknown {
    if (!(fn instanceof PickleFunction)) throw new UnpicklingError(`pickle: ${pythonType(fn)} is called, which is no function`);
    if (!Array.isArray(args)) throw new UnpicklingError(`pickle: ${fn.name} is called with ${pythonType(args)} as arguments`);
    if (args.length > 16) throw new UnpicklingError(`pickle: ${fn.name} is called with ${args.length} arguments`);
    for (const arg of args as unknown[]) this.copies -= sizeOf(arg);
    if (this.copies < 0) throw new UnpicklingError("pickle: it copies one list again and again");
    return fn.call(...(args as unknown[]));
  }

  /** Attributes of an ordered dict (a state_dict's _metadata) are passed over; nothing else may have any. */
  private build(target: unknown): void {
    if (!(target instanceof Map)) throw new UnpicklingError(`pickle: attributes are set on ${pythonType(target)}`);
  }

  private global(module: string, name: string): unknown {
    return this.host.global(module, name);
  }

  run(): Unpickled {
    for (;;) {
      const at = this.at;
      const op = this.byte();
      if (op === 0x2e) break; // STOP
      this.step(op, at);
    }
    const value = this.pop();
    return { value, end: this.at };
  }

  private step(op: number, at: number): void {
    const { stack } = this;
    switch (op) {
      case 0x80: {
        const protocol = this.byte();
        if (protocol > 5) throw new UnpicklingError(`pickle: protocol ${protocol}; 2 to 5 are supported`);
        return;
      }
      case 0x95: // FRAME
        return void this.take(8);
      case 0x28: // MARK
        return void this.marks.push(stack.length);
      case 0x30: // POP
        if (stack.length === this.marks.at(-1)) this.marks.pop();
        else this.pop();
        return;
      case 0x31: // POP_MARK
        return void this.popMark();
      case 0x32: // DUP
        return void stack.push(this.top());
      case 0x4e:
        return void stack.push(null);
      case 0x88:
        return void stack.push(true);
      case 0x89:
        return void stack.push(false);

      case 0x4a: // BININT
        return void stack.push(this.data.getInt32(this.take(4), true));
      case 0x4b: // BININT1
        return void stack.push(this.byte());
      case 0x4d: // BININT2
        return void stack.push(this.uint16());
      case 0x8a: // LONG1
        return void stack.push(this.long(this.byte()));
      case 0x8b: // LONG4
        return void stack.push(this.long(this.uint32()));
      case 0x47: // BINFLOAT
        return void stack.push(this.data.getFloat64(this.take(8), false));

      case 0x58: // BINUNICODE
      case 0x54: // BINSTRING
        return void stack.push(this.string(this.uint32()));
      case 0x8c: // SHORT_BINUNICODE
      case 0x55: // SHORT_BINSTRING
        return void stack.push(this.string(this.byte()));
      case 0x8d: // BINUNICODE8
        return void stack.push(this.string(this.uint64()));
      case 0x42: // BINBYTES
        return void stack.push(this.raw(this.uint32()).slice());
      case 0x43: // SHORT_BINBYTES
        return void stack.push(this.raw(this.byte()).slice());
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return void stack.push(this.raw(this.uint64()).slice());

      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return void stack.push([]);
      case 0x7d: // EMPTY_DICT
        return void stack.push(new Map());
      case 0x8f: // EMPTY_SET
        return void stack.push(new Set());
      case 0x6c: // LIST
      case 0x74: // TUPLE
        return void stack.push(this.popMark());
      case 0x85: // TUPLE1 to TUPLE3
      case 0x86:
      case 0x87:
        return void stack.push(this.popMany(op - 0x84));
      case 0x64: {
        // DICT
        const made = new Map();
        this.dict(this.popMark(), made);
        return void stack.push(made);
      }
      case 0x91: {
        // FROZENSET
        const made = new Set();
        this.add(this.popMark(), made);
        return void stack.push(made);
      }
      case 0x61: {
        // APPEND
        const item = this.pop();
        return this.append([item], this.top());
      }
      case 0x65: {
        // APPENDS
        const items = this.popMark();
        return this.append(items, this.top());
      }
      case 0x73: {
        // SETITEM
        const items = this.popMany(2);
        return this.dict(items, this.top());
      }
      case 0x75: {
        // SETITEMS
        const items = this.popMark();
        return this.dict(items, this.top());
      }
      case 0x90: {
        // ADDITEMS
        const items = this.popMark();
        return this.add(items, this.top());
      }

      case 0x68: // BINGET
        return void stack.push(this.recall(this.byte()));
      case 0x6a: // LONG_BINGET
        return void stack.push(this.recall(this.uint32()));
      case 0x71: // BINPUT
        return void this.memo.set(this.byte(), this.top());
      case 0x72: // LONG_BINPUT
        return void this.memo.set(this.uint32(), this.top());
      case 0x94: // MEMOIZE
        return void this.memo.set(this.memo.size, this.top());

      case 0x63: {
        // GLOBAL
        const module = this.line();
        return void stack.push(this.global(module, this.line()));
      }
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.popMany(2);
        if (typeof module !== "string" || typeof name !== "string") {
          throw new UnpicklingError(`pickle: ${pythonType(module)} and ${pythonType(name)} name no global`);
        }
        return void stack.push(this.global(module, name));
      }
      case 0x69: {
        // INST
        const module = this.line();
        this.global(module, this.line());
        return this.refuse(op, at);
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [fn, args] = this.popMany(2);
        return void stack.push(this.call(fn, args));
      }
      case 0x92: {
        // NEWOBJ_EX
        const [fn, args, named] = this.popMany(3);
        if (!(named instanceof Map) || named.size > 0)
          throw new UnpicklingError("pickle: a class is called with keyword arguments");
        return void stack.push(this.call(fn, args));
      }
      case 0x62: // BUILD
        this.pop();
        return this.build(this.top());
      case 0x51: // BINPERSID
        return void stack.push(this.host.persistent(this.pop()));
      default:
        this.refuse(op, at);
    }
  }

  private refuse(op: number, at: number): never {
    const hex = op.toString(16).padStart(2, "0");
    throw new UnpicklingError(`pickle: 0x${hex} at ${at} is no instruction for plain data in protocols 2 to 5`);
  }
}
