/** Recurrent networks: the inputs of all steps go through one product; each step adds one product with the state. */

import type { Device } from "../../core/device.ts";
import type { DType } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { autocastLower } from "../../engine/autocast.ts";
import { composite, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as init from "../init.ts";
import { bind, F, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { reprFloat } from "../repr.ts";
import { PackedSequence } from "../utils/rnn.ts";

/** One layer's parameters in one direction. */
interface Weights {
  readonly ih: Tensor;
  /** The state's weights, transposed: one view for all steps. */
  readonly hhT: Tensor;
  readonly hh: Tensor;
  readonly bIh: Tensor | null;
  readonly bHh: Tensor | null;
  /** LSTM's projection. */
  readonly hr: Tensor | null;
}

type State = readonly Tensor[];

const lowerOf = (t: Tensor | null): Tensor | null => (t === null ? null : autocastLower(t));

/** A kind of cell. */
interface Cell {
  /** Rows of the weights per unit. */
  readonly gates: number;
  /** The hidden state, and LSTM's cell state. */
  readonly states: number;
  /** Whether the state's bias is part of what is added to the inputs. */
  readonly joinsBias: boolean;
  /** The next state, from the inputs' part of the gates and the last state. */
  step(x: Tensor, state: State, w: Weights): State;
}

const plainCell = (activation: "tanh" | "relu"): Cell => ({
  gates: 1,
  states: 1,
  joinsBias: true,
  step(x, [h], w) {
    const sum = x.add(h!.mm(w.hhT));
    return [activation === "tanh" ? sum.tanh() : sum.relu()];
  },
});
const lstmCell: Cell = {
  gates: 4,
  states: 2,
  joinsBias: true,
  step(x, [h, c], w) {
    const [i, f, g, o] = x.add(h!.mm(w.hhT)).chunk(4, 1) as [Tensor, Tensor, Tensor, Tensor];
    const cell = f.sigmoid().mul(c!).add(i.sigmoid().mul(g.tanh()));
    const out = o.sigmoid().mul(cell.tanh());
    return [w.hr === null ? out : out.mm(w.hr.t()), cell];
  },
};
const gruCell: Cell = {
  gates: 3,
  states: 1,
  joinsBias: false,
  step(x, [h], w) {
    const [ir, iz, inew] = x.chunk(3, 1) as [Tensor, Tensor, Tensor];
    const [hr, hz, hnew] = (F.linear(h, w.hh, w.bHh) as Tensor).chunk(3, 1) as [Tensor, Tensor, Tensor];
    const r = ir.add(hr).sigmoid();
    const z = iz.add(hz).sigmoid();
    const n = inew.add(r.mul(hnew)).tanh();
    return [h!.sub(n).mul(z).add(n)];
  },
};

/** The inputs' part of the gates, for all rows at once. */
function inputGates(cell: Cell, x: Tensor, w: Weights): Tensor {
  const bias = cell.joinsBias && w.bIh !== null ? w.bIh.add(w.bHh!) : w.bIh;
  return F.linear(x, w.ih, bias) as Tensor;
}

/** Runs one layer in one direction. Later steps may have fewer rows (packed sequences, longest first). */
function runLayer(cell: Cell, steps: readonly Tensor[], first: State, w: Weights, reverse: boolean): [Tensor[], State] {
  const out = new Array<Tensor>(steps.length);
  if (!reverse) {
    let state = first;
    const ended: State[] = [];
    steps.forEach((x, t) => {
      const [rows, running] = [x.shape[0]!, state[0]!.shape[0]!];
      if (rows < running) {
        ended.push(state.map((s) => s.narrow(0, rows, running - rows)));
        state = state.map((s) => s.narrow(0, 0, rows));
      }
      state = cell.step(x, state, w);
      out[t] = state[0]!;
    });
    if (ended.length > 0) state = state.map((s, k) => ops.cat([s, ...ended.reverse().map((e) => e[k]!)]));
    return [out, state];
  }
  let state = first.map((s) => s.narrow(0, 0, steps.at(-1)!.shape[0]!));
  for (let t = steps.length - 1; t >= 0; t--) {
    const [rows, running] = [steps[t]!.shape[0]!, state[0]!.shape[0]!];
    if (rows > running) state = state.map((s, k) => ops.cat([s, first[k]!.narrow(0, running, rows - running)]));
    state = [...cell.step(steps[t]!, state, w)];
    out[t] = state[0]!;
  }
  return [out, state];
}

interface Described {
  readonly mode: string;
}
type Recurrence = Op<
  [input: Tensor, state: State, weights: readonly Tensor[], network: Described, run: () => Tensor[]],
  Tensor[]
>;

/** All layers as one op, for who traces programs: what it is made of repeats itself for each step. */
const recurrence: Recurrence = composite(
  "recurrence",
  "input, state, weights, network, run",
  { doc: "A recurrent network over [length, batch, features].", method: false, kinds: { weights: "tensors" } },
  (_input: Tensor, _state: State, _weights: readonly Tensor[], _network: Described, run: () => Tensor[]) => run(),
);

interface Options {
  mode: string;
  input_size: number;
  hidden_size: number;
  num_layers: number;
  bias: boolean;
  batch_first: boolean;
  dropout: number;
  bidirectional: boolean;
  proj_size: number;
  device: Device | null;
  dtype: DType | null;
}

export abstract class RNNBase extends Module {
  mode: string;
  input_size: number;
  hidden_size: number;
  num_layers: number;
  bias: boolean;
  batch_first: boolean;
  dropout: number;
  bidirectional: boolean;
  proj_size: number;

  constructor(o: Options, gates: number) {
    super();
    if (!(o.dropout >= 0 && o.dropout <= 1)) {
      throw new ValueError("dropout should be a number in range [0, 1] representing the probability of an element being zeroed");
    }
    if (!(o.hidden_size > 0)) throw new ValueError("hidden_size must be greater than zero");
    if (!(o.num_layers > 0)) throw new ValueError("num_layers must be greater than zero");
    if (o.proj_size < 0) throw new ValueError("proj_size should be a positive integer or zero to disable projections");
    if (o.proj_size >= o.hidden_size) throw new ValueError("proj_size has to be smaller than hidden_size");
    this.mode = o.mode;
    this.input_size = o.input_size;
    this.hidden_size = o.hidden_size;
    this.num_layers = o.num_layers;
    this.bias = o.bias;
    this.batch_first = o.batch_first;
    this.dropout = o.dropout;
    this.bidirectional = o.bidirectional;
    this.proj_size = o.proj_size;
    const make = (...shape: number[]): Parameter => new Parameter(ops.empty(shape, { device: o.device, dtype: o.dtype }));
    const real = o.proj_size > 0 ? o.proj_size : o.hidden_size;
    const rows = gates * o.hidden_size;
    for (let layer = 0; layer < o.num_layers; layer++) {
      for (const suffix of this.suffixes(layer)) {
        this.register_parameter(`weight_ih${suffix}`, make(rows, layer === 0 ? o.input_size : real * this.directions));
        this.register_parameter(`weight_hh${suffix}`, make(rows, real));
        if (o.bias) {
          this.register_parameter(`bias_ih${suffix}`, make(rows));
          this.register_parameter(`bias_hh${suffix}`, make(rows));
        }
        if (o.proj_size > 0) this.register_parameter(`weight_hr${suffix}`, make(o.proj_size, o.hidden_size));
      }
    }
    this.reset_parameters();
  }
  protected abstract readonly cell: Cell;

  private get directions(): number {
    return this.bidirectional ? 2 : 1;
  }
  private suffixes(layer: number): string[] {
    return this.bidirectional ? [`_l${layer}`, `_l${layer}_reverse`] : [`_l${layer}`];
  }
  private weights(suffix: string): Weights {
    const fields = this as unknown as Record<string, Parameter | undefined>;
    const get = (name: string): Tensor | null => lowerOf(fields[`${name}${suffix}`] ?? null);
    const hh = get("weight_hh")!;
    return {
      ih: get("weight_ih")!,
      hhT: hh.t(),
      hh,
      bIh: get("bias_ih"),
      bHh: get("bias_hh"),
      hr: get("weight_hr"),
    };
  }
  reset_parameters(): void {
    const bound = 1 / Math.sqrt(this.hidden_size);
    for (const p of this.parameters()) init.uniform_(p, -bound, bound);
  }
  /** Nothing to do here; PyTorch lays weights out for cuDNN. */
  flatten_parameters(): void {}

  /** Outputs of the last layer and the last states of all. */
  protected run(input: Tensor | PackedSequence, given: State | null): [Tensor | PackedSequence, Tensor[]] {
    const packed = input instanceof PackedSequence ? input : null;
    let x = autocastLower(packed === null ? (input as Tensor) : packed.data);
    const name = this.constructor.name;
    const single = packed === null && x.ndim === 2;
    if (packed === null && x.ndim !== 2 && x.ndim !== 3) {
      throw new ValueError(`${name}: Expected input to be 2D or 3D, got ${x.ndim}D instead`);
    }
    if (x.shape.at(-1) !== this.input_size) {
      throw new RuntimeError(`input.size(-1) must be equal to input_size. Expected ${this.input_size}, got ${x.shape.at(-1)}`);
    }
    if (single) x = x.unsqueeze(1);
    else if (packed === null && this.batch_first) x = x.transpose(0, 1);
    const batch = packed === null ? x.shape[1]! : packed._sizes[0]!;
    const first = this.firstState(x, batch, given?.map(autocastLower) ?? null, single, packed);

    const weights = this.suffixedNames().map((name) => (this as unknown as Record<string, Tensor>)[name]!);
    const { mode, num_layers, bias, bidirectional, dropout, training, hidden_size, proj_size } = this;
    const described = { mode, num_layers, bias, bidirectional, dropout, training, hidden_size, proj_size };
    const [out, ...states] = recurrence(x, first, weights, described, () => this.layers(x, first, packed)) as [
      Tensor,
      ...Tensor[],
    ];
    if (packed !== null) {
      const back = packed.unsorted_indices;
      return [packed.with(out), back === null ? states : states.map((s) => s.index_select(1, back))];
    }
    if (single) return [out.squeeze(1), states.map((s) => s.squeeze(1))];
    return [this.batch_first ? out.transpose(0, 1) : out, states];
  }
  private suffixedNames(): string[] {
    const kinds = [
      "weight_ih",
      "weight_hh",
      ...(this.bias ? ["bias_ih", "bias_hh"] : []),
      ...(this.proj_size > 0 ? ["weight_hr"] : []),
    ];
    return Array.from({ length: this.num_layers }, (_, layer) => this.suffixes(layer))
      .flat()
      .flatMap((suffix) => kinds.map((kind) => kind + suffix));
  }
  /** Outputs of the last layer over all steps, [length, batch, features], then the last states of all. */
  private layers(input: Tensor, first: State, packed: PackedSequence | null): Tensor[] {
    let x = input;
    const finals: Tensor[][] = first.map(() => []);
    for (let layer = 0; layer < this.num_layers; layer++) {
      const outputs = this.suffixes(layer).map((suffix, direction) => {
        const w = this.weights(suffix);
        const gates = inputGates(this.cell, x, w);
        const steps = (packed === null ? gates.unbind(0) : packed.with(gates).steps()) as Tensor[];
        const start = first.map((s) => s.select(0, layer * this.directions + direction));
        const [out, last] = runLayer(this.cell, steps, start, w, direction === 1);
        last.forEach((s, k) => finals[k]!.push(s));
        return packed === null ? ops.stack(out) : ops.cat(out);
      });
      x = outputs.length === 1 ? outputs[0]! : ops.cat(outputs, -1);
      if (this.dropout > 0 && this.training && layer < this.num_layers - 1) x = F.dropout(x, this.dropout, true) as Tensor;
    }
    return [x, ...finals.map((s) => ops.stack(s))];
  }

  private firstState(x: Tensor, batch: number, given: State | null, single: boolean, packed: PackedSequence | null): State {
    const n = this.num_layers * this.directions;
    const sizes = [this.proj_size > 0 ? this.proj_size : this.hidden_size, this.hidden_size].slice(0, this.cell.states);
    if (given === null) return sizes.map((s) => ops.zeros([n, batch, s], { dtype: x.dtype, device: x.device }));
    return given.map((s, k) => {
      if (s.ndim !== (single ? 2 : 3)) {
        const kind = single ? "unbatched 2-D" : "batched 3-D";
        throw new RuntimeError(`For ${kind} input, hx should also be ${single ? 2 : 3}-D but got ${s.ndim}-D tensor`);
      }
      const wide = single ? s.unsqueeze(1) : s;
      const want = [n, batch, sizes[k]!];
      if (wide.shape.some((size, d) => size !== want[d])) {
        throw new RuntimeError(`Expected hidden[${k}] size ${formatShape(want)}, got ${formatShape(wide.shape)}`);
      }
      const order = packed?.sorted_indices ?? null;
      return order === null ? wide : wide.index_select(1, order);
    });
  }

  override extra_repr(): string {
    const parts = [`${this.input_size}, ${this.hidden_size}`];
    if (this.proj_size !== 0) parts.push(`proj_size=${this.proj_size}`);
    if (this.num_layers !== 1) parts.push(`num_layers=${this.num_layers}`);
    if (!this.bias) parts.push("bias=False");
    if (this.batch_first) parts.push("batch_first=True");
    if (this.dropout !== 0) parts.push(`dropout=${reprFloat(this.dropout)}`);
    if (this.bidirectional) parts.push("bidirectional=True");
    return parts.join(", ");
  }
}

interface Sizes {
  input_size: number;
}
interface Hidden {
  hidden_size: number;
}
interface Layers {
  num_layers?: number;
}
interface Bias {
  bias?: boolean;
}
interface BatchFirst {
  batch_first?: boolean;
}
interface DropoutOption {
  dropout?: number;
}
interface Bidirectional {
  bidirectional?: boolean;
}
interface Projection {
  proj_size?: number;
}
type Nonlinearity = "tanh" | "relu";

type Bound = [number, number, number, boolean, boolean, number, boolean, number, Device | null, DType | null];
const COMMON =
  "input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, proj_size=0, device=None, dtype=None";

function options(mode: string, given: readonly unknown[]): Options {
  const [input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype] = bind<Bound>(
    mode,
    COMMON,
    given,
  );
  return { mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype };
}

type GatedArgs = Args<[Sizes, Hidden, Layers, Bias, BatchFirst, DropoutOption, Bidirectional], Factory>;
type RNNArgs = Args<
  [Sizes, Hidden, Layers, { nonlinearity?: Nonlinearity }, Bias, BatchFirst, DropoutOption, Bidirectional],
  Factory
>;

function checkNonlinearity(nonlinearity: string): Nonlinearity {
  if (nonlinearity === "tanh" || nonlinearity === "relu") return nonlinearity;
  throw new ValueError(`Unknown nonlinearity '${nonlinearity}'. Select from 'tanh' or 'relu'.`);
}

export class RNN extends RNNBase {
  nonlinearity: Nonlinearity;

  constructor(...given: RNNArgs) {
    const [input_size, hidden_size, num_layers, name, bias, batch_first, dropout, bidirectional, device, dtype] = bind<
      [number, number, number, string, boolean, boolean, number, boolean, Device | null, DType | null]
    >(
      "RNN",
      "input_size, hidden_size, num_layers=1, nonlinearity='tanh', bias=True, batch_first=False, dropout=0.0, bidirectional=False, device=None, dtype=None",
      given,
    );
    const nonlinearity = checkNonlinearity(name);
    const mode = `RNN_${nonlinearity.toUpperCase()}`;
    const sizes = { input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size: 0 };
    super({ mode, ...sizes, device, dtype }, 1);
    this.nonlinearity = nonlinearity;
  }
  protected get cell(): Cell {
    return plainCell(this.nonlinearity);
  }
  /** The output is a PackedSequence where the input is one. */
  forward(input: Tensor | PackedSequence, hx: Tensor | null = null): [output: Tensor, h_n: Tensor] {
    const [output, [h]] = this.run(input, hx === null ? null : [hx]);
    return [output as Tensor, h!];
  }
}

export class GRU extends RNNBase {
  constructor(...given: GatedArgs) {
    super(options("GRU", given), 3);
  }
  protected get cell(): Cell {
    return gruCell;
  }
  forward(input: Tensor | PackedSequence, hx: Tensor | null = null): [Tensor, Tensor] {
    const [output, [h]] = this.run(input, hx === null ? null : [hx]);
    return [output as Tensor, h!];
  }
}

export class LSTM extends RNNBase {
  constructor(...given: Args<[Sizes, Hidden, Layers, Bias, BatchFirst, DropoutOption, Bidirectional, Projection], Factory>) {
    super(options("LSTM", given), 4);
  }
  protected get cell(): Cell {
    return lstmCell;
  }
  forward(
    input: Tensor | PackedSequence,
    hx: readonly [Tensor, Tensor] | readonly Tensor[] | null = null,
  ): [output: Tensor, state: [h_n: Tensor, c_n: Tensor]] {
    const [output, [h, c]] = this.run(input, hx);
    return [output as Tensor, [h!, c!]];
  }
}

export abstract class RNNCellBase extends Module {
  input_size: number;
  hidden_size: number;
  bias: boolean;
  weight_ih: Parameter;
  weight_hh: Parameter;
  bias_ih: Parameter | null;
  bias_hh: Parameter | null;

  constructor(gates: number, inputSize: number, hidden: number, bias: boolean, factory: Factory) {
    super();
    this.input_size = inputSize;
    this.hidden_size = hidden;
    this.bias = bias;
    this.weight_ih = new Parameter(ops.empty([gates * hidden, inputSize], factory));
    this.weight_hh = new Parameter(ops.empty([gates * hidden, hidden], factory));
    this.bias_ih = bias ? new Parameter(ops.empty([gates * hidden], factory)) : null;
    this.bias_hh = bias ? new Parameter(ops.empty([gates * hidden], factory)) : null;
    const bound = hidden > 0 ? 1 / Math.sqrt(hidden) : 0;
    for (const p of this.parameters()) init.uniform_(p, -bound, bound);
  }
  protected run(cell: Cell, input: Tensor, given: State | null): State {
    const name = this.constructor.name;
    if (input.ndim !== 1 && input.ndim !== 2) {
      throw new ValueError(`${name}: Expected input to be 1D or 2D, got ${input.ndim}D instead`);
    }
    if (input.shape.at(-1) !== this.input_size) {
      throw new RuntimeError(`input has inconsistent input_size: got ${input.shape.at(-1)} expected ${this.input_size}`);
    }
    const single = input.ndim === 1;
    const x = autocastLower(single ? input.unsqueeze(0) : input);
    const first =
      given === null
        ? Array.from({ length: cell.states }, () =>
            ops.zeros([x.shape[0]!, this.hidden_size], { dtype: x.dtype, device: x.device }),
          )
        : given.map((s) => {
            if (s.ndim !== 1 && s.ndim !== 2)
              throw new ValueError(`${name}: Expected hidden to be 1D or 2D, got ${s.ndim}D instead`);
            return autocastLower(single ? s.unsqueeze(0) : s);
          });
    const hh = autocastLower(this.weight_hh);
    const [bIh, bHh] = [lowerOf(this.bias_ih), lowerOf(this.bias_hh)];
    const w = { ih: autocastLower(this.weight_ih), hhT: hh.t(), hh, bIh, bHh, hr: null };
    const state = cell.step(inputGates(cell, x, w), first, w);
    return single ? state.map((s) => s.squeeze(0)) : state;
  }
  override extra_repr(): string {
    return `${this.input_size}, ${this.hidden_size}${this.bias ? "" : ", bias=False"}`;
  }
}

type CellBound = [number, number, boolean, Device | null, DType | null];
const CELL = "input_size, hidden_size, bias=True, device=None, dtype=None";
type CellArgs = Args<[Sizes, Hidden, Bias], Factory>;

export class RNNCell extends RNNCellBase {
  nonlinearity: Nonlinearity;

  override extra_repr(): string {
    return `${super.extra_repr()}${this.nonlinearity === "tanh" ? "" : `, nonlinearity=${this.nonlinearity}`}`;
  }

  constructor(...given: Args<[Sizes, Hidden, Bias, { nonlinearity?: Nonlinearity }], Factory>) {
    const [inputSize, hidden, bias, nonlinearity, device, dtype] = bind<
      [number, number, boolean, string, Device | null, DType | null]
    >("RNNCell", "input_size, hidden_size, bias=True, nonlinearity='tanh', device=None, dtype=None", given);
    super(1, inputSize, hidden, bias, { device, dtype });
    this.nonlinearity = checkNonlinearity(nonlinearity);
  }
  forward(input: Tensor, hx: Tensor | null = null): Tensor {
    return this.run(plainCell(this.nonlinearity), input, hx === null ? null : [hx])[0]!;
  }
}
export class GRUCell extends RNNCellBase {
  constructor(...given: CellArgs) {
    const [inputSize, hidden, bias, device, dtype] = bind<CellBound>("GRUCell", CELL, given);
    super(3, inputSize, hidden, bias, { device, dtype });
  }
  forward(input: Tensor, hx: Tensor | null = null): Tensor {
    return this.run(gruCell, input, hx === null ? null : [hx])[0]!;
  }
}
export class LSTMCell extends RNNCellBase {
  constructor(...given: CellArgs) {
    const [inputSize, hidden, bias, device, dtype] = bind<CellBound>("LSTMCell", CELL, given);
    super(4, inputSize, hidden, bias, { device, dtype });
  }
  forward(input: Tensor, hx: readonly [Tensor, Tensor] | readonly Tensor[] | null = null): [h: Tensor, c: Tensor] {
    const [h, c] = this.run(lstmCell, input, hx);
    return [h!, c!];
  }
}
