/** Our kernels with one mistake each: the stand-ins must notice every one that makes a difference. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as torch from "kindling";
import { type Mutant, MutantLab, mutantsOf, OPERATORS, recordingInterpreter } from "./mutants.ts";
import { unavailable } from "./native.ts";

const F = torch.nn.functional;
type Make = (...shape: number[]) => torch.Tensor;

const attend = (x: Make, queries: number, keys: number, width: number, heads = 2): torch.Tensor =>
  F.scaled_dot_product_attention(x(1, heads, queries, width), x(1, heads, keys, width), x(1, heads, keys, width));

const bf16 = (t: torch.Tensor): torch.Tensor => t.to(torch.bfloat16);

interface Subject {
  /** Which of the kernels that run is mutated. */
  readonly kernel: RegExp;
  /** Whether the device has matrix units. */
  readonly matrix?: boolean;
  /** Sizes are small; tiles are full and not, loops go round once and more often, every thread of a tile is the last one somewhere. */
  readonly runs: readonly ((x: Make) => torch.Tensor | readonly torch.Tensor[])[];
  /** Mutants that change nothing that anybody could see, and why; `most` of them. */
  readonly equivalent: readonly {
    readonly operator: Mutant["operator"];
    readonly was: RegExp;
    readonly why: string;
    readonly most: number;
  }[];
}

const LONG_ROWS = [5001, 5301, 5302, 6001, 5127];

const SUBJECTS: readonly Subject[] = [
  {
    kernel: /^matmul/,
    runs: [...[36, 37, 38, 39].map((m) => (x: Make) => x(m, 36).matmul(x(36, 44))), (x) => x(33, 20).matmul(x(20, 40))],
    equivalent: [
      { operator: "bound", was: /^for .* < p_k;/, why: "one round more multiplies zeros", most: 1 },
      { operator: "bound", was: /^s_[ab]_tile.* < p_k/, why: "beyond k the other factor's tile is zero", most: 4 },
      {
        operator: "bound",
        was: /^const bool v = \(v < p_n\)/,
        why: "n is a multiple of 4: only the first of 4 columns can be n",
        most: 3,
      },
    ],
  },
  {
    kernel: /^matmul/,
    matrix: true,
    runs: [
      (x) => bf16(x(70, 72)).matmul(bf16(x(72, 72))),
      (x) => bf16(x(33, 104)).matmul(bf16(x(104, 40))),
      ...[
        [64, 64],
        [41, 80],
        [50, 88],
        [59, 56],
      ].map(
        ([m, n]) =>
          (x: Make) =>
            bf16(x(m!, 40)).matmul(bf16(x(40, n!))),
      ),
    ],
    equivalent: [
      { operator: "bound", was: /s_a_tile.* < p_k\) \? kd_min\(\(p_k - v/, why: "nothing of the row is left", most: 4 },
      { operator: "bound", was: /s_b_tile.* < p_k\) \? 8u/, why: "beyond k the other factor's tile is zero", most: 4 },
      { operator: "bound", was: /^const bool v = \(v < p_n\)/, why: "n is even: the second of two columns cannot be n", most: 1 },
      {
        operator: "bound",
        was: /^if \(\((v|32u|64u) < p_k\)/,
        why: "a tile is copied, and filled with zeros, that nobody reads",
        most: 3,
      },
    ],
  },
  {
    kernel: /^softmax/,
    runs: LONG_ROWS.map((n, i) => (x) => F.softmax(x(1 + (i % 3), n), -1)),
    equivalent: [
      { operator: "barrier", was: /kd_min\(v, 3\.4/, why: "s_top is not written again", most: 1 },
      { operator: "barrier", was: /2139095040u/, why: "s_total0 is not written again", most: 1 },
      { operator: "index", was: /= b_x\[/, why: "whatever is subtracted from all of a row changes nothing", most: 1 },
      { operator: "bound", was: /^for .* < p_n;/, why: "whatever is subtracted from all of a row changes nothing", most: 1 },
      { operator: "index", was: /= s_top\[0u\]/, why: "whatever is subtracted from all of a row changes nothing", most: 1 },
      { operator: "lane", was: /kd_max_fold/, why: "whatever is subtracted from all of a row changes nothing", most: 1 },
    ],
  },
  {
    kernel: /norm/,
    runs: LONG_ROWS.map((n, i) => (x) => F.layer_norm(x(1 + (i % 3), n), [n])),
    equivalent: [
      {
        operator: "barrier",
        was: /^__syncthreads\(\); const float v = \(.* \/ v\)/,
        why: "s_total0 and s_squares0 are not written again",
        most: 2,
      },
    ],
  },
  {
    kernel: /^reduce_sum/,
    runs: [300, 308, 316, 324].map((n, i) => (x) => x(4 + i, n).sum(1)),
    equivalent: [{ operator: "bound", was: / < p_rows\)/, why: "threads beyond the last row store what it stores", most: 1 }],
  },
  {
    kernel: /^reduce_argmax/,
    runs: [300, 308, 316, 324].map((n, i) => (x) => x(4 + i, n).argmax(1)),
    equivalent: [{ operator: "bound", was: / < p_rows\)/, why: "threads beyond the last row store what it stores", most: 1 }],
  },
  {
    kernel: /^scan/,
    runs: [600, 601, 602, 603, 1026, 3001].map((n, i) => (x) => x(2 + (i % 3), n).cumsum(1)),
    equivalent: [
      {
        operator: "barrier",
        was: /; const float v = m\d+;$/,
        why: "a loop that goes round again has 128 lanes, which take seven steps: its next round writes the other half first",
        most: 1,
      },
      {
        operator: "bound",
        was: / < p_lines\)/,
        why: "threads beyond the last line compute it once more, and store nothing wrong",
        most: 1,
      },
      { operator: "bound", was: /^for .* < p_n;/, why: "one round more stores nothing", most: 1 },
      {
        operator: "bound",
        was: /^const float v = .*\(v < p_n\) \?/,
        why: "what comes at the end is part of no sum that is stored",
        most: 4,
      },
      { operator: "bound", was: /< p_lanes\)/, why: "a step across all lanes adds nothing", most: 1 },
    ],
  },
  {
    kernel: /^attention/,
    runs: [
      (x) => attend(x, 19, 70, 8),
      (x) => attend(x, 32, 64, 16, 1),
      (x) => attend(x, 17, 52, 12),
      (x) => attend(x, 18, 60, 4),
      (x) => attend(x, 39, 9, 8),
    ],
    equivalent: [
      { operator: "bound", was: /^for .* < p_keys;/, why: "one round more gives every key no weight", most: 1 },
      { operator: "bound", was: /_tile\[.* < p_width\)/, why: "beyond the width the other factor's tile is zero", most: 4 },
      { operator: "bound", was: /_tile\[.* < p_out_width\)/, why: "these columns of the output are not stored", most: 4 },
      {
        operator: "bound",
        was: /^if \(\(v < p_out_width\)/,
        why: "the width is a multiple of 4: only the first of 4 columns can be it",
        most: 6,
      },
    ],
  },
  { kernel: /^sort_sort/, runs: [257, 1000].map((n, i) => (x) => torch.sort(x(2 + i, n), 1)), equivalent: [] },
];

