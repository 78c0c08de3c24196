import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, expectTypeOf, test } from "vitest";

class Block extends nn.Module {
  conv = new nn.Conv2d(1, 2, 3, { padding: 1 });
  bn = new nn.BatchNorm2d(2);
  forward(x: torch.Tensor) {
    return this.bn(this.conv(x)).relu();
  }
}

class Net extends nn.Module {
  scale = new nn.Parameter(torch.ones([1]));
  block = new Block();
  mask = new nn.Buffer(torch.zeros([3]));
  fc: nn.Linear;
  constructor(classes: number) {
    super();
    this.fc = new nn.Linear(2, classes);
    this.register_buffer("scratch", torch.zeros([2]), { persistent: false });
  }
  forward(x: torch.Tensor, options: { twice?: boolean } = {}) {
    const h = this.block(x).mean({ dim: [2, 3] });
    const out = this.fc(h).mul(this.scale);
    return options.twice === true ? out.mul(2) : out;
  }
}

const input = (): torch.Tensor => torch.arange(32, { dtype: torch.float32 }).reshape([2, 1, 4, 4]).div(32);
const numbers = (t: torch.Tensor): number[] => Array.from(t.data_sync() as ArrayLike<number | bigint>, Number);

describe("calling", () => {
  test("runs forward with all its arguments and has forward's type", () => {
    const net = new Net(3);
    const out = net(input());
    expectTypeOf(out).toEqualTypeOf<torch.Tensor>();
    expectTypeOf(net).parameters.toEqualTypeOf<[x: torch.Tensor, options?: { twice?: boolean }]>();
    expect(out.shape).toEqual([2, 3]);
    net.eval();
    const once = numbers(net(input()));
    expect(numbers(net(input(), { twice: true }))).toEqual(once.map((x) => 2 * x));
    // @ts-expect-error forward takes a tensor
    expect(() => net("x")).toThrow();
  });

  test("modules are instances of their class, with fields and getters of any name", () => {
    class Odd extends nn.Module {
      override name = "odd";
      forward(x: torch.Tensor) {
        return x;
      }
    }
    const odd = new Odd();
    expect(odd).toBeInstanceOf(Odd);
    expect(odd).toBeInstanceOf(nn.Module);
    expect(odd.name).toBe("odd");
    expect(new nn.ModuleList([odd, odd]).length).toBe(2);
  });

  test("without forward: an error that names the class", () => {
    class Empty extends nn.Module {}
    expect(() => new Empty()(1) as unknown).toThrow('Module [Empty] is missing the required "forward" function');
    expect(() => new nn.ModuleList([])(1) as unknown).toThrow(torch.NotImplementedError);
  });
});

describe("walking", () => {
  const keys = (pairs: readonly (readonly [string, unknown])[]): string[] => pairs.map(([k]) => k);

  test("state_dict has PyTorch's keys in its order", () => {
    expect(Object.keys(new Net(3).state_dict())).toEqual([
      "scale",
      "mask",
      "block.conv.weight",
      "block.conv.bias",
      "block.bn.weight",
      "block.bn.bias",
      "block.bn.running_mean",
      "block.bn.running_var",
      "block.bn.num_batches_tracked",
      "fc.weight",
      "fc.bias",
    ]);
    expect(new nn.BatchNorm1d(2).state_dict().num_batches_tracked!.dtype).toBe(torch.int64);
    expect(Object.keys(new nn.LSTM(2, 3, { bidirectional: true, proj_size: 1 }).state_dict()).slice(4, 7)).toEqual([
      "weight_hr_l0",
      "weight_ih_l0_reverse",
      "weight_hh_l0_reverse",
    ]);
  });

  test("parameters, buffers, children, modules", () => {
    const net = new Net(3);
    expect(keys(net.named_parameters())).toEqual([
      "scale",
      "block.conv.weight",
      "block.conv.bias",
      "block.bn.weight",
      "block.bn.bias",
      "fc.weight",
      "fc.bias",
    ]);
    expect(keys(net.named_parameters({ prefix: "net", recurse: false }))).toEqual(["net.scale"]);
    expect(keys(net.named_buffers())).toContain("scratch");
    expect(keys(net.named_children())).toEqual(["block", "fc"]);
    expect(keys(net.named_modules())).toEqual(["", "block", "block.conv", "block.bn", "fc"]);
    expect(net.get_parameter("block.conv.weight")).toBe(net.block.conv.weight);
    expect(net.get_submodule("block.bn")).toBe(net.block.bn);
    expect(net.get_buffer("block.bn.running_mean")).toBe(net.block.bn.running_mean);
    expect(() => net.get_submodule("block.no")).toThrow("Block has no attribute `no`");
    expect(() => net.get_parameter("block")).toThrow("is not a Parameter");
  });

  test("a shared parameter counts once, but has both keys in the state_dict", () => {
    class Tied extends nn.Module {
      a = new nn.Linear(2, 2, { bias: false });
      b = new nn.Linear(2, 2, { bias: false });
    }
    const tied = new Tied();
    tied.b.weight = tied.a.weight;
    expect(tied.parameters()).toHaveLength(1);
    expect(keys(tied.named_parameters({ remove_duplicate: false }))).toEqual(["a.weight", "b.weight"]);
    expect(Object.keys(tied.state_dict())).toEqual(["a.weight", "b.weight"]);
  });

  test("names that cannot be registered", () => {
    const net = new Net(3);
    expect(() => net.register_buffer("a.b", null)).toThrow('buffer name can\'t contain ".", got: a.b');
    expect(() => net.register_buffer("", null)).toThrow("can't be empty");
    expect(() => net.register_buffer("train", null)).toThrow("attribute 'train' already exists");
    expect(() => net.register_parameter("p", torch.ones([1]) as nn.Parameter)).toThrow("nn.Parameter or null required");
    expect(() => net.add_module("m", 3 as never)).toThrow("is not a Module subclass");
  });
});

