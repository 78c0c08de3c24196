import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, test } from "vitest";

const numbers = (t: torch.Tensor): number[] => Array.from(t.data_sync() as ArrayLike<number>, Number);

describe("lazy modules", () => {
  test("become plain ones with the first input, and draw what those draw", () => {
    const net = new nn.Sequential(new nn.LazyLinear(3), new nn.LazyBatchNorm1d());
    expect(String(net)).toBe(`Sequential(
  (0): LazyLinear(in_features=0, out_features=3, bias=True)
  (1): LazyBatchNorm1d(0, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
)`);
    const weight = (net[0] as nn.Linear).weight;
    expect(weight).toBeInstanceOf(nn.UninitializedParameter);
    expect(String(weight)).toBe("<UninitializedParameter>");
    expect(() => weight.add(1)).toThrow("Can't access the shape of an uninitialized parameter");
    net.double();
    torch.manual_seed(0);
    net(torch.ones([2, 5], { dtype: torch.float64 }));
    expect(net[0]!.constructor).toBe(nn.Linear);
    expect(net[1]).not.toBeInstanceOf(nn.LazyBatchNorm1d);
    expect((net[0] as nn.Linear).weight).toBe(weight);
    expect([weight.shape, weight.dtype, weight.requires_grad]).toEqual([[3, 5], torch.float64, true]);
    expect(String(net[0])).toBe("Linear(in_features=5, out_features=3, bias=True)");
    expect(Object.keys(net.state_dict())).toHaveLength(7);
    torch.manual_seed(0);
    expect(numbers(new nn.Linear(5, 3, { dtype: torch.float64 }).weight)).toEqual(numbers(weight));
  });

  test.each<[string, () => nn.Module, number[], number[]]>([
    ["Conv1d", () => new nn.LazyConv1d(4, 3, { groups: 2 }), [2, 6, 5], [4, 3, 3]],
    ["Conv2d", () => new nn.LazyConv2d(4, 3), [6, 5, 5], [4, 6, 3, 3]],
    ["ConvTranspose2d", () => new nn.LazyConvTranspose2d(4, 3, { groups: 2, bias: false }), [1, 6, 5, 5], [6, 2, 3, 3]],
    ["InstanceNorm1d", () => new nn.LazyInstanceNorm1d(), [2, 6, 5], [6]],
    ["BatchNorm3d", () => new nn.LazyBatchNorm3d({ momentum: null }), [2, 6, 2, 2, 2], [6]],
  ])("%s", (name, make, input, weight) => {
    const m = make();
    m(torch.ones(input));
    expect(m.constructor.name).toBe(name);
    expect((m as nn.Linear).weight.shape).toEqual(weight);
  });

  test("states: lazy into lazy, plain into lazy, lazy into plain", () => {
    const make = (): nn.LazyLinear => new nn.LazyLinear(3, { bias: false });
    const state = make().state_dict();
    expect(state.weight).toBeInstanceOf(nn.UninitializedParameter);
    const lazy = make();
    lazy.load_state_dict(state);
    expect(lazy.has_uninitialized_params()).toBe(true);
    const plain = new nn.Linear(2, 3, { bias: false });
    lazy.load_state_dict(plain.state_dict());
    expect(numbers(lazy.weight)).toEqual(numbers(plain.weight));
    lazy(torch.ones([1, 2]));
    expect(numbers(lazy.weight)).toEqual(numbers(plain.weight));
    expect(lazy.in_features).toBe(2);
    expect(() => plain.load_state_dict(state)).toThrow("uninitialized parameter");
  });

  test("copies are lazy on their own; bad inputs", () => {
    const a = new nn.LazyConv2d(4, 3, { groups: 2 });
    const b = nn.deepcopy(a);
    expect(() => b(torch.ones([3, 8]))).toThrow("Expected 3D (unbatched) or 4D (batched) input to LazyConv2d");
    expect(() => b(torch.ones([3, 8, 8]))).toThrow("divisible by groups");
    b(torch.ones([1, 2, 8, 8]));
    expect([a.has_uninitialized_params(), b.weight.shape]).toEqual([true, [4, 1, 3, 3]]);
    const parameter = new nn.UninitializedParameter({ dtype: torch.float64 });
    parameter.materialize([2, 3]);
    expect([parameter.shape, parameter.constructor, parameter.dtype]).toEqual([[2, 3], nn.Parameter, torch.float64]);
  });
});
