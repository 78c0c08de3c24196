/**
 * Kernels over contiguous rows: who works on a row (a thread, a subgroup or a workgroup), how it is walked, and folds over those who share it.
 * A row that fits is held in registers, so that it is read once.
 */

import type { GpuCaps } from "../context.ts";
import type { ScalarType } from "../ir.ts";
import { type KernelBuilder, type V, type Var } from "../builder.ts";
import { isNarrow, rowThreads, workgroupSize } from "../plan.ts";
import { workgroupReduce } from "./common.ts";

/** How rows are shared out. */
export interface RowPlan {
  /** Who works on one row. */
  readonly team: "thread" | "subgroup" | "workgroup";
  /** Threads of a workgroup. */
  readonly workgroup: number;
  /** Elements of a load. */
  readonly lanes: 1 | 4;
  /** Loads per thread that hold the whole row; 0: the row is read once per pass. */
  readonly held: number;
}

/** Elements that one thread holds in registers. */
const MOST_HELD = 16;
/** Longest row that one thread works on alone, where threads of a subgroup are few and cheap. */
const LONGEST_ALONE = 8192;
const SHORT = 64;
/** Places per round of a thread that works alone. */
const UNROLLED = 4;

/**
 * @param n Elements of a row.
 * @param aligned Whether rows start at multiples of 4 elements.
 * @param arrays How many tensors of the rows' size are held at once.
 */
export function planRows(caps: GpuCaps, rows: number, n: number, aligned: boolean, arrays = 1): RowPlan {
  const lanes = aligned && n % 4 === 0 && n > 0 ? 4 : 1;
  const limit = Math.floor(MOST_HELD / arrays);
  const { subgroups } = caps;
  const most = workgroupSize(caps);
  const alone = isNarrow(caps) ? n <= LONGEST_ALONE && rows >= SHORT / 4 : n <= (subgroups === null ? SHORT : SHORT / 4);
  if (alone) return { team: "thread", workgroup: Math.min(isNarrow(caps) ? 16 : 64, most), lanes, held: 0 };
  if (subgroups !== null && !isNarrow(caps) && n <= subgroups.min * limit) {
    return { team: "subgroup", workgroup: Math.min(128, most), lanes, held: Math.ceil(n / (subgroups.min * lanes)) };
  }
  const workgroup = rowThreads(caps, Math.ceil(n / lanes));
  const held = Math.ceil(n / (workgroup * lanes));
  return { team: "workgroup", workgroup, lanes, held: held * lanes <= limit ? held : 0 };
}

export const planKey = ({ team, workgroup, lanes, held }: RowPlan): string => `${team}${workgroup}x${lanes}h${held}`;

/** Workgroups for so many rows. */
export function rowGroups(caps: GpuCaps, { team, workgroup }: RowPlan, rows: number): number {
  const each = team === "workgroup" ? 1 : team === "thread" ? workgroup : workgroup / caps.subgroups!.max;
  return Math.ceil(rows / each);
}

/** The members of a team at work on their row. */
export class RowTeam {
  /** Number of the row. */
  readonly row: V;
  /** The caller's place in its team, and the team's size. */
  readonly member: V;
  readonly size: V;
  /** Loads that a row takes. */
  readonly count: V;

  constructor(
    readonly k: KernelBuilder,
    readonly caps: GpuCaps,
    readonly plan: RowPlan,
    /** Elements of a row. */
    readonly n: V,
  ) {
    const { team, lanes } = plan;
    if (team === "workgroup") {
      this.row = k.group;
      this.member = k.thread;
      this.size = k.u32(k.workgroup);
    } else if (team === "subgroup") {
      this.size = k.subgroupSize;
      this.row = k.group.mul(k.u32(k.workgroup).div(this.size)).add(k.thread.div(this.size));
      this.member = k.subgroupLane;
    } else {
      this.row = k.group.mul(k.workgroup).add(k.thread);
      this.member = k.u32(0);
      this.size = k.u32(1);
    }
    this.count = n.div(lanes);
  }

