/** nn.utils. Numbers are PyTorch's (1.13), for layers made by `linear`, rounded to five digits. */

import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, test } from "vitest";

const { parametrizations, parametrize, prune } = nn.utils;
const numbers = (t: torch.Tensor): number[] => Array.from(t.detach().contiguous().data_sync() as ArrayLike<number>, Number);
const near = (t: torch.Tensor, want: readonly number[]): void => {
  const got = numbers(t);
  expect(got).toHaveLength(want.length);
  got.forEach((x, i) => expect(x).toBeCloseTo(want[i]!, 4));
};
const keys = (m: nn.Module): string[] => Object.keys(m.state_dict());
const f32 = (values: unknown): torch.Tensor => torch.tensor(values as number[], { dtype: torch.float32 });

/** weight.copy_(((torch.arange(o * i) * 7 % 5) - 1.5).reshape(o, i)) */
function linear(outputs = 3, inputs = 2): nn.Linear {
  const m = new nn.Linear(inputs, outputs, { bias: false });
  torch.no_grad(() =>
    m.weight.copy_(
      torch
        .arange(outputs * inputs)
        .mul(7)
        .remainder(5)
        .sub(1.5)
        .reshape([outputs, inputs]),
    ),
  );
  return m;
}
/** What parametrizes the weight. */
function of(m: nn.Module) {
  return (m as unknown as { parametrizations: nn.ModuleDict }).parametrizations.get("weight") as unknown as {
    original: nn.Parameter;
    original0: nn.Parameter;
    original1: nn.Parameter;
    [n: number]: nn.Module & { _u: torch.Tensor; base: torch.Tensor };
  };
}
const x = f32([[1, 2]]);

describe("parametrize", () => {
  class Square extends nn.Module {
    calls = 0;
    forward(t: torch.Tensor) {
      this.calls++;
      return t.mul(t);
    }
    right_inverse(t: torch.Tensor) {
      return t.abs().sqrt();
    }
  }

  test("the tensor is computed from its original; assigning to it works backwards", () => {
    const m = linear();
    const { weight } = m;
    parametrize.register_parametrization(m, "weight", new Square());
    expect(String(m)).toBe(`ParametrizedLinear(
  in_features=2, out_features=3, bias=False
  (parametrizations): ModuleDict(
    (weight): ParametrizationList(
      (0): Square()
    )
  )
)`);
    expect([m instanceof nn.Linear, parametrize.is_parametrized(m, "weight"), parametrize.is_parametrized(m, "bias")]).toEqual([
      true,
      true,
      false,
    ]);
    expect(parametrize.type_before_parametrizations(m)).toBe(nn.Linear);
    expect(keys(m)).toEqual(["parametrizations.weight.original"]);
    expect(of(m).original).toBe(weight);
    near(m.weight, [1.5, 0.5, 2.5, 0.5, 1.5, 1.5]);
    m.weight = f32([
      [4, 9],
      [1, 4],
      [9, 0],
    ]) as nn.Parameter;
    near(weight, [2, 3, 1, 2, 3, 0]);
    m(x).sum().backward();
    near(weight.grad!, [4, 12, 2, 8, 6, 0]);
    parametrize.remove_parametrizations(m, "weight");
    expect([m.constructor, keys(m), m.weight === weight]).toEqual([nn.Linear, ["weight"], true]);
    near(m.weight, [4, 9, 1, 4, 9, 0]);
  });

  test("cached: computed once; one on top of the other; copies are their own", () => {
    const m = linear();
    const square = new Square();
    parametrize.register_parametrization(m, "weight", square);
    square.calls = 0;
    parametrize.cached(() => [m(x), m(x)]);
    expect(square.calls).toBe(1);
    parametrize.register_parametrization(m, "weight", new Square());
    near(m.weight, [2.25, 0.25, 6.25, 0.25, 2.25, 2.25]);
    const copy = nn.deepcopy(m);
    parametrize.remove_parametrizations(copy, "weight", { leave_parametrized: false });
    expect(copy.constructor).toBe(nn.Linear);
    near(m.weight, [2.25, 0.25, 6.25, 0.25, 2.25, 2.25]);
    const other = parametrize.transfer_parametrizations_and_params(m, linear());
    near(other.weight, numbers(m.weight));
    m.eval();
    expect(square.training).toBe(false);
  });

  test("what it must not do", () => {
    class Half extends nn.Module {
      forward(t: torch.Tensor) {
        return t.narrow(0, 0, 1);
      }
    }
    class Number extends nn.Module {
      forward() {
        return 1;
      }
    }
    const m = linear();
    expect(() => parametrize.register_parametrization(m, "weight", new Half())).toThrow("may not change the shape");
    expect(() => parametrize.register_parametrization(m, "weight", new Number())).toThrow("must return a tensor. Got number");
    expect(() => parametrize.register_parametrization(m, "no", new Half())).toThrow("with name 'no'");
    expect(keys(m)).toEqual(["weight"]);
    parametrize.register_parametrization(m, "weight", new Half(), { unsafe: true });
    expect(m.weight.shape).toEqual([1, 2]);
    expect(() => (m.weight = torch.ones([1, 2]) as nn.Parameter)).toThrow("Half does not implement right_inverse");
    expect(() => parametrize.remove_parametrizations(linear(), "weight")).toThrow("does not have a parametrization on weight");
  });
});

