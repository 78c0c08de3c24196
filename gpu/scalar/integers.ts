/** Integer operations of i32 and i64 that are more than one instruction. Values wrap. */

import type { Func } from "../ir.ts";
import { type Block, defineFunc, type V } from "../builder.ts";
import type { Emit } from "./basics.ts";

const BITS = { i32: 32, i64: 64 } as const;
type Integer = keyof typeof BITS;

const typeOf = (v: V): Integer => v.scalar as Integer;

/** A helper function, once per integer type. */
function func(name: string, arity: number, body: Emit): Emit {
  const made: Partial<Record<Integer, Func>> = {};
  return (b, ...args) => {
    const type = typeOf(args[0]!);
    const f = (made[type] ??= defineFunc(
      `${name}_${type}`,
      Array.from({ length: arity }, () => type),
      body,
    ));
    return b.call(f, ...args);
  };
}

/** A divisor of 0 or -1 traps or is undefined somewhere: 1 stands for it. */
function safe(b: Block, y: V): V {
  return y.eq(0).or(y.eq(-1)).select(b.const(1, y.scalar), y);
}

/** Truncates; x / 0 is 0. */
export function divide(b: Block, x: V, y: V): V {
  const q = x.div(safe(b, y));
  return y.eq(-1).select(x.neg(), y.eq(0).select(b.const(0, x.scalar), q));
}

/** C's remainder; that of a divisor of 0 is 0. */
export function rest(b: Block, x: V, y: V): V {
  return x.rem(safe(b, y));
}

const misplaced = (mod: V, y: V): V => mod.ne(0).and(mod.lt(0).ne(y.lt(0)));

export function floorDivide(b: Block, x: V, y: V): V {
  const q = divide(b, x, y);
  return misplaced(rest(b, x, y), y).select(q.sub(1), q);
}

export function remainder(b: Block, x: V, y: V): V {
  const mod = rest(b, x, y);
  return misplaced(mod, y).select(mod.add(y), mod);
}

/** A negative exponent leaves 1 / base, which is 0 unless base is 1 or -1. */
export const pow = func("pow", 2, (b, x, y) => {
  const base = b.var(x!);
  const result = b.var(b.const(1, x!.scalar));
  const left = b.var(y!.max(0));
  b.while(
    () => left.get().ne(0),
    () => {
      const odd = left.get().and(1).ne(0);
      result.set(odd.select(result.get().mul(base.get()), result.get()));
      base.set(base.get().mul(base.get()));
      left.set(left.get().shr(1));
    },
  );
  const one = b.const(1, x!.scalar);
  const inverse = x!.eq(1).select(one, x!.eq(-1).select(y!.and(1).ne(0).select(one.neg(), one), b.const(0, x!.scalar)));
  return y!.lt(0).select(inverse, result.get());
});

export const gcd = func("gcd", 2, (b, x, y) => {
  const p = b.var(x!.abs());
  const q = b.var(y!.abs());
  b.while(
    () => q.get().ne(0),
    () => {
      const r = rest(b, p.get(), q.get());
      p.set(q.get());
      q.set(r);
    },
  );
  return p.get().abs();
});

const shiftable = (y: V, bits: number): V => y.ge(0).and(y.lt(bits));

/** Counts outside of [0, bits) give 0. */
export function shiftLeft(b: Block, x: V, y: V): V {
  const bits = BITS[typeOf(x)];
  return shiftable(y, bits).select(x.shl(y.and(bits - 1).convert("u32")), b.const(0, x.scalar));
}

/** Counts outside of [0, bits) give the sign. */
export function shiftRight(b: Block, x: V, y: V): V {
  const bits = BITS[typeOf(x)];
  return x.shr(
    shiftable(y, bits)
      .select(y, b.const(bits - 1, x.scalar))
      .convert("u32"),
  );
}
