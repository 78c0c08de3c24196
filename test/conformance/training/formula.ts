/** Evaluates the arithmetic of Python in which a corpus writes `lr_lambda`: `0.95 ** (step // 10) if step < 30 else 0.1`. */

import { Failure } from "../outcome.ts";

const CONSTANTS: Readonly<Record<string, number>> = { pi: Math.PI, e: Math.E, inf: Infinity };
const FUNCTIONS: Readonly<Record<string, (...x: number[]) => number>> = {
  cos: Math.cos,
  sin: Math.sin,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  abs: Math.abs,
  min: Math.min,
  max: Math.max,
  floor: Math.floor,
  ceil: Math.ceil,
  int: Math.trunc,
  float: (x) => x,
};

type Node = (names: Readonly<Record<string, number>>) => number;

/** A function of the names that the text leaves open. */
export function formula(text: string): Node {
  const tokens = [...text.matchAll(/\s*(\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|[A-Za-z_][\w.]*|\*\*|\/\/|[<>=!]=|[-+*/%()<>,])/gy)].map(
    (m) => m[1],
  );
  if (tokens.join("") !== text.replace(/\s/g, "")) throw new Failure(`cannot read the formula "${text}"`);
  let at = 0;

  const take = (...options: string[]): string | null => (options.includes(tokens[at]) ? tokens[at++] : null);
  const need = (token: string): void => {
    if (take(token) === null) throw new Failure(`cannot read the formula "${text}": expected "${token}"`);
  };
  /** Operators of one strength, from the left. */
  const chain = (next: () => Node, operators: Readonly<Record<string, (a: number, b: number) => number>>) => (): Node => {
    let left = next();
    for (let op = take(...Object.keys(operators)); op !== null; op = take(...Object.keys(operators))) {
      const [a, b, apply] = [left, next(), operators[op]];
      left = (names) => apply(a(names), b(names));
    }
    return left;
  };

  const atom = (): Node => {
    if (take("(") !== null) {
      const inner = conditional();
      need(")");
      return inner;
    }
    const token = tokens[at++] ?? "";
    if (/^[\d.]/.test(token)) return () => Number(token);
    const name = token.replace(/^math\./, "");
    if (take("(") !== null) {
      const fn = FUNCTIONS[name];
      if (fn === undefined) throw new Failure(`cannot read the formula "${text}": no function "${token}"`);
      const args = [conditional()];
      while (take(",") !== null) args.push(conditional());
      need(")");
      return (names) => fn(...args.map((arg) => arg(names)));
    }
    return (names) => {
      const value = names[name] ?? CONSTANTS[name];
      if (value === undefined) throw new Failure(`cannot read the formula "${text}": no name "${token}"`);
      return value;
    };
  };
  // As in Python, ** binds tighter than a sign on its left and looser than one on its right, and goes from the right.
  const power = (): Node => {
    const base = atom();
    if (take("**") === null) return base;
    const exponent = unary();
    return (names) => base(names) ** exponent(names);
  };
  const unary = (): Node => {
    const sign = take("-", "+");
    if (sign === null) return power();
    const of = unary();
    return sign === "-" ? (names) => -of(names) : of;
  };
  const product = chain(unary, {
    "*": (a, b) => a * b,
    "/": (a, b) => a / b,
    "//": (a, b) => Math.floor(a / b),
    "%": (a, b) => a - b * Math.floor(a / b),
  });
  const sum = chain(product, { "+": (a, b) => a + b, "-": (a, b) => a - b });
  const comparison = chain(sum, {
    "<": (a, b) => Number(a < b),
    "<=": (a, b) => Number(a <= b),
    ">": (a, b) => Number(a > b),
    ">=": (a, b) => Number(a >= b),
    "==": (a, b) => Number(a === b),
    "!=": (a, b) => Number(a !== b),
  });
  const conditional = (): Node => {
    const value = comparison();
    if (take("if") === null) return value;
    const test = comparison();
    need("else");
    const other = conditional();
    return (names) => (test(names) !== 0 ? value(names) : other(names));
  };

  const whole = conditional();
  if (at !== tokens.length) throw new Failure(`cannot read the formula "${text}" after "${tokens.slice(0, at).join(" ")}"`);
  return whole;
}
