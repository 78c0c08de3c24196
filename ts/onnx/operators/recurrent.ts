/** LSTM, GRU and RNN: torch.nn's, with the gates in ONNX's order. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import type { Call, Operator, Operators } from "./context.ts";

const { nn } = torch;

interface Kind {
  readonly gates: number;
  /** Where each of PyTorch's gates lies among ONNX's. */
  readonly order: readonly number[];
  readonly activations: readonly string[];
  readonly states: number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  LSTM: { gates: 4, order: [0, 2, 3, 1], activations: ["sigmoid", "tanh", "tanh"], states: 2 },
  GRU: { gates: 3, order: [1, 0, 2], activations: ["sigmoid", "tanh"], states: 1 },
  RNN: { gates: 1, order: [0], activations: ["tanh"], states: 1 },
};

const recurrent =
  (type: "LSTM" | "GRU" | "RNN"): Operator =>
  (c) => {
    const kind = KINDS[type]!;
    const direction = c.string("direction", "forward");
    const relu = checkOptions(c, type, kind, direction === "bidirectional" ? 2 : 1);
    const byBatch = c.int("layout", 0) !== 0;
    const batchToFront = (t: Tensor): Tensor => (byBatch ? t.transpose(0, 1) : t);
    let x = batchToFront(c.x(0));
    const [w, r] = [c.x(1), c.x(2)];
    const [dirs, rows, input_size] = w.shape as [number, number, number];
    const hidden = rows / kind.gates;
    const reverse = direction === "reverse";
    if (reverse) x = x.flip(0);

    const reorder = (t: Tensor): Tensor => {
      if (kind.gates === 1) return t;
      const parts = t.split(hidden, 0) as unknown as Tensor[];
      return torch.cat(kind.order.map((k) => parts[k]!));
    };
    const bias = c.optional(3);
    const params: Record<string, Tensor> = {};
    for (let d = 0; d < dirs; d++) {
      const suffix = d === 0 ? "_l0" : "_l0_reverse";
      params[`weight_ih${suffix}`] = reorder(w.select(0, d));
      params[`weight_hh${suffix}`] = reorder(r.select(0, d));
      if (bias !== null) {
        params[`bias_ih${suffix}`] = reorder(bias.select(0, d).slice(0, 0, rows));
        params[`bias_hh${suffix}`] = reorder(bias.select(0, d).slice(0, rows, 2 * rows));
      }
    }
    const layer = layerOf(c, type, { input_size, hidden, bias: bias !== null, bidirectional: dirs === 2, relu });
    const [length, batch] = x.shape as [number, number];
    const initial = [5, 6].slice(0, kind.states).map((i) => {
      const given = c.optional(i);
      return given === null ? torch.zeros([dirs, batch, hidden], { dtype: x.dtype, device: x.device }) : batchToFront(given);
    });
    const lengths = c.has(4) ? c.numbers(4) : null;
    const ragged = lengths?.some((n) => n !== length) === true;
    if (ragged && reverse) throw c.unsupported("sequence_lens with direction 'reverse'");
    const fed = ragged ? nn.utils.rnn.pack_padded_sequence(x, lengths!, { enforce_sorted: false }) : x;
    const state = type === "LSTM" ? initial : initial[0]!;
    const [output, last] = torch.func.functional_call(layer, params, [fed, state]) as [unknown, Tensor | Tensor[]];
    let y = ragged ? nn.utils.rnn.pad_packed_sequence(output as never, { total_length: length })[0] : (output as Tensor);
    if (reverse) y = y.flip(0);
    // [length, directions, batch, hidden]
    const all = y.reshape([length, batch, dirs, hidden]);
    const states = (Array.isArray(last) ? last : [last]).map((s) => batchToFront(s));
    return [byBatch ? all.transpose(0, 1) : all.permute([0, 2, 1, 3]), ...states];
  };

/** Throws where a node asks for what torch.nn has not; whether an RNN is one of relu. */
function checkOptions(c: Call, type: string, kind: Kind, dirs: number): boolean {
  const given = c.strings("activations")?.map((s) => s.toLowerCase());
  const relu = type === "RNN" && given?.[0] === "relu";
  const wanted = Array.from({ length: dirs }, () => (relu ? ["relu"] : kind.activations)).flat();
  if (given !== undefined && given.some((a, i) => a !== wanted[i])) throw c.unsupported(`activations [${given.join(", ")}]`);
  if (c.attribute("clip") !== null) throw c.unsupported("clip");
  if (c.int("input_forget", 0) !== 0) throw c.unsupported("input_forget");
  if (type === "LSTM" && c.has(7)) throw c.unsupported("peepholes");
  if (type === "GRU" && c.int("linear_before_reset", 0) === 0) throw c.unsupported("linear_before_reset = 0");
  return relu;
}

interface Sizes {
  readonly input_size: number;
  readonly hidden: number;
  readonly bias: boolean;
  readonly bidirectional: boolean;
  readonly relu: boolean;
}

/** A layer to call with the node's weights; it is made once. */
function layerOf(c: Call, type: "LSTM" | "GRU" | "RNN", o: Sizes): torch.nn.Module {
  const { memory } = c.node;
  if (memory.value === undefined) {
    const options = { bias: o.bias, bidirectional: o.bidirectional };
    if (type === "RNN")
      memory.value = new nn.RNN(o.input_size, o.hidden, 1, { nonlinearity: o.relu ? "relu" : "tanh", ...options });
    else memory.value = new nn[type](o.input_size, o.hidden, 1, options);
  }
  return memory.value as torch.nn.Module;
}

export const recurrents: Operators = { GRU: recurrent("GRU"), LSTM: recurrent("LSTM"), RNN: recurrent("RNN") };