describe("weight_norm and spectral_norm", () => {
  test("parametrizations.weight_norm: keys, the same function, states of the older form", () => {
    const m = parametrizations.weight_norm(linear());
    expect(keys(m)).toEqual(["parametrizations.weight.original0", "parametrizations.weight.original1"]);
    expect(of(m).original0.shape).toEqual([3, 1]);
    near(m.weight, numbers(linear().weight));
    const old = nn.utils.weight_norm(new nn.Linear(2, 3, { bias: false }));
    new nn.Sequential(m).load_state_dict(new nn.Sequential(old).state_dict());
    near(m.weight, numbers(old.weight));
    parametrize.remove_parametrizations(m, "weight");
    near(m.weight, numbers(old.weight));
  });

  test("weight_norm", () => {
    const m = nn.utils.weight_norm(linear(), { dim: 1 });
    expect(keys(m)).toEqual(["weight_g", "weight_v"]);
    near(m(x), numbers(linear()(x)));
    m(x).sum().backward();
    const { weight_g, weight_v } = m as unknown as { weight_g: nn.Parameter; weight_v: nn.Parameter };
    near(weight_g, [3.27872, 1.65831]);
    near(weight_g.grad!, [0.76249, -1.80907]);
    near(weight_v.grad!, [1.34884, 2.54545, 0.4186, 1.45455, 0.65116, 0.36364]);
    expect(() => nn.utils.weight_norm(m, "weight")).toThrow("Cannot register two weight_norm hooks");
    const copy = nn.deepcopy(m);
    nn.utils.remove_weight_norm(copy);
    expect([keys(copy), keys(m)]).toEqual([["weight"], ["weight_g", "weight_v"]]);
    near(copy(x), numbers(m(x)));
    expect(() => nn.utils.remove_weight_norm(copy)).toThrow("weight_norm of 'weight' not found");
    near((nn.utils.weight_norm(linear(), { dim: null }) as unknown as { weight_g: torch.Tensor }).weight_g, [3.67423]);
  });

  test("parametrizations.spectral_norm", () => {
    torch.manual_seed(3);
    const m = parametrizations.spectral_norm(linear());
    expect(keys(m)).toEqual(["parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v"]);
    near(m.weight, [-0.42281, 0.14094, 0.70468, -0.14094, 0.42281, -0.42281]);
    near(of(m)[0]!._u, [0.44403, -0.70278, -0.55583]);
    m(x).sum().backward();
    near(of(m).original.grad!, [0.26568, 0.57074, 0.3075, 0.55267, 0.30214, 0.55498]);
    expect(() => parametrizations.spectral_norm(linear(), { n_power_iterations: 0 })).toThrow("to be positive");
    expect(() => parametrizations.spectral_norm(linear(), { dim: 2 })).toThrow(torch.IndexError);
  });

  test("spectral_norm", () => {
    torch.manual_seed(3);
    const m = nn.utils.spectral_norm(linear());
    near(m(x), [-0.17113, 0.51339, -0.51339]);
    expect(keys(m)).toEqual(["weight_orig", "weight_u", "weight_v"]);
    nn.utils.remove_spectral_norm(m);
    expect(keys(m)).toEqual(["weight"]);
    near(m.weight, [-0.51339, 0.17113, 0.85566, -0.17113, 0.51339, -0.51339]);
  });
});

