/** Tensors as text, exactly as PyTorch shows them. */

import { bool, type Complex, get_default_dtype, int64, type DType } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { get_default_device } from "./devices.ts";
import { cat } from "./joining.ts";
import { nested, type NestedNumbers } from "./values.ts";

interface Style {
  precision: number;
  threshold: number;
  edgeitems: number;
  linewidth: number;
  sci_mode: boolean | null;
}

const DEFAULT: Style = { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80, sci_mode: null };
const PROFILES: Readonly<Record<string, Style>> = {
  default: DEFAULT,
  short: { ...DEFAULT, precision: 2, edgeitems: 2 },
  full: { ...DEFAULT, threshold: Infinity },
};
const style: Style = { ...DEFAULT };

export interface PrintOptions extends Partial<Style> {
  /** `default`, `short` or `full`. */
  profile?: string | null;
}

/** How tensors are shown: as torch.set_printoptions. `sci_mode: null` leaves the choice to the values. */
export function set_printoptions({ profile = null, sci_mode = null, ...rest }: PrintOptions): void {
  if (profile !== null) {
    const known = PROFILES[profile];
    if (known === undefined) throw new ValueError(`set_printoptions: profile must be default, short or full, got ${profile}`);
    Object.assign(style, known);
  }
  for (const [key, value] of Object.entries(rest)) {
    if (!(key in DEFAULT)) throw new TypeError(`set_printoptions() got an unexpected keyword argument '${key}'`);
    if (value !== undefined) Object.assign(style, { [key]: value });
  }
  style.sci_mode = sci_mode;
}

// Numbers as Python writes them: ties go to the even digit, and zero keeps its sign.

const EXTRA = 30;

/** Rounds the digits of `long`, which ends in EXTRA more than wanted; `short` is JavaScript's own rounding. */
function halfEven(short: string, long: string): string {
  const cut = long.slice(0, -EXTRA);
  const isTie = long.slice(-EXTRA) === "5".padEnd(EXTRA, "0");
  return isTie && Number(cut.at(-1) === "." ? cut.at(-2) : cut.at(-1)) % 2 === 0 ? cut.replace(/\.$/, "") : short;
}

const sign = (x: number): string => (x < 0 || Object.is(x, -0) ? "-" : "");

function special(x: number): string | null {
  if (Number.isNaN(x)) return "nan";
  return Number.isFinite(x) ? null : x > 0 ? "inf" : "-inf";
}

/** `{:.nf}` */
function fixed(x: number, digits: number): string {
  const a = Math.abs(x);
  if (a >= 1e21 && a < Infinity) return `${sign(x)}${BigInt(a)}${digits > 0 ? `.${"0".repeat(digits)}` : ""}`;
  return special(x) ?? sign(x) + halfEven(a.toFixed(digits), a.toFixed(digits + EXTRA));
}

/** `{:.ne}` */
function scientific(x: number, digits: number): string {
  const a = Math.abs(x);
  const text = special(x);
  if (text !== null) return text;
  const [short, exponent] = a.toExponential(digits).split("e") as [string, string];
  const [long, other] = a.toExponential(digits + EXTRA).split("e") as [string, string];
  const mantissa = exponent === other ? halfEven(short, long) : short;
  return `${sign(x)}${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

type Value = number | bigint | boolean;

function plain(x: Value): string {
  if (typeof x === "boolean") return x ? "True" : "False";
  return String(x);
}

/** One format for all numbers of a tensor, so that they line up. */
class Formatter implements Format {
  private readonly write: (x: Value) => string;
  readonly width: number;

  constructor(dtype: DType, values: readonly Value[]) {
    const { precision } = style;
    const widest = (text: (x: Value) => string, of: readonly Value[]): number =>
      of.reduce<number>((w, x) => Math.max(w, text(x).length), 1);
    if (!dtype.is_floating_point) {
      this.write = plain;
      this.width = widest(plain, values);
      return;
    }
    const finite = (values as readonly number[]).filter((x) => Number.isFinite(x) && x !== 0);
    const magnitudes = finite.map(Math.abs);
    const least = magnitudes.reduce((a, b) => Math.min(a, b), Infinity);
    const most = magnitudes.reduce((a, b) => Math.max(a, b), 0);
    const whole = finite.every(Number.isInteger);
    const wide = finite.length > 0 && (most / least > 1000 || most > 1e8 || (!whole && least < 1e-4));
    const asScientific = (x: Value): string => scientific(x as number, precision);
    const asWhole = (x: Value): string => fixed(x as number, 0) + (Number.isFinite(x) ? "." : "");
    const asFixed = (x: Value): string => fixed(x as number, precision);
    this.width = widest(wide ? asScientific : whole ? asWhole : asFixed, finite);
    this.write = (style.sci_mode ?? wide) ? asScientific : whole ? asWhole : asFixed;
  }

  format(x: Value | Complex): string {
    return this.write(x as Value).padStart(this.width);
  }
}

/** How numbers of a tensor become text of one width. */
interface Format {
  readonly width: number;
  format(x: Value | Complex): string;
}

/** Both parts, each lined up. */
class ComplexFormatter implements Format {
  readonly #re: Formatter;
  readonly #im: Formatter;
  readonly width: number;

  constructor(dtype: DType, values: readonly Complex[]) {
    this.#re = new Formatter(
      dtype.real,
      values.map(({ re }) => re),
    );
    this.#im = new Formatter(
      dtype.real,
      values.map(({ im }) => im),
    );
    // As PyTorch counts: the j, but no sign.
    this.width = this.#re.width + this.#im.width + 1;
  }

  format(x: Value | Complex): string {
    const { re, im } = x as Complex;
    const second = `${this.#im.format(im)}j`.trimStart();
    return `${this.#re.format(re)}${/^[+-]/.test(second) ? "" : "+"}${second}`;
  }
}

