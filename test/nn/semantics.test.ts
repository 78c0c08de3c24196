import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, test } from "vitest";

const numbers = (t: torch.Tensor): number[] => Array.from(t.data_sync() as ArrayLike<number | bigint>, Number);

class Scale extends nn.Module {
  factor = 2;
  forward(x: torch.Tensor, options: { twice?: boolean } = {}) {
    if (x.ndim > 2) throw new torch.ValueError("too many");
    return x.mul(this.factor * (options.twice === true ? 2 : 1));
  }
}

describe("hooks with options", () => {
  test("with_kwargs: the options of the call, which others do not see and cannot lose", () => {
    const m = new Scale();
    const seen: unknown[] = [];
    m.register_forward_pre_hook((_m, args) => {
      seen.push(args.length);
      return [torch.ones([1])];
    });
    expect(numbers(m(torch.zeros([1]), { twice: true }))).toEqual([4]);
    m.register_forward_pre_hook((_m, args, kwargs) => [args, { ...kwargs, twice: false }], { with_kwargs: true });
    m.register_forward_hook((_m, _args, kwargs, out) => void seen.push(kwargs, numbers(out as torch.Tensor)), {
      with_kwargs: true,
    });
    m(torch.zeros([1]), { twice: true });
    expect(seen).toEqual([1, 1, { twice: false }, [2]]);
    m.register_forward_pre_hook((() => 3) as never, { with_kwargs: true });
    expect(() => m(torch.zeros([1]))).toThrow("must return null or a pair");
  });

  test("always_call: after a forward that throws, too", () => {
    const m = new Scale();
    const seen: unknown[] = [];
    m.register_forward_hook((_m, _args, out) => void seen.push(out), { always_call: true });
    m.register_forward_hook(() => void seen.push("never"));
    expect(() => m(torch.ones([1, 1, 1]))).toThrow(torch.ValueError);
    expect(seen).toEqual([null]);
  });

  test("hooks of all modules run before a module's own", () => {
    const m = new nn.Sequential(new Scale());
    const seen: string[] = [];
    m[0]!.register_forward_hook(() => void seen.push("own"));
    const { module } = nn.modules;
    const handles = [
      module.register_module_forward_pre_hook((x) => void seen.push(`pre ${x.constructor.name}`)),
      module.register_module_forward_hook((x) => void seen.push(`post ${x.constructor.name}`)),
      module.register_module_full_backward_hook((x) => void seen.push(`back ${x.constructor.name}`)),
    ];
    const x = torch.ones([1], { requires_grad: true });
    m(x).sum().backward();
    for (const handle of handles) handle.remove();
    m(x);
    expect(seen.join(", ")).toBe("pre Sequential, pre Scale, post Scale, own, post Sequential, back Scale, back Sequential, own");
  });

  test("backward hooks get null for what is no tensor, and must give as many gradients as they got", () => {
    class Weighted extends nn.Module {
      forward(factor: number, x: torch.Tensor) {
        return x.mul(factor);
      }
    }
    const m = new Weighted();
    const handle = m.register_full_backward_hook((_m, grads) => {
      expect(grads[0]).toBeNull();
      return [null, grads[1]!.mul(10)];
    });
    const x = torch.ones([1], { requires_grad: true });
    m(3, x).sum().backward();
    expect(numbers(x.grad!)).toEqual([30]);
    handle.remove();
    m.register_full_backward_hook((_m, grads) => [grads[1]!]);
    expect(() => m(3, x).sum().backward()).toThrow("invalid number of grad: got 1, but expected 2");
  });
});