describe("orthogonal", () => {
  const tall = [-0.4575, -0.08994, 0.76249, 0.47218, 0.4575, -0.8769];
  const wide = [-0.50709, 0.16903, 0.84515, -0.43366, 0.79738, -0.41967];
  test.each<["matrix_exp" | "cayley" | "householder", number, number, number[], number[]]>([
    ["matrix_exp", 3, 2, tall, [0, 0, -6.68072, 0, 1.47442, 2.94884]],
    ["cayley", 3, 2, tall, [0, 0, -6.68072, 0, 1.47442, 2.94884]],
    ["householder", 3, 2, tall, [0, 0, -13.36143, 0, 2.94884, 5.89768]],
    ["matrix_exp", 2, 3, wide, [0, -3.42258, 1.24141, 0, 0, 6.20704]],
    ["householder", 2, 3, wide, [0, -6.84517, 2.48282, 0, 0, 12.41409]],
  ])("%s of %i x %i", (orthogonal_map, outputs, inputs, weight, grad) => {
    torch.manual_seed(1);
    const m = parametrizations.orthogonal(linear(outputs, inputs), { orthogonal_map });
    near(m.weight, weight);
    expect(keys(m)).toEqual(["parametrizations.weight.original", "parametrizations.weight.0.base"]);
    m.weight
      .mul(torch.arange(6, { dtype: torch.float32 }).reshape([outputs, inputs]))
      .sum()
      .backward();
    near(of(m).original.grad!, grad);
    torch.no_grad(() => of(m).original.sub_(of(m).original.grad!.mul(0.05)));
    const w = m.weight.detach();
    near(outputs > inputs ? w.t().mm(w) : w.mm(w.t()), [1, 0, 0, 1]);
  });

  test("without a base: householder's own inverse; bad arguments", () => {
    const m = parametrizations.orthogonal(linear(), { orthogonal_map: "householder", use_trivialization: false });
    near(m.weight, tall);
    near(of(m).original, [1, -1.29624, -0.52315, -1, -0.31389, -0.63513]);
    m.weight = f32([
      [1, 0],
      [0, 1],
      [0, 0],
    ]) as nn.Parameter;
    near(m.weight, [1, 0, 0, 1, 0, 0]);
    expect(() => parametrizations.orthogonal(linear(), { orthogonal_map: "x" as never })).toThrow(
      "orthogonal_map has to be one of",
    );
    expect(() => parametrizations.orthogonal(new nn.Linear(1, 1), "bias")).toThrow("Got a tensor of 1 dimensions");
    const free = parametrizations.orthogonal(linear(2, 2), { orthogonal_map: "cayley", use_trivialization: false });
    expect(() => (free.weight = torch.eye(2) as nn.Parameter)).toThrow(torch.NotImplementedError);
  });
});

