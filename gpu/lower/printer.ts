/** What the text lowerings share: names, order, indentation, and writing values that are used once where they are used. */

import { type Func, type Instr, type Operand, operandsOf, type Program, type Stmt, type Type } from "../ir.ts";

/** What a target language says differently. */
export interface Dialect {
  constant(operand: Extract<Operand, { kind: "const" }>): string;
  param(index: number): string;
  builtin(name: Extract<Operand, { kind: "builtin" }>["name"]): string;
  /** The text of a value; `args` gives its operands' texts in order. */
  value(type: Type, instr: Exclude<Instr, { kind: "read" }>, text: (x: Operand) => string): string;
  /** @param used Whether anything uses the value: if not, it is there for its effect. */
  declareLet(name: string, type: Type, value: string, used: boolean): string;
  declareVar(name: string, type: Type, value: string): string;
  store(buffer: number, index: string, value: string): string;
  storeShared(array: number, index: string, value: string): string;
  forHead(counter: string, type: Type, from: string, to: string, step: string): string;
  loopHead: string;
  barrier(scope: "workgroup" | "storage"): string[];
  /** Texts of the operands; `elements` is null where all of `bytes` are read. */
  copyAsync(copy: Extract<Stmt, { kind: "copy_async" }>, to: string, index: string, elements: string | null): string;
  commitCopies(): string;
  waitCopies(pending: number): string;
}

/** Instructions that give the same value wherever they stand. */
const MOVABLE: ReadonlySet<Instr["kind"]> = new Set<Instr["kind"]>([
  "op",
  "math",
  "convert",
  "bitcast",
  "vector",
  "extract",
  "pack",
]);

interface Uses {
  /** Values of movable instructions that are used exactly once, in the block that they are made in. */
  readonly inline: ReadonlySet<number>;
  readonly used: { has(id: number): boolean };
}

function findUses(body: readonly Stmt[], result: Operand | null): Uses {
  const home = new Map<number, readonly Stmt[]>();
  const uses = new Map<number, number>();
  const elsewhere = new Set<number>();
  const use = (x: Operand, block: readonly Stmt[]): void => {
    if (x.kind !== "ref") return;
    uses.set(x.id, (uses.get(x.id) ?? 0) + 1);
    if (home.get(x.id) !== block) elsewhere.add(x.id);
  };
  const walk = (block: readonly Stmt[]): void => {
    for (const s of block) {
      switch (s.kind) {
        case "let":
          for (const x of operandsOf(s.instr)) use(x, block);
          if (MOVABLE.has(s.instr.kind)) home.set(s.id, block);
          break;
        case "var":
          use(s.init, block);
          break;
        case "assign":
          use(s.value, block);
          break;
        case "store":
        case "store_shared":
          use(s.index, block);
          use(s.value, block);
          break;
        case "copy_async":
          use(s.to, block);
          use(s.index, block);
          if (s.elements !== null) use(s.elements, block);
          break;
        case "if":
          use(s.cond, block);
          walk(s.then);
          walk(s.else);
          break;
        case "for":
          // The bound and the step are looked at in every round.
          use(s.from, block);
          use(s.to, s.body);
          use(s.step, s.body);
          walk(s.body);
          break;
        case "while":
          walk(s.head);
          use(s.cond, s.head);
          walk(s.body);
          break;
        case "commit_copies":
        case "wait_copies":
        case "barrier":
          break;
      }
    }
  };
  walk(body);
  if (result !== null) use(result, body);
  const inline = new Set([...home.keys()].filter((id) => uses.get(id) === 1 && !elsewhere.has(id)));
  return { inline, used: uses };
}

/** Text nested deeper than this gets a name, to keep lines readable. */
const LONGEST = 100;

class BlockPrinter {
  readonly lines: string[] = [];
  readonly #dialect: Dialect;
  readonly #uses: Uses;
  readonly #texts = new Map<number, string>();

  constructor(dialect: Dialect, body: readonly Stmt[], result: Operand | null) {
    this.#dialect = dialect;
    this.#uses = findUses(body, result);
  }

  readonly operand = (x: Operand): string => {
    switch (x.kind) {
      case "const":
        return this.#dialect.constant(x);
      case "param":
        return this.#dialect.param(x.index);
      case "builtin":
        return this.#dialect.builtin(x.name);
      case "ref":
        return this.#texts.get(x.id) ?? `v${x.id}`;
    }
  };

  block(stmts: readonly Stmt[], indent: string): void {
    for (const s of stmts) this.#statement(s, indent);
  }

  #statement(s: Stmt, indent: string): void {
    const d = this.#dialect;
    const put = (text: string): number => this.lines.push(indent + text);
    const inner = `${indent}  `;
    switch (s.kind) {
      case "let": {
        const text = s.instr.kind === "read" ? `m${s.instr.id}` : d.value(s.type, s.instr, this.operand);
        if (this.#uses.inline.has(s.id) && text.length <= LONGEST) this.#texts.set(s.id, text);
        else put(d.declareLet(`v${s.id}`, s.type, text, this.#uses.used.has(s.id)));
        break;
      }
      case "var":
        put(d.declareVar(`m${s.id}`, s.type, this.operand(s.init)));
        break;
      case "assign":
        put(`m${s.id} = ${this.operand(s.value)};`);
        break;
      case "store":
        put(d.store(s.buffer, this.operand(s.index), this.operand(s.value)));
        break;
      case "store_shared":
        put(d.storeShared(s.array, this.operand(s.index), this.operand(s.value)));
        break;
      case "if":
        put(`if (${this.operand(s.cond)}) {`);
        this.block(s.then, inner);
        if (s.else.length > 0) {
          put("} else {");
          this.block(s.else, inner);
        }
        put("}");
        break;
      case "for": {
        const [from, to, step] = [s.from, s.to, s.step].map(this.operand) as [string, string, string];
        put(`${d.forHead(`v${s.id}`, s.type, from, to, step)} {`);
        this.block(s.body, inner);
        put("}");
        break;
      }
      case "while":
        put(`${d.loopHead} {`);
        this.block(s.head, inner);
        this.lines.push(`${inner}if (!${paren(this.operand(s.cond))}) { break; }`);
        this.block(s.body, inner);
        put("}");
        break;
      case "copy_async":
        put(d.copyAsync(s, this.operand(s.to), this.operand(s.index), s.elements && this.operand(s.elements)));
        break;
      case "commit_copies":
        put(d.commitCopies());
        break;
      case "wait_copies":
        put(d.waitCopies(s.pending));
        break;
      case "barrier":
        for (const line of d.barrier(s.scope)) put(line);
        break;
    }
  }
}

/** `text` as one operand of a prefix operator. */
export function paren(text: string): string {
  return /^[\w.]+$/.test(text) || (text.startsWith("(") && closes(text)) ? text : `(${text})`;
}

/** Whether the first parenthesis closes at the end. */
function closes(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")" && --depth === 0) return i === text.length - 1;
  }
  return false;
}

export function printBody(dialect: Dialect, program: Program, indent: string): string[] {
  const printer = new BlockPrinter(dialect, program.body, null);
  printer.block(program.body, indent);
  return printer.lines;
}

/** The statements of a helper function, and the text of its result. */
export function printFunc(dialect: Dialect, func: Func, indent: string): { lines: string[]; result: string } {
  const printer = new BlockPrinter(dialect, func.body, func.result);
  printer.block(func.body, indent);
  return { lines: printer.lines, result: printer.operand(func.result) };
}
