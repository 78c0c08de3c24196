/** Tables as text: comma-separated values. */

import * as torch from "../../torch.ts";
import type { DType, FloatScalar, Tensor } from "../../torch.ts";
import { optional, readText, type BytesSource } from "../io/bytes.ts";

/** A column's type: numbers, true or false, or text. */
export type ColumnType = "float32" | "float64" | "int64" | "bool" | "string";
export type CsvValue = FloatScalar | number | bigint | boolean | string;
export type CsvRow = Record<string, CsvValue>;

export interface CsvOptions {
  /** Whether the first row names the columns; a list names them where it does not. */
  header?: boolean | readonly string[];
  /** What stands between fields. */
  delimiter?: string;
  quote?: string;
  /** Rows that begin with it are left out. */
  comment?: string | null;
  /** Types by column. Those that are not named are left out, unless none is: then types are what fits the column. */
  columns?: Readonly<Record<string, ColumnType>> | null;
}

const EMPTY = /^\s*$/;
const WHOLE = /^\s*[-+]?\d+\s*$/;

/** A field's value; ValueError, with the line, where it is not of the type. An empty field is NaN in a floating column. */
function valueOf(text: string, type: ColumnType, column: string, row: number): CsvValue {
  const wrong = (): never => {
    throw new torch.ValueError(`read_csv: row ${row}, column "${column}": "${text}" is not of type ${type}`);
  };
  if (type === "string") return text;
  if (type === "bool") {
    const word = text.trim().toLowerCase();
    return word === "true" || word === "1" ? true : word === "false" || word === "0" ? false : wrong();
  }
  if (type === "int64") {
    if (!WHOLE.test(text)) return wrong();
    const value = Number(text);
    return Number.isSafeInteger(value) ? value : BigInt(text.trim().replace(/^\+/, ""));
  }
  const value = numberOf(text);
  return value === null ? wrong() : new torch.FloatScalar(value);
}

function numberOf(text: string): number | null {
  if (EMPTY.test(text)) return NaN;
  const word = text.trim().toLowerCase();
  if (/^[-+]?(nan|inf|infinity)$/.test(word)) return word.includes("nan") ? NaN : word.startsWith("-") ? -Infinity : Infinity;
  // Number would take 0x10, which no table means.
  const value = /[xob]/.test(word) ? NaN : Number(word);
  return Number.isNaN(value) ? null : value;
}

/** Fields of rows, as text, with the number of the row (the first one is 1). */
async function* fieldsOf(
  source: BytesSource,
  options: CsvOptions,
): AsyncGenerator<[row: number, fields: string[]], void, undefined> {
  const { default: papa } = await optional("reading CSV", "papaparse", () => import("papaparse"));
  const { delimiter = ",", quote = '"', comment = null } = options;
  if (delimiter.length !== 1 || quote.length !== 1) {
    throw new torch.ValueError(`read_csv: delimiter and quote are one character each, got "${delimiter}" and "${quote}"`);
  }
  let rest = "";
  let count = 0;
  let newline: string | null = null;
  let first = true;
  const take = function* (last: boolean): Generator<[number, string[]]> {
    newline ??= /\r\n/.test(rest) ? "\r\n" : /\n/.test(rest) ? "\n" : /\r/.test(rest) ? "\r" : null;
    const config = { delimiter, quoteChar: quote, comments: comment ?? false, newline: newline ?? "\n" };
    const { data, errors, meta } = new papa.Parser(config as never).parse(rest, 0, !last) as {
      data: string[][];
      errors: { message: string; row?: number }[];
      meta: { cursor: number };
    };
    // What is wrong with a row that has not come in full may yet be right.
    const bad = errors.find(({ row }) => last || (row ?? 0) < data.length);
    if (bad !== undefined) throw new torch.ValueError(`read_csv: row ${count + (bad.row ?? 0) + 1}: ${bad.message}`);
    for (const fields of data) {
      count++;
      if (fields.length > 1 || fields[0] !== "") yield [count, fields];
    }
    rest = last ? "" : rest.slice(meta.cursor);
  };
  for await (const part of readText("read_csv", source)) {
    rest += part;
    if (first && rest !== "") {
      first = false;
      if (rest.startsWith("\ufeff")) rest = rest.slice(1);
    }
    // A part may end between \r and \n.
    if (newline === null && !/\n|\r./s.test(rest)) continue;
    yield* take(false);
  }
  if (rest !== "") yield* take(true);
}