describe("state", () => {
  class Counter extends nn.Module {
    weight = new nn.Parameter(torch.ones([1]));
    steps = 3;
    override get_extra_state() {
      return { steps: this.steps };
    }
    override set_extra_state(state: unknown) {
      this.steps = (state as { steps: number }).steps;
    }
  }

  test("extra state travels along", () => {
    const a = new nn.Sequential(new Counter());
    const state = a.state_dict();
    expect(Object.keys(state)).toEqual(["0.weight", "0._extra_state"]);
    const b = new nn.Sequential(new Counter());
    (b[0] as Counter).steps = 9;
    expect(b.load_state_dict(state)).toEqual({ missing_keys: [], unexpected_keys: [] });
    expect((b[0] as Counter).steps).toBe(3);
    delete state["0._extra_state"];
    expect(b.load_state_dict(state, false).missing_keys).toEqual(["0._extra_state"]);
    expect(new nn.ReLU().load_state_dict(new Counter().state_dict(), false).unexpected_keys).toEqual(["_extra_state", "weight"]);
  });

  test("hooks while saving and loading", () => {
    const m = new nn.Linear(1, 1, { bias: false });
    const seen: string[] = [];
    m.register_state_dict_pre_hook((_m, prefix, keep) => void seen.push(`save ${prefix} ${keep}`));
    m.register_state_dict_post_hook((_m, state, prefix) => {
      state[`${prefix}old`] = state[`${prefix}weight`]!;
      delete state[`${prefix}weight`];
    });
    m.register_load_state_dict_pre_hook((_m, state, prefix) => {
      state[`${prefix}weight`] = state[`${prefix}old`]!;
      delete state[`${prefix}old`];
    });
    const net = new nn.Sequential(m);
    const state = net.state_dict({ keep_vars: true });
    expect(Object.keys(state)).toEqual(["0.old"]);
    state["0.old"] = torch.full([1, 1], 7);
    m.register_load_state_dict_post_hook((_m, keys) => {
      seen.push(`loaded ${numbers(m.weight)}`);
      keys.unexpected_keys.length = 0;
    });
    net.load_state_dict({ ...state, "0.more": torch.ones([1]) });
    expect(seen).toEqual(["save 0. true", "loaded 7"]);
  });

  test("the counter of BatchNorm may be missing in the first version of its format only", () => {
    const bn = new nn.BatchNorm1d(2);
    const state = bn.state_dict();
    delete state.num_batches_tracked;
    expect(() => bn.load_state_dict(state)).toThrow('Missing key(s) in state_dict: "num_batches_tracked". ');
    expect(bn.load_state_dict({ ...state }).missing_keys).toEqual([]);
  });

  test("assign takes the memory; a number may come as a vector of one", () => {
    const fc = new nn.Linear(1, 1, { bias: false });
    const { weight } = fc;
    const value = torch.full([1, 1], 5, { dtype: torch.float64 });
    fc.load_state_dict({ weight: value }, { assign: true });
    expect([fc.weight === weight, weight.dtype, weight.requires_grad]).toEqual([true, torch.float64, true]);
    value.fill_(6);
    expect(numbers(weight)).toEqual([6]);
    const bn = new nn.BatchNorm1d(1);
    bn.load_state_dict({ ...bn.state_dict(), num_batches_tracked: torch.tensor([4]) });
    expect(numbers(bn.num_batches_tracked!)).toEqual([4]);
  });
});

describe("walking and converting", () => {
  test("arguments come by position, too", () => {
    const net = new nn.Sequential(new nn.Linear(1, 1), new nn.ReLU());
    expect(net.named_parameters("net").map(([k]) => k)).toEqual(["net.0.weight", "net.0.bias"]);
    expect(net.named_parameters("net", false)).toEqual([]);
    const memo = new Set<nn.Module>([net[1]!]);
    expect(net.named_modules(memo, "x").map(([k]) => k)).toEqual(["x", "x.0"]);
    expect(net.parameters({ recurse: false })).toEqual([]);
    expect(Object.keys(net.state_dict({ prefix: "p." }))).toEqual(["p.0.weight", "p.0.bias"]);
  });

  test("set_submodule", () => {
    const net = new nn.Sequential(new nn.Sequential(new nn.ReLU()));
    net.set_submodule("0.0", new nn.Tanh());
    expect(String(net.get_submodule("0.0"))).toBe("Tanh()");
    expect(() => net.set_submodule("", new nn.Tanh())).toThrow("without a target name");
    expect(() => net.set_submodule("0.1", new nn.Tanh())).toThrow("has no attribute `1`");
  });

  test("float and double leave integers alone, type does not; to_empty", () => {
    const bn = new nn.BatchNorm1d(2).double();
    expect(bn.num_batches_tracked!.dtype).toBe(torch.int64);
    expect(bn.type(torch.float32).num_batches_tracked!.dtype).toBe(torch.float32);
    const { weight } = bn;
    bn.to_empty({ device: "cpu" });
    expect(bn.weight).toBe(weight);
    expect([weight!.shape, weight!.requires_grad]).toEqual([[2], true]);
  });

  test("deepcopy: memory of its own, hooks, ties within", () => {
    class Tied extends nn.Module {
      a = new nn.Linear(1, 1, { bias: false });
      b = new nn.Linear(1, 1, { bias: false });
      list = [this.a];
      constructor() {
        super();
        this.b.weight = this.a.weight;
      }
      forward(x: torch.Tensor) {
        return this.b(this.a(x));
      }
    }
    const m = new Tied();
    m.register_forward_hook((self, _args, out) => {
      expect(self).toBe(copy);
      return (out as torch.Tensor).mul(0);
    });
    const copy = nn.deepcopy(m);
    expect(copy).toBeInstanceOf(Tied);
    expect(copy.a.weight).toBe(copy.b.weight);
    expect(copy.list[0]).toBe(copy.a);
    expect(copy.a.weight).not.toBe(m.a.weight);
    expect(numbers(copy(torch.ones([1])))).toEqual([0]);
  });

  test("a module that is registered as nothing is printed", () => {
    const net = new nn.Sequential(new nn.ReLU());
    net.add_module("head", null);
    expect(String(net)).toBe("Sequential(\n  (0): ReLU()\n  (head): None\n)");
  });
});