/** The elements that a summary shows: the edges of every dimension that is too long. */
function edges(t: Tensor): Tensor {
  const n = style.edgeitems;
  return t.shape.reduce((x, size, d) => (size > 2 * n ? cat([x.slice(d, 0, n), x.slice(d, size - n)], d) : x), t);
}

/** Nested lists as text; `shape` is the whole tensor's, of which a summary shows the edges. */
function listText(x: NestedNumbers, shape: readonly number[], indent: number, summarize: boolean, f: Format): string {
  if (!Array.isArray(x)) return f.format(x);
  const n = style.edgeitems;
  const short = summarize && shape[0]! > 2 * n;
  if (shape.length === 1) {
    const cells = x.map((v) => f.format(v as Value));
    if (short) cells.splice(n, 0, " ...");
    const perLine = Math.max(1, Math.floor((style.linewidth - indent) / (f.width + 2)));
    const lines: string[] = [];
    for (let i = 0; i < cells.length; i += perLine) lines.push(cells.slice(i, i + perLine).join(", "));
    return `[${lines.join(`,\n${" ".repeat(indent + 1)}`)}]`;
  }
  const parts = x.map((v) => listText(v, shape.slice(1), indent + 1, summarize, f));
  if (short) parts.splice(n, 0, "...");
  return `[${parts.join(`,${"\n".repeat(shape.length - 1)}${" ".repeat(indent + 1)}`)}]`;
}

function flatValues(x: NestedNumbers): Value[] {
  return Array.isArray(x) ? x.flatMap(flatValues) : [x];
}

function contents(t: Tensor, indent: number): string {
  const summarize = t.numel() > style.threshold;
  const shown = summarize ? edges(t.detach()) : t.detach();
  const values = nested(shown.shape, t.dtype, shown.data_sync());
  const flat = flatValues(values);
  const format = t.dtype.is_complex ? new ComplexFormatter(t.dtype, flat as unknown as Complex[]) : new Formatter(t.dtype, flat);
  return listText(values, t.shape, indent, summarize, format);
}

/** `index_select` → `IndexSelectBackward0` */
function nodeName(name: string): string {
  const words = name.split(/[_.]/).filter((w) => w !== "");
  return `${words.map((w) => w[0]!.toUpperCase() + w.slice(1)).join("")}Backward0`;
}

function tensorText(t: Tensor): string {
  const prefix = "tensor(";
  const indent = prefix.length;
  const suffixes: string[] = [];
  const { type, index } = t.device;
  if (type !== get_default_device().type) suffixes.push(`device='${type === "cpu" ? type : `${type}:${index}`}'`);
  const shape = `size=(${t.shape.join(", ")}${t.ndim === 1 ? "," : ""})`;
  let text: string;
  if (t.numel() === 0) {
    text = "[]";
    if (t.ndim !== 1) suffixes.push(shape);
    if (t.dtype !== get_default_dtype()) suffixes.push(`dtype=${t.dtype}`);
  } else {
    const readable = t.device.caps.readSync;
    // What is on a device that answers later is shown by its size.
    text = readable ? contents(t, indent) : "...";
    if (!readable) suffixes.push(shape);
    if (![get_default_dtype(), get_default_dtype().complex, int64, bool].includes(t.dtype)) suffixes.push(`dtype=${t.dtype}`);
  }
  if (t.grad_fn !== null) suffixes.push(`grad_fn=<${nodeName(t.grad_fn.name)}>`);
  else if (t.requires_grad) suffixes.push("requires_grad=True");
  const out = withSuffixes(prefix + text, suffixes, indent);
  return t.constructor.name === "Parameter" ? `Parameter containing:\n${out}` : out;
}

function withSuffixes(text: string, suffixes: readonly string[], indent: number): string {
  let out = text;
  let length = text.length - text.lastIndexOf("\n") + 1;
  for (const suffix of suffixes) {
    if (length + suffix.length + 2 > style.linewidth) {
      out += `,\n${" ".repeat(indent)}${suffix}`;
      length = indent + suffix.length;
    } else {
      out += `, ${suffix}`;
      length += suffix.length + 2;
    }
  }
  return `${out})`;
}

declare module "../core/tensor.ts" {
  interface Tensor {
    /** The tensor as PyTorch shows it. */
    toString(): string;
  }
}

function toString(this: Tensor): string {
  return tensorText(this);
}

for (const name of ["toString", Symbol.for("nodejs.util.inspect.custom")]) {
  Object.defineProperty(Tensor.prototype, name, { value: toString, configurable: true, writable: true });
}