/** How mutants were found: other results than the interpreter's, in every order or only in some; an illegal access; threads that diverge. */
const COLUMNS = ["operator", "mutants", "result", "order", "trap", "divergence", "equivalent"] as const;

describe.skipIf(unavailable !== null)("mutants", () => {
  let lab: MutantLab;
  const table: Record<string, number | string>[] = [];
  beforeAll(() => void (lab = new MutantLab()));
  afterAll(() => {
    lab.close();
    const rows = table.map((row) =>
      ["kernel", ...COLUMNS].map((c) => String(row[c] ?? 0).padEnd(c === "kernel" ? 16 : 11)).join(""),
    );
    console.log([["kernel".padEnd(16), ...COLUMNS.map((c) => c.padEnd(11))].join(""), ...rows].join("\n"));
  });

  it.each(SUBJECTS.map((s) => [`${s.kernel.source.replace("^", "")}${s.matrix ? " (bf16)" : ""}`, s] as const))(
    "of %s",
    (name, { kernel, matrix, runs, equivalent }) => {
      const { device, recorded } = recordingInterpreter(matrix ?? false);
      let seed = 0;
      const make: Make = (...shape) => {
        torch.manual_seed(++seed);
        return torch.randn(shape).to({ device });
      };
      for (const run of runs) for (const t of [run(make)].flat()) t._storage.materialize();
      const found = recorded.filter((r) => kernel.test(r.program.name));
      const which = found.map((r) => found.findIndex((f) => f.program === r.program));
      expect(which, `one kernel of ${recorded.map((r) => r.program.name).join()}`).toEqual(runs.map(() => 0));
      const { itself, mutants } = lab.judge(found, (body) => mutantsOf(body, 12));
      expect(itself).toBe(null);
      const missed: string[] = [];
      const left = equivalent.map((e) => e.most);
      const argue = (operator: Mutant["operator"], was: string): boolean => {
        const i = equivalent.findIndex((e, k) => e.operator === operator && e.was.test(was) && left[k]! > 0);
        if (i >= 0) left[i]!--;
        return i >= 0;
      };
      for (const operator of OPERATORS) {
        const row: Record<string, number | string> = { kernel: name, operator, mutants: 0 };
        for (const [mutant, verdict] of mutants) {
          if (mutant.operator !== operator) continue;
          const argued = verdict === null && argue(operator, mutant.was);
          const column = verdict ?? (argued ? "equivalent" : "missed");
          if (column === "missed") missed.push(`${operator}: ${mutant.was}  ->  ${mutant.is}`);
          row[column] = Number(row[column] ?? 0) + 1;
          row.mutants = Number(row.mutants) + 1;
        }
        if (row.mutants !== 0) table.push(row);
      }
      expect(missed).toEqual([]);
    },
  );
});
