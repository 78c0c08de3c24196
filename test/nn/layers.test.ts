import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, expectTypeOf, test } from "vitest";

const numbers = (t: torch.Tensor): number[] => Array.from(t.data_sync() as ArrayLike<number | bigint>, Number);
const near = (a: torch.Tensor, b: torch.Tensor): void => {
  expect(a.shape).toEqual(b.shape);
  const want = numbers(b);
  numbers(a).forEach((x, i) => expect(x).toBeCloseTo(want[i]!, 5));
};

describe("bad arguments", () => {
  test.each<[string, () => unknown, string]>([
    ["groups", () => new nn.Conv2d(3, 4, 3, { groups: 2 }), "in_channels must be divisible by groups"],
    ["same", () => new nn.Conv1d(1, 1, 3, { stride: 2, padding: "same" }), "not supported for strided convolutions"],
    ["mode", () => new nn.Conv1d(1, 1, 3, { padding_mode: "x" as never }), "padding_mode must be one of"],
    ["transposed", () => new nn.ConvTranspose1d(1, 1, 3, { padding_mode: "reflect" as never }), 'Only "zeros" padding mode'],
    ["group norm", () => new nn.GroupNorm(2, 3), "num_channels must be divisible by num_groups"],
    ["padding_idx", () => new nn.Embedding(3, 2, { padding_idx: 3 }), "padding_idx must be within num_embeddings"],
    ["heads", () => new nn.MultiheadAttention(5, 2), "embed_dim must be divisible by num_heads"],
    ["proj_size", () => new nn.LSTM(1, 2, { proj_size: 2 }), "proj_size has to be smaller than hidden_size"],
    ["nonlinearity", () => new nn.RNN(1, 2, { nonlinearity: "x" as never }), "Unknown nonlinearity 'x'"],
    ["batch norm", () => new nn.BatchNorm2d(2)(torch.ones([2, 2])), "expected 4D input (got 2D input)"],
    ["dropout", () => new nn.Dropout(1.5), "between 0 and 1"],
    ["margin loss", () => new nn.MultiMarginLoss(3), "only p == 1 and p == 2 supported"],
    ["softmax", () => new nn.Softmax2d()(torch.ones([2, 2])), "expected input to be 3D or 4D, got 2D"],
    ["bilinear", () => new nn.Bilinear(0, 1, 1), "in1_features must be > 0"],
    ["slope", () => nn.init.calculate_gain("leaky_relu", "x" as never), "not a valid number"],
    ["norm", () => nn.utils.get_total_norm([torch.ones([1])], "x" as never), "norm_type should be a number"],
    ["taken", () => new nn.Linear(1, 1).register_buffer("weight", torch.ones([1])), "attribute 'weight' already exists"],
    ["lstm", () => new nn.LSTM(2, 3)(torch.ones([4, 5])), "Expected 2, got 5"],
    ["gain", () => nn.init.calculate_gain("x" as never), "Unsupported nonlinearity x"],
    ["fan", () => nn.init.kaiming_uniform_(torch.ones([3])), "fewer than 2 dimensions"],
    ["keyword", () => new nn.Linear(1, 2, { bais: false } as never), "unexpected keyword argument 'bais'"],
    ["missing", () => new (nn.Linear as never as new (n: number) => nn.Linear)(1), "missing required argument 'out_features'"],
  ])("%s", (_name, make, message) => {
    expect(make).toThrow(message);
  });
});

test("layers draw from the generator as PyTorch's do", () => {
  torch.manual_seed(42);
  const weight = numbers(new nn.Linear(2, 2).weight);
  // torch.manual_seed(42); torch.nn.Linear(2, 2).weight
  [0.5406, 0.5869, -0.1657, 0.6496].forEach((x, i) => expect(weight[i]).toBeCloseTo(x, 4));
});

test("Embedding: padding row, pretrained tables", () => {
  const table = new nn.Embedding(3, 2, { padding_idx: -1 });
  expect(numbers(table.weight).slice(4)).toEqual([0, 0]);
  const fixed = nn.Embedding.from_pretrained(torch.ones([3, 2]));
  expect(fixed.weight.requires_grad).toBe(false);
  expect(numbers(fixed(torch.tensor([2, 0])))).toEqual([1, 1, 1, 1]);
});

test("an LSTM is its cell step by step, and one layer on top of the other", () => {
  torch.manual_seed(3);
  const lstm = new nn.LSTM(2, 3, { num_layers: 2 });
  const cells = [new nn.LSTMCell(2, 3), new nn.LSTMCell(3, 3)];
  cells.forEach((cell, i) => {
    const state = lstm.state_dict();
    cell.load_state_dict(Object.fromEntries(Object.keys(cell.state_dict()).map((k) => [k, state[`${k}_l${i}`]!])));
  });
  const x = torch.randn([4, 2, 2]);
  const [out, [h, c]] = lstm(x);
  const states = cells.map(() => [torch.zeros([2, 3]), torch.zeros([2, 3])] as [torch.Tensor, torch.Tensor]);
  for (let t = 0; t < 4; t++) {
    let input = x.select(0, t);
    cells.forEach((cell, i) => {
      states[i] = cell(input, states[i]);
      input = states[i]![0];
    });
    near(out.select(0, t), input);
  }
  near(h.select(0, 0), states[0]![0]);
  near(c.select(0, 1), states[1]![1]);
});