describe("modes and conversion", () => {
  test("train and eval reach all modules, and change what they do", () => {
    const drop = new nn.Sequential(new nn.Dropout(0.5), new nn.Identity());
    expect(drop.eval()).toBe(drop);
    expect(drop.modules().map((m) => m.training)).toEqual([false, false, false]);
    expect(numbers(drop(torch.ones([100])))).toEqual(new Array(100).fill(1));
    drop.train();
    torch.manual_seed(0);
    const kept = numbers(drop(torch.ones([100])));
    expect(new Set(kept)).toEqual(new Set([0, 2]));
  });

  test("batch norm learns its statistics in training only", () => {
    const bn = new nn.BatchNorm1d(1, { momentum: 0.5 });
    const x = torch.tensor([[1], [3]], { dtype: torch.float32 });
    bn(x);
    expect(numbers(bn.running_mean!)).toEqual([1]);
    expect(numbers(bn.num_batches_tracked!)).toEqual([1]);
    bn.eval();
    bn(x);
    expect(numbers(bn.running_mean!)).toEqual([1]);
    expect(numbers(bn.num_batches_tracked!)).toEqual([1]);
  });

  test("to keeps parameters the same objects and leaves integers alone", () => {
    const net = new Net(3);
    const weight = net.fc.weight;
    expect(net.double()).toBe(net);
    expect(net.fc.weight).toBe(weight);
    expect(weight.dtype).toBe(torch.float64);
    expect(net.block.bn.running_mean!.dtype).toBe(torch.float64);
    expect(net.block.bn.num_batches_tracked!.dtype).toBe(torch.int64);
    net(input().double()).sum().backward();
    expect(weight.grad!.dtype).toBe(torch.float64);
    expect(net.to("cpu", torch.float32).fc.weight.grad!.dtype).toBe(torch.float32);
    expect(() => net.to(torch.int64)).toThrow("only accepts floating point or complex dtypes");
  });

  test("zero_grad, requires_grad_, apply", () => {
    const net = new Net(3);
    net(input()).sum().backward();
    net.zero_grad({ set_to_none: false });
    expect(numbers(net.scale.grad!)).toEqual([0]);
    net.zero_grad();
    expect(net.scale.grad).toBeNull();
    net.requires_grad_(false);
    expect(net(input()).requires_grad).toBe(false);
    const order: string[] = [];
    net.apply((m) => void order.push(m.constructor.name));
    expect(order).toEqual(["Conv2d", "BatchNorm2d", "Block", "Linear", "Net"]);
  });
});

