import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, test } from "vitest";

const numbers = (t: torch.Tensor): number[] => Array.from(t.data_sync() as ArrayLike<number | bigint>, Number);

describe("Sequential", () => {
  test("calls its modules in order; by number or by name", () => {
    const a = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU(), new nn.Linear(3, 1));
    expect(a(torch.ones([4, 2])).shape).toEqual([4, 1]);
    expect(Object.keys(a.state_dict())).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
    expect(a[1]).toBeInstanceOf(nn.ReLU);
    expect(a.at(-1)).toBe(a[2]);
    expect(() => a.at(3)).toThrow(torch.IndexError);
    const b = new nn.Sequential({ first: new nn.Linear(2, 3), act: new nn.Tanh() });
    expect(Object.keys(b.state_dict())).toEqual(["first.weight", "first.bias"]);
    const c = new nn.Sequential(new Map([["x", new nn.Tanh()]]));
    expect(c.length).toBe(1);
  });

  test("append, insert, extend, pop, slice", () => {
    const [a, b, c] = [new nn.Tanh(), new nn.ReLU(), new nn.Sigmoid()];
    const s = new nn.Sequential(a).append(c).insert(1, b);
    expect([...s]).toEqual([a, b, c]);
    expect([...s.slice(1)]).toEqual([b, c]);
    expect(s.pop(0)).toBe(a);
    expect([...s.extend([a])]).toEqual([b, c, a]);
    expect(Object.keys(s).filter((k) => /^\d+$/.test(k))).toEqual(["0", "1", "2"]);
  });
});

test("ModuleList and ModuleDict register what they hold", () => {
  class Net extends nn.Module {
    layers = new nn.ModuleList([new nn.Linear(1, 1), new nn.Linear(1, 1)]);
    heads = new nn.ModuleDict({ a: new nn.Linear(1, 1), b: new nn.Linear(1, 1) });
    forward(x: torch.Tensor) {
      for (const layer of this.layers) x = layer(x);
      return this.heads.get("b")(x);
    }
  }
  const net = new Net();
  expect(net.named_parameters().map(([k]) => k)).toEqual([
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "layers.1.bias",
    "heads.a.weight",
    "heads.a.bias",
    "heads.b.weight",
    "heads.b.bias",
  ]);
  expect(net(torch.ones([1, 1])).shape).toEqual([1, 1]);
  expect(net.heads.keys()).toEqual(["a", "b"]);
  expect(net.heads.has("c")).toBe(false);
  expect(() => net.heads.get("c")).toThrow('no module "c"');
  expect(() => net.heads.set("train", new nn.Linear(1, 1))).toThrow("already exists");
});

test("ParameterList and ParameterDict", () => {
  class Net extends nn.Module {
    list = new nn.ParameterList([torch.ones([1]), torch.ones([2])]);
    dict = new nn.ParameterDict({ w: torch.ones([3]) });
  }
  const net = new Net();
  expect(Object.keys(net.state_dict())).toEqual(["list.0", "list.1", "dict.w"]);
  expect(net.list[1]).toBeInstanceOf(nn.Parameter);
  expect(net.list.length).toBe(2);
  expect(net.dict.get("w").requires_grad).toBe(true);
  const mixed = new nn.ParameterList<unknown>([torch.ones([1]), "x"]);
  expect([mixed.length, mixed[1], mixed.parameters().length]).toEqual([2, "x", 1]);
  expect(() => net.list.extend(3 as never)).toThrow("with an iterable");
  const { dict } = net;
  expect(dict.setdefault("v", torch.zeros([1]))).toBe(dict.get("v"));
  expect([dict.get("no", null), dict.copy().keys(), dict.popitem()[0], dict.length]).toEqual([null, ["w", "v"], "v", 1]);
  expect(() => dict.get("no")).toThrow('no parameter "no"');
  expect(() => dict.set("train", torch.ones([1]))).toThrow("cannot be a key");
  expect(dict.fromkeys(["a", "b"], torch.ones([1])).keys()).toEqual(["a", "b"]);
  dict.clear();
  expect(dict.state_dict()).toEqual({});
});