test("attention: with and without weights the same; masks; weights by head", () => {
  torch.manual_seed(4);
  const mha = new nn.MultiheadAttention(4, 2, { batch_first: true });
  const x = torch.randn([2, 3, 4]);
  const mask = torch.triu(torch.ones([3, 3]), 1).to(torch.bool);
  const [a, weights] = mha(x, x, x, { attn_mask: mask });
  const [b, none] = mha(x, x, x, { attn_mask: mask, need_weights: false });
  near(a, b);
  expect(none).toBeNull();
  expect(weights!.shape).toEqual([2, 3, 3]);
  expect(numbers(weights!.select(0, 0)).filter((_, i) => [1, 2, 5].includes(i))).toEqual([0, 0, 0]);
  expect(mha(x, x, x, { average_attn_weights: false })[1]!.shape).toEqual([2, 2, 3, 3]);
  const [single] = mha(x.select(0, 0), x.select(0, 0), x.select(0, 0), { attn_mask: mask });
  near(single, a.select(0, 0));
  const [causal] = mha(x, x, x, { attn_mask: mask, is_causal: true, need_weights: false });
  near(causal, a);
  expect(() => mha(x, x, x, { is_causal: true })).toThrow("Need attn_mask");
  expect(() => mha(x, x, x, { attn_mask: torch.ones([2, 2]) })).toThrow("attn_mask is [2, 2], but should be [3, 3]");
});

test("an encoder's layers start as copies of one layer and are then their own", () => {
  const layer = new nn.TransformerEncoderLayer(4, 2, 8, { dropout: 0, batch_first: true });
  torch.manual_seed(0);
  const encoder = new nn.TransformerEncoder(layer, 2, { norm: new nn.LayerNorm(4) });
  const after = numbers(torch.rand([1]));
  torch.manual_seed(0);
  expect(numbers(torch.rand([1]))).toEqual(after);
  expect(encoder.parameters()).toHaveLength(26);
  const [a, b] = [encoder.layers[0]!, encoder.layers[1]!];
  expect(a).toBeInstanceOf(nn.TransformerEncoderLayer);
  expect(numbers(a.linear1.weight)).toEqual(numbers(layer.linear1.weight));
  expect(a.linear1.weight).not.toBe(b.linear1.weight);
  torch.no_grad(() => a.linear1.weight.zero_());
  expect(numbers(b.linear1.weight)).toEqual(numbers(layer.linear1.weight));
  expect(encoder(torch.randn([2, 3, 4])).shape).toEqual([2, 3, 4]);
});

test("orthogonal_ makes orthonormal rows or columns", () => {
  for (const shape of [
    [5, 3],
    [3, 5],
  ]) {
    const w = nn.init.orthogonal_(torch.empty(shape));
    const gram = shape[0]! > shape[1]! ? w.t().mm(w) : w.mm(w.t());
    near(gram, torch.eye(3));
  }
});

test("layers made from a table have their arguments as fields, and types", () => {
  const pool = new nn.MaxPool2d(2, { stride: 1 });
  expect([pool.kernel_size, pool.stride, pool.ceil_mode]).toEqual([2, 1, false]);
  expectTypeOf(new nn.ReLU()(torch.ones([1]))).toEqualTypeOf<torch.Tensor>();
  expectTypeOf(pool.ceil_mode).toEqualTypeOf<boolean>();
  expectTypeOf(new nn.MSELoss()).parameters.toEqualTypeOf<[input: torch.Tensor, target: torch.Tensor]>();
  expectTypeOf(new nn.LSTM(1, 2)).returns.toExtend<[torch.Tensor, [torch.Tensor, torch.Tensor]]>();
  // @ts-expect-error no such argument
  expect(() => new nn.MaxPool2d(2, { strides: 1 })).toThrow(TypeError);
  // @ts-expect-error no such argument
  expect(() => new nn.Linear(1, 2, { bais: false })).toThrow(TypeError);
});

test("weights of losses are buffers", () => {
  const loss = new nn.CrossEntropyLoss({ weight: torch.tensor([1, 3], { dtype: torch.float32 }), reduction: "sum" });
  expect(Object.keys(loss.state_dict())).toEqual(["weight"]);
  const x = torch.zeros([2, 2], { requires_grad: true });
  expect(numbers(loss(x, torch.tensor([0, 1])))[0]).toBeCloseTo(4 * Math.log(2), 5);
  expect(numbers(new nn.MSELoss({ reduction: "none" })(torch.ones([2]), torch.zeros([2])))).toEqual([1, 1]);
});