describe("load_state_dict", () => {
  test("copies values and keeps the tensors", () => {
    const [a, b] = [new Net(3), new Net(3)];
    const weight = b.fc.weight;
    expect(b.load_state_dict(a.state_dict())).toEqual({ missing_keys: [], unexpected_keys: [] });
    expect(b.fc.weight).toBe(weight);
    expect(numbers(b.fc.weight)).toEqual(numbers(a.fc.weight));
    torch.no_grad(() => a.fc.weight.zero_());
    expect(numbers(b.fc.weight)).not.toEqual(numbers(a.fc.weight));
    expect(b.load_state_dict(new Map(Object.entries(a.state_dict()))).missing_keys).toEqual([]);
    expect(numbers(b.fc.weight)).toEqual(numbers(a.fc.weight));
  });

  test("missing and unexpected keys, strict and not", () => {
    const net = new nn.Linear(2, 2);
    const state = { weight: torch.ones([2, 2]), extra: torch.ones([1]) };
    const before = numbers(net.weight);
    expect(() => net.load_state_dict(state)).toThrow(
      'Error(s) in loading state_dict for Linear:\n\tMissing key(s) in state_dict: "bias". \n\tUnexpected key(s) in state_dict: "extra". ',
    );
    expect(numbers(net.weight)).toEqual(before);
    expect(net.load_state_dict(state, { strict: false })).toEqual({ missing_keys: ["bias"], unexpected_keys: ["extra"] });
    expect(numbers(net.weight)).toEqual([1, 1, 1, 1]);
  });

  test("wrong shapes fail even when not strict, and nothing is written", () => {
    const net = new nn.Linear(2, 2);
    const bias = numbers(net.bias!);
    const state = { weight: torch.ones([3, 2]), bias: torch.ones([2]) };
    expect(() => net.load_state_dict(state, false)).toThrow(
      "size mismatch for weight: copying a param with shape torch.Size([3, 2]) from checkpoint, the shape in current model is torch.Size([2, 2]).",
    );
    expect(numbers(net.bias!)).toEqual(bias);
    expect(() => net.load_state_dict(3 as never)).toThrow(TypeError);
    expect(() => net.load_state_dict({ weight: 1, bias: 2 } as never)).toThrow(
      "expected torch.Tensor or Tensor-like object from checkpoint",
    );
  });
});

describe("hooks", () => {
  test("before and after forward, in order, and removable", () => {
    const fc = new nn.Linear(2, 1, { bias: false });
    torch.no_grad(() => fc.weight.fill_(1));
    const seen: string[] = [];
    const pre = fc.register_forward_pre_hook((m, [x]) => {
      expect(m).toBe(fc);
      seen.push("pre");
      return (x as torch.Tensor).mul(2);
    });
    const post = fc.register_forward_hook((_m, args, out) => {
      seen.push(`post ${numbers(args[0] as torch.Tensor)}`);
      return (out as torch.Tensor).add(1);
    });
    fc.register_forward_hook(() => void seen.push("first"), { prepend: true });
    expect(numbers(fc(torch.ones([1, 2])))).toEqual([5]);
    expect(seen).toEqual(["pre", "first", "post 2,2"]);
    pre.remove();
    post.remove();
    expect(numbers(fc(torch.ones([1, 2])))).toEqual([2]);
  });

  test("backward hooks see the gradients and may change them", () => {
    const fc = new nn.Linear(2, 1, { bias: false });
    torch.no_grad(() => fc.weight.copy_(torch.tensor([[3, 4]])));
    const seen: unknown[] = [];
    fc.register_full_backward_pre_hook((_m, [g]) => [g!.mul(2)]);
    const handle = fc.register_full_backward_hook((m, [gi], [go]) => {
      expect(m).toBe(fc);
      seen.push(numbers(gi!), numbers(go!));
      return [gi!.mul(10)];
    });
    const x = torch.ones([1, 2], { requires_grad: true });
    fc(x).sum().backward();
    expect(seen).toEqual([[6, 8], [2]]);
    expect(numbers(x.grad!)).toEqual([60, 80]);
    expect(numbers(fc.weight.grad!)).toEqual([2, 2]);
    handle.remove();
    x.grad = null;
    fc(x).sum().backward();
    expect(numbers(x.grad!)).toEqual([6, 8]);
  });

  test("backward hooks run where no input needs a gradient", () => {
    const fc = new nn.Linear(2, 1);
    let calls = 0;
    fc.register_full_backward_hook((_m, gradInput, [go]) => {
      calls++;
      expect(gradInput).toEqual([null]);
      expect(numbers(go!)).toEqual([1]);
    });
    fc(torch.ones([1, 2]))
      .sum()
      .backward();
    expect(calls).toBe(1);
  });
});

test("prints like PyTorch's", () => {
  expect(String(new Net(3))).toBe(
    `Net(
  (block): Block(
    (conv): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (bn): BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  )
  (fc): Linear(in_features=2, out_features=3, bias=True)
)`,
  );
  expect(String(new nn.ReLU())).toBe("ReLU()");
  expect(String(new nn.ReLU({ inplace: true }))).toBe("ReLU(inplace=True)");
  expect(String(new nn.Dropout(0.1))).toBe("Dropout(p=0.1, inplace=False)");
  expect(String(new nn.LSTM(3, 4, { num_layers: 2, batch_first: true }))).toBe("LSTM(3, 4, num_layers=2, batch_first=True)");
});