test("a parameter shares its data's memory and is a leaf", () => {
  const data = torch.zeros([2]);
  const p = new nn.Parameter(data);
  expect([p.is_leaf, p.requires_grad, p instanceof torch.Tensor]).toEqual([true, true, true]);
  data.fill_(3);
  expect(numbers(p)).toEqual([3, 3]);
  expect(new nn.Parameter(data, { requires_grad: false }).requires_grad).toBe(false);
  expect(p.mul(2)).not.toBeInstanceOf(nn.Parameter);
});

describe("utils", () => {
  const leaf = (grad: number[]): torch.Tensor => {
    const p = torch.zeros([grad.length], { requires_grad: true });
    p.grad = torch.tensor(grad, { dtype: torch.float32 });
    return p;
  };

  test("clip_grad_norm_ scales all gradients and returns the norm before", () => {
    const params = [leaf([3, 0]), leaf([4])];
    expect(numbers(nn.utils.clip_grad_norm_(params, 1))[0]).toBeCloseTo(5, 5);
    expect(numbers(params[0]!.grad!)[0]).toBeCloseTo(0.6, 5);
    expect(numbers(nn.utils.clip_grad_norm_(params, { max_norm: 10, norm_type: Infinity }))[0]).toBeCloseTo(0.8, 5);
    expect(numbers(params[1]!.grad!)[0]).toBeCloseTo(0.8, 5);
    expect(() => nn.utils.clip_grad_norm_([leaf([NaN])], 1, { error_if_nonfinite: true })).toThrow("non-finite");
  });

  test("clip_grad_value_, parameters_to_vector, vector_to_parameters", () => {
    const p = leaf([-3, 0.5, 9]);
    nn.utils.clip_grad_value_([p], 1);
    expect(numbers(p.grad!)).toEqual([-1, 0.5, 1]);
    const fc = new nn.Linear(2, 1);
    const vector = nn.utils.parameters_to_vector(fc.parameters());
    expect(vector.shape).toEqual([3]);
    nn.utils.vector_to_parameters(torch.tensor([1, 2, 3], { dtype: torch.float32 }), fc.parameters());
    expect(numbers(fc.weight)).toEqual([1, 2]);
    expect(numbers(fc.bias!)).toEqual([3]);
  });

  test("packed sequences: an LSTM stops each sequence at its end", () => {
    torch.manual_seed(1);
    const lstm = new nn.LSTM(2, 3, { bidirectional: true, batch_first: true });
    const [a, b] = [torch.randn([2, 2]), torch.randn([4, 2])];
    const padded = nn.utils.rnn.pad_sequence([a, b], { batch_first: true });
    expect(padded.shape).toEqual([2, 4, 2]);
    const packed = nn.utils.rnn.pack_padded_sequence(padded, [2, 4], { batch_first: true, enforce_sorted: false });
    expect(numbers(packed.batch_sizes)).toEqual([2, 2, 1, 1]);
    const [out, [h]] = lstm(packed);
    const [values, lengths] = nn.utils.rnn.pad_packed_sequence(out as never, { batch_first: true });
    expect(numbers(lengths)).toEqual([2, 4]);
    [a, b].forEach((x, i) => {
      const [alone, [last]] = lstm(x.unsqueeze(0));
      const got = numbers(values.select(0, i).narrow(0, 0, x.shape[0]!));
      numbers(alone).forEach((v, j) => expect(got[j]).toBeCloseTo(v, 5));
      const state = numbers(h.select(1, i));
      numbers(last).forEach((v, j) => expect(state[j]).toBeCloseTo(v, 5));
    });
    expect(() => nn.utils.rnn.pack_padded_sequence(padded, [2, 4], { batch_first: true })).toThrow("decreasing order");
  });
});