  /** Work on all rows; folds may be part of it. */
  rows(rows: V, body: () => void): void {
    // Workgroups are as many as rows, and their folds have barriers, which must not stand under conditions.
    if (this.plan.team === "workgroup") body();
    else this.k.if(this.row.lt(rows), body);
  }

  /** Runs `body` in one member. */
  lead(body: () => void): void {
    if (this.plan.team === "thread") body();
    else this.k.if(this.member.eq(0), body);
  }

  /** Folds one value per member; all members get the result. */
  fold(name: string, value: V, op: "add" | "max" | "min"): V {
    const { team } = this.plan;
    if (team === "thread") return value;
    return team === "subgroup" ? this.k.subgroup(op, value) : workgroupReduce(this.k, this.caps, name, value, op);
  }

  /** Where the row starts in a buffer of rows that begins at `offset`; counts loads. */
  start(offset: V): V {
    return this.row.mul(this.count).add(offset);
  }

  /** Visits the places of the row, in loads. */
  each(body: (at: V) => void): void {
    const { k } = this;
    if (this.plan.team === "thread") {
      const whole = this.count.div(UNROLLED).mul(UNROLLED);
      k.for(0, whole, UNROLLED, (at) => {
        for (let i = 0; i < UNROLLED; i++) body(at.add(i));
      });
      k.for(whole, this.count, 1, body);
    } else k.for(this.member, this.count, this.size, body);
  }

  /**
   * The row's values, of the given types: what `load` gives for each place (`lanes` values per type, one type after the other), kept or read
   * again in each pass as planned.
   */
  values(types: readonly ScalarType[], load: (at: V) => readonly V[]): RowValues {
    return new RowValues(this, types, load);
  }
}

export class RowValues {
  readonly #team: RowTeam;
  readonly #load: (at: V) => readonly V[];
  readonly #held: (readonly Var[])[];

  constructor(team: RowTeam, types: readonly ScalarType[], load: (at: V) => readonly V[]) {
    this.#team = team;
    this.#load = load;
    const { k, plan } = team;
    this.#held = Array.from({ length: plan.held }, (_, i) => {
      const vars = types.flatMap((type) => Array.from({ length: plan.lanes }, () => k.var(k.const(0, type))));
      const at = this.#place(i);
      k.if(at.lt(team.count), () => {
        const values = load(at);
        vars.forEach((x, j) => x.set(values[j]!));
      });
      return vars;
    });
  }

  #place(i: number): V {
    return this.#team.member.add(this.#team.size.mul(i));
  }

  /** Visits the places of the row with their values. */
  each(body: (values: readonly V[], at: V) => void): void {
    const team = this.#team;
    if (team.plan.held === 0) team.each((at) => body(this.#load(at), at));
    this.#held.forEach((vars, i) => {
      const at = this.#place(i);
      team.k.if(at.lt(team.count), () =>
        body(
          vars.map((x) => x.get()),
          at,
        ),
      );
    });
  }

  /** Sums over the row, in one pass: `terms` gives for each sum the terms of one place. */
  sums(name: string, type: ScalarType, count: number, terms: (values: readonly V[]) => readonly (readonly V[])[]): V[] {
    const { k } = this.#team;
    const totals = Array.from({ length: count }, () => k.var(k.const(0, type)));
    this.each((values) => terms(values).forEach((parts, i) => totals[i]!.set(totals[i]!.get().add(sum(parts)))));
    return totals.map((total, i) => this.#team.fold(`${name}${i}`, total.get(), "add"));
  }

  /** The greatest value of the first type, and `least` at least; NaN is passed over. */
  greatest(name: string, least: V): V {
    const { k, plan } = this.#team;
    const top = k.var(least);
    this.each((values) => top.set(values.slice(0, plan.lanes).reduce((m, v) => v.gt(m).select(v, m), top.get())));
    return this.#team.fold(name, top.get(), "max");
  }
}

/** Neighbours first, so that the additions do not wait for each other. */
export function sum(parts: readonly V[]): V {
  if (parts.length === 1) return parts[0]!;
  const pairs = parts.flatMap((v, i) => (i % 2 === 0 ? [i + 1 < parts.length ? v.add(parts[i + 1]!) : v] : []));
  return sum(pairs);
}