/** Rows as text by column; ValueError where a row has more or fewer fields than the others. */
async function* rowsOf(source: BytesSource, options: CsvOptions): AsyncGenerator<[number, Map<string, string>], void, undefined> {
  const { header = true } = options;
  let names: readonly string[] | null = Array.isArray(header) ? (header as readonly string[]) : null;
  for await (const [row, fields] of fieldsOf(source, options)) {
    if (names === null && header === true) {
      names = fields;
      if (new Set(names).size !== names.length)
        throw new torch.ValueError(`read_csv: columns have the same name: ${names.join(", ")}`);
      continue;
    }
    names ??= fields.map((_, i) => String(i));
    if (fields.length !== names.length) {
      throw new torch.ValueError(`read_csv: row ${row} has ${fields.length} fields, expected ${names.length}`);
    }
    yield [row, new Map(names.map((name, i) => [name, fields[i]!]))];
  }
  for (const name of Object.keys(options.columns ?? {})) {
    if (names !== null && !names.includes(name)) {
      throw new torch.ValueError(`read_csv: there is no column "${name}"; there are ${names.join(", ")}`);
    }
  }
}

/**
 * The rows of a table, one after another as they are read: objects of numbers, truth values and text. Needs the package `papaparse`. Without
 * `columns` everything is text. Numbers of floating columns are FloatScalars, which collate to float64 as Python's floats do.
 */
export class CSVDataset extends torch.utils.data.IterableDataset<CsvRow> {
  constructor(
    readonly source: BytesSource,
    readonly options: CsvOptions = {},
  ) {
    super();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<CsvRow, void, undefined> {
    const types = this.options.columns ?? null;
    for await (const [row, fields] of rowsOf(this.source, this.options)) {
      const entries = types === null ? [...fields] : Object.entries(types).map(([name, type]) => {
        const text = fields.get(name);
        if (text === undefined) throw new torch.ValueError(`read_csv: there is no column "${name}"; there are ${[...fields.keys()].join(", ")}`);
        return [name, valueOf(text, type, name, row)] as const;
      }); // prettier-ignore
      yield Object.fromEntries(entries);
    }
  }
}

const DTYPES: Readonly<Record<Exclude<ColumnType, "string">, DType>> = {
  float32: torch.float32,
  float64: torch.float64,
  int64: torch.int64,
  bool: torch.bool,
};

/** The type that fits all fields of a column. */
function typeFor(fields: readonly string[]): ColumnType {
  if (fields.every((text) => /^\s*(true|false)\s*$/i.test(text))) return "bool";
  if (fields.every((text) => WHOLE.test(text))) return "int64";
  return fields.every((text) => numberOf(text) !== null) ? "float32" : "string";
}

/**
 * A table in full, by column: a tensor [rows], or a list of strings. Types that are not given are bool, int64 or float32 where all fields fit, else
 * text. Needs the package `papaparse`. ValueError for fields of another type and for rows of another length.
 */
export async function read_csv(source: BytesSource, options: CsvOptions = {}): Promise<Record<string, Tensor | string[]>> {
  const { columns = null } = options;
  const texts = new Map<string, string[]>(Object.keys(columns ?? {}).map((name) => [name, []]));
  const numbers: number[] = [];
  for await (const [row, fields] of rowsOf(source, options)) {
    numbers.push(row);
    for (const [name, text] of fields) {
      if (columns !== null && !(name in columns)) continue;
      const column = texts.get(name);
      if (column === undefined) texts.set(name, [text]);
      else column.push(text);
    }
  }
  return Object.fromEntries(
    [...texts].map(([name, column]) => {
      const type = columns?.[name] ?? typeFor(column);
      if (type === "string") return [name, column];
      const values = column.map((text, i) => valueOf(text, type, name, numbers[i]!));
      const plain = values.map((v) => (v instanceof torch.FloatScalar ? v.value : v)) as number[];
      return [name, torch.tensor(plain, { dtype: DTYPES[type], device: "cpu" })];
    }),
  );
}