describe("prune", () => {
  const mask = (m: nn.Module): number[] => numbers((m as unknown as { weight_mask: torch.Tensor }).weight_mask);

  test("one technique after the other", () => {
    const m = linear(4, 3);
    const { weight } = m;
    prune.l1_unstructured(m, "weight", 0.5);
    expect(keys(m)).toEqual(["weight_orig", "weight_mask"]);
    expect(mask(m)).toEqual([1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0]);
    prune.ln_structured(m, "weight", 1, 2, 0);
    expect(mask(m)).toEqual([1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0]);
    const copy = nn.deepcopy(m);
    prune.ln_structured(m, "weight", 1, Infinity, 1);
    expect(mask(m)).toEqual([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0]);
    expect(mask(copy)).toEqual([1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0]);
    m(torch.ones([1, 3]))
      .sum()
      .backward();
    expect(numbers(weight.grad!)).toEqual(mask(m));
    expect(prune.is_pruned(new nn.Sequential(m))).toBe(true);
    prune.remove(m, "weight");
    expect([keys(m), m.weight === weight, prune.is_pruned(m)]).toEqual([["weight"], true, false]);
    near(m.weight, [0, 0, 2.5, 0, 0, 0, 0, 2.5, 0, 0, -1.5, 0]);
    expect(() => prune.remove(m, "weight")).toThrow("has to be pruned before");
  });

  test("by chance, from a mask, by other scores, over several modules", () => {
    torch.manual_seed(0);
    const m = linear(4, 3);
    prune.random_unstructured(m, "weight", 3);
    expect(mask(m)).toEqual([1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0]);
    prune.random_structured(m, "weight", 1, 1);
    expect(mask(m)).toEqual([0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0]);
    const [a, b] = [linear(4, 3), linear(2, 3)];
    prune.global_unstructured(
      [
        [a, "weight"],
        [b, "weight"],
      ],
      prune.L1Unstructured,
      null,
      0.4,
    );
    expect(mask(a)).toEqual([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0]);
    expect(mask(b)).toEqual([1, 0, 1, 0, 1, 1]);
    const c = prune.custom_from_mask(linear(), "weight", f32([[1, 0], [0, 1], [1, 1]])); // prettier-ignore
    expect(mask(c)).toEqual([1, 0, 0, 1, 1, 1]);
    const d = prune.l1_unstructured(linear(), "weight", 5, f32([[1, 2], [3, 9], [5, 6]])); // prettier-ignore
    expect(mask(d)).toEqual([0, 0, 0, 1, 0, 0]);
    expect(mask(prune.identity(linear(), "weight"))).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test("bad arguments", () => {
    const m = linear();
    expect(() => prune.l1_unstructured(m, "weight", 1.5)).toThrow("amount=1.5 should either be a float in the range [0, 1]");
    expect(() => prune.l1_unstructured(m, "weight", 7)).toThrow("amount=7 should be smaller than the number of parameters");
    expect(() => prune.random_structured(m, "weight", 1, 2)).toThrow("Invalid index 2 for tensor of size [3, 2]");
    expect(() => prune.ln_structured(new nn.Linear(1, 2), "bias", 1, 2, 0)).toThrow("multidimensional tensors");
    expect(() => prune.identity(m, "no")).toThrow("'no' of Linear is not a parameter");
    expect(() => prune.global_unstructured([[m, "weight"]], prune.LnStructured, null, 1, 2)).toThrow('Only "unstructured"');
    expect(keys(m)).toEqual(["weight"]);
  });
});

describe("the rest", () => {
  test("fuse_conv_bn_eval and fuse_linear_bn_eval", () => {
    torch.manual_seed(0);
    const check = (layer: nn.Module, bn: nn.BatchNorm2d, fuse: () => nn.Module, input: torch.Tensor): void => {
      torch.no_grad(() => {
        bn.running_mean!.normal_();
        bn.running_var!.uniform_(0.5, 2);
        bn.weight!.normal_();
        bn.bias!.normal_();
      });
      expect(fuse).toThrow("only for eval()");
      layer.eval();
      bn.eval();
      const want = numbers(bn(layer(input) as torch.Tensor));
      near(fuse()(input) as torch.Tensor, want);
    };
    const conv = new nn.Conv2d(2, 3, 2, { bias: false });
    const bn = new nn.BatchNorm2d(3);
    check(conv, bn, () => nn.utils.fuse_conv_bn_eval(conv, bn), torch.randn([1, 2, 3, 3]));
    const transposed = new nn.ConvTranspose2d(2, 3, 2);
    check(transposed, bn.train(), () => nn.utils.fuse_conv_bn_eval(transposed, bn, true), torch.randn([1, 2, 3, 3]));
    const fc = new nn.Linear(2, 3);
    const flat = new nn.BatchNorm1d(3);
    check(fc, flat, () => nn.utils.fuse_linear_bn_eval(fc, flat), torch.randn([4, 2]));
  });

  test("skip_init draws nothing", () => {
    torch.manual_seed(0);
    const before = torch.get_rng_state();
    const m = nn.utils.skip_init(nn.Linear, 2, 3, { dtype: torch.float64 });
    expect([m.weight.shape, m.weight.dtype]).toEqual([[3, 2], torch.float64]);
    expect(numbers(torch.get_rng_state())).toEqual(numbers(before));
    expect(numbers(new nn.Linear(1, 1).weight)[0]).not.toBe(0);
  });

  test("clip_grads_with_norm_, and norms by name", () => {
    const p = torch.zeros([2], { requires_grad: true });
    p.grad = f32([3, -4]);
    expect(numbers(nn.utils.get_total_norm([p.grad], "inf"))).toEqual([4]);
    nn.utils.clip_grads_with_norm_([p], 1, torch.tensor(10));
    near(p.grad, [0.3, -0.4]);
    expect(numbers(nn.utils.clip_grad_norm_([torch.zeros([1])], 1))).toEqual([0]);
  });

  test("packed sequences: in and out again, other types", () => {
    const { rnn } = nn.utils;
    const sequences = [f32([1, 2]), f32([3, 4, 5]), f32([6])];
    const packed = rnn.pack_sequence(sequences, { enforce_sorted: false });
    expect(rnn.unpack_sequence(packed).map(numbers)).toEqual([[1, 2], [3, 4, 5], [6]]);
    expect(packed.double().data.dtype).toBe(torch.float64);
    expect([...packed.to(torch.int64)].map((t) => numbers(t!))).toEqual([
      [3, 1, 6, 4, 2, 5],
      [3, 2, 1],
      [1, 0, 2],
      [1, 0, 2],
    ]);
    const again = new rnn.PackedSequence(packed.data, packed.batch_sizes, packed.sorted_indices);
    expect(numbers(again.unsorted_indices!)).toEqual([1, 0, 2]);
    expect([packed.cpu() === packed, packed.is_cuda]).toEqual([true, false]);
  });

  test("functional_call under its older name", () => {
    const m = linear();
    near(nn.utils.stateless.functional_call(m, { weight: torch.ones([3, 2]) }, x) as torch.Tensor, [3, 3, 3]);
  });

  test("functions in place, indices, conv_tbc", () => {
    const F = nn.functional;
    const t = f32([-1, 2]);
    expect(F.relu_(t)).toBe(t);
    expect(numbers(t)).toEqual([0, 2]);
    expect(numbers(F.threshold_(t, 1, 9))).toEqual([9, 2]);
    expect(numbers(F.leaky_relu_(f32([-1]), { negative_slope: 0.5 }))).toEqual([-0.5]);
    expect(numbers(F.hardtanh_(f32([-3, 3]), -2, 2))).toEqual([-2, 2]);
    const [values, at] = F.adaptive_max_pool1d_with_indices(f32([[1, 5, 2, 3]]), 2);
    expect([numbers(values), numbers(at)]).toEqual([
      [5, 3],
      [1, 3],
    ]);
    // torch.conv_tbc(torch.arange(6.).reshape(3, 1, 2), torch.ones(2, 2, 1), torch.ones(1))
    near(
      F.conv_tbc(torch.arange(6, { dtype: torch.float32 }).reshape([3, 1, 2]), torch.ones([2, 2, 1]), torch.ones([1])),
      [7, 15],
    );
  });

  test("attention's implementation is a hint", () => {
    const { SDPBackend, sdpa_kernel } = nn.attention;
    expect(sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], () => 3)).toBe(3);
    expect(() => sdpa_kernel(9 as never, () => 3)).toThrow(TypeError);
  });
});
