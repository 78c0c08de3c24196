/** Indexing: every kind of item, views against copies, writes and their gradients, messages. */

import * as torch from "kindling";
import { Slice, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const grid = (...shape: number[]): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return torch.arange(n, { dtype: torch.float32 }).reshape(shape);
};
const all = new Slice();

describe("reading", () => {
  const x = grid(2, 3, 4);
  it.each([
    ["an integer", x.index(1), [3, 4], 12],
    ["a negative integer", x.index(-1, -1), [4], 20],
    ["a slice with a step", x.index(0, new Slice(0, null, 2)), [2, 4], 0],
    ["null", x.index(null, 1, null), [1, 1, 3, 4], 12],
    ["an ellipsis", x.index("...", 3), [2, 3], 3],
    ["an ellipsis in the middle", x.index(1, "...", new Slice(1, 3)), [3, 2], 13],
    ["an index tensor", x.index(torch.tensor([1, 0, 1])), [3, 3, 4], 12],
    ["nested lists", x.index([1, 0], [2, 0]), [2, 4], 20],
    ["a list after a slice", x.index(all, [2, 0]), [2, 2, 4], 8],
    ["lists apart, whose dimension goes to the front", x.index([0, 1], all, [1, 2]), [2, 3], 1],
    ["true", x.index(true), [1, 2, 3, 4], 0],
    ["false", x.index(false), [0, 2, 3, 4], undefined],
    [
      "a mask of two dimensions",
      x.index(
        torch.tensor([
          [true, false, false],
          [false, true, false],
        ]),
      ),
      [2, 4],
      0,
    ],
    ["negative entries of a tensor", x.index(torch.tensor([-1])), [1, 3, 4], 12],
  ])("%s", (_name, got, shape, first) => {
    expect(got.shape).toEqual(shape);
    expect(got.data_sync()[0]).toBe(first);
  });

  it("reads items from a string", () => {
    expect(x.at("..., 1:-1, None").shape).toEqual([2, 3, 2, 1]);
    expect(x.at("1, [0, 2]").tolist_sync()).toEqual(x.index(1, [0, 2]).tolist_sync());
    expect(x.at("::1, -1").tolist_sync()).toEqual(x.index(all, -1).tolist_sync());
    expect(() => x.at("1, x")).toThrow('at: cannot read "x" in the index "1, x"');
  });

  it("gives views without index tensors, copies with them", () => {
    expect(x.index(0, new Slice(1))._storage).toBe(x._storage);
    expect(x.index([0])._storage).not.toBe(x._storage);
  });

  it("says what is wrong", () => {
    expect(() => x.index(2)).toThrow(torch.IndexError);
    expect(() => x.index(2)).toThrow("index 2 out of range for tensor of size [2, 3, 4] at dimension 0");
    expect(() => x.index(0, 0, 0, 0)).toThrow("too many indices for tensor of dimension 3");
    expect(() => x.index(torch.tensor([2]))).toThrow("index 2 is out of bounds for dimension 0 with size 2");
    expect(() => x.index(torch.tensor([0.5]))).toThrow("must be long, int, byte or bool tensors");
    expect(() => x.index(torch.tensor([true]))).toThrow("The shape of the mask [1] at index 0 does not match");
    expect(() => x.index([0, 1], [0, 1, 2])).toThrow("could not be broadcast together with shapes [2], [3]");
    expect(() => x.index(new Slice(0, 1, -1))).toThrow("step must be greater than zero");
    expect(() => x.index("...", "...")).toThrow("single ellipsis");
    // The engine goes on working.
    expect(x.index(1, 2, 3).item_sync()).toBe(23);
  });
});

describe("writing", () => {
  it("overwrites views, positions and masks", () => {
    const x = torch.zeros([3, 4]);
    x.index_put_([0], 1);
    x.index_put_([all, 3], torch.tensor([7, 8, 9], { dtype: torch.float32 }));
    x.index_put_(
      [
        [1, 2],
        [0, 1],
      ],
      torch.tensor([5, 6], { dtype: torch.float32 }),
    );
    x.index_put_([x.eq(0)], -1);
    expect(x.tolist_sync()).toEqual([
      [1, 1, 1, 7],
      [5, -1, -1, 8],
      [-1, 6, -1, 9],
    ]);
  });

  it("adds where asked, also at repeated positions", () => {
    const x = torch.zeros([3]);
    x.index_put_([[0, 2, 0]], torch.ones([3]), { accumulate: true });
    expect(x.tolist_sync()).toEqual([2, 0, 1]);
  });

  it("leaves what was read before alone", () => {
    const x = grid(4);
    const doubled = x.mul(2); // deferred
    const copy = x.clone();
    x.index_put_([[0, 1]], torch.tensor([9, 9], { dtype: torch.float32 }));
    expect(doubled.tolist_sync()).toEqual([0, 2, 4, 6]);
    expect(copy.tolist_sync()).toEqual([0, 1, 2, 3]);
    expect(x.tolist_sync()).toEqual([9, 9, 2, 3]);
  });

  it("needs one dtype", () => {
    expect(() => torch.zeros([3]).index_put_([[0]], torch.tensor([1]))).toThrow(
      "requires the source and destination dtypes match, got torch.float32 for the destination and torch.int64 for the source",
    );
  });
});

describe("gradients", () => {
  const leaf = (): Tensor => grid(3, 4).requires_grad_();
  const gradOf = (f: (x: Tensor) => Tensor): unknown => {
    const x = leaf();
    f(x).sum().backward();
    return x.grad!.tolist_sync();
  };

  it("of an index tensor count repeats", () => {
    expect(gradOf((x) => x.index([0, 0, 2], 1))).toEqual([
      [0, 2, 0, 0],
      [0, 0, 0, 0],
      [0, 1, 0, 0],
    ]);
  });

  it("of in-place ops on views reach the base", () => {
    const scaled = gradOf((x) => {
      const y = x.clone();
      y.index(0).mul_(2);
      y.index(all, new Slice(1, 3)).mul_(10);
      return y;
    });
    expect(scaled).toEqual([
      [2, 20, 20, 2],
      [1, 10, 10, 1],
      [1, 10, 10, 1],
    ]);
  });

  it("of writes are zero where the old values went", () => {
    const written = gradOf((x) => {
      const y = x.clone();
      y.index_put_([1], 5);
      y.index_put_([[2], [2]], x.index(0, 0).reshape([1]).mul(3));
      return y;
    });
    expect(written).toEqual([
      [4, 1, 1, 1],
      [0, 0, 0, 0],
      [1, 1, 0, 1],
    ]);
  });

  it("see a view made before its base was written to", () => {
    const x = leaf();
    const y = x.mul(1);
    const row = y.index(1);
    y.mul_(3);
    row.sum().backward();
    expect(x.grad!.sum().item_sync()).toBe(12);
  });

  it("of parts come joined", () => {
    const x = leaf();
    const [a, , c] = x.unbind(0) as [Tensor, Tensor, Tensor];
    const [left] = x.split(3, 1) as [Tensor];
    a.sum().add(c.mul(2).sum()).add(left.sum()).backward();
    expect(x.grad!.tolist_sync()).toEqual([
      [2, 2, 2, 1],
      [1, 1, 1, 0],
      [3, 3, 3, 2],
    ]);
  });

  it("are refused for leaves and views of leaves", () => {
    const x = leaf();
    expect(() => x.index_put_([0], 1)).toThrow("a view of a leaf Variable that requires grad");
    expect(() => x.unsqueeze_(0)).toThrow("a leaf Variable that requires grad");
    expect(x.shape).toEqual([3, 4]);
  });
});

describe("geometry in place", () => {
  it("changes the tensor itself, and its gradient follows", () => {
    const x = grid(2, 3).requires_grad_();
    const y = x.mul(2);
    expect(y.transpose_(0, 1)).toBe(y);
    expect(y.unsqueeze_(0).shape).toEqual([1, 3, 2]);
    y.squeeze_(0).t_().index(0).sum().backward();
    expect(x.grad!.tolist_sync()).toEqual([
      [2, 2, 2],
      [0, 0, 0],
    ]);
  });

  it("resizes and takes over memory", () => {
    const x = grid(4);
    expect(x.resize_(2, 2).tolist_sync()).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(x.resize_(6).slice(0, 0, 4).tolist_sync()).toEqual([0, 1, 2, 3]);
    const y = torch.empty(0);
    expect(y.set_(x).tolist_sync()).toEqual(x.tolist_sync());
    expect(() => grid(4).requires_grad_().resize_(2)).toThrow("cannot resize variables that require grad");
  });
});

describe("scatters over windows", () => {
  it("have the gradients that finite differences give", () => {
    const x = grid(3, 3).requires_grad_();
    const src = torch.ones([2, 2], { requires_grad: true });
    x.as_strided_scatter(src, [2, 2], [1, 2], 1).mul(grid(3, 3)).sum().backward();
    expect(x.grad!.tolist_sync()).toEqual([
      [0, 0, 0],
      [0, 0, 5],
      [6, 7, 8],
    ]);
    expect(src.grad!.tolist_sync()).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  it("of overlapping windows sum", () => {
    const x = grid(4).requires_grad_();
    x.unfold(0, 2, 1).sum().backward();
    expect(x.grad!.tolist_sync()).toEqual([1, 2, 2, 1]);
    x.grad = null;
    x.as_strided([3, 2], [1, 1]).sum().backward();
    expect(x.grad!.tolist_sync()).toEqual([1, 2, 2, 1]);
  });
});

describe("second derivatives", () => {
  const options = { dtype: torch.float64 };
  const index = torch.tensor([
    [0, 2, 1],
    [1, 1, 0],
  ]);
  const cases: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    gather: (x) => x.gather(1, index),
    scatter_add: (x) => x.scatter_add(1, index, x.mul(2)),
    "scatter_reduce prod": (x) => x.scatter_reduce(1, index, x.mul(2), "prod"),
    "scatter_reduce mean": (x) => x.scatter_reduce(1, index, x.mul(2), "mean", { include_self: false }),
    "index tensors": (x) => x.index([0, 1, 1], [2, 0, 0]),
    "a slice of a row": (x) => x.index(1, new Slice(0, 2)),
    unfold: (x) => x.unfold(1, 2, 1),
    split: (x) => x.split(2, 1)[0]!,
    unbind: (x) => x.unbind(1)[1]!,
    cat: (x) => torch.cat([x, x.mul(x)], 1),
    put: (x) => x.put(torch.tensor([1, 2]), x.index(1, new Slice(0, 2))),
    index_copy: (x) => x.index_copy(0, torch.tensor([1]), x.slice(0, 0, 1)),
    masked_scatter: (x) => x.masked_scatter(torch.tensor([true, false, true]), x.flatten()),
    as_strided: (x) => x.slice(0, 1).as_strided([2, 2], [1, 1]),
    as_strided_scatter: (x) => x.as_strided_scatter(x.index(1, new Slice(1)), [2], [2], 1),
    "in place": (x) => {
      const y = x.clone();
      y.index(0).mul_(x.index(1));
      y.t().index(1).pow_(2);
      return y;
    },
  };

  it.each(Object.entries(cases))("of %s agree with differences", (_name, f) => {
    torch.manual_seed(1);
    const at = torch.randn([2, 3], options);
    const along = torch.randn([2, 3], options);
    const weights = torch.randn(f(at).shape, options);
    const cubed = (x: Tensor): Tensor => {
      const y = f(x);
      return y.mul(y).mul(y).mul(weights).sum();
    };
    const gradient = (x: Tensor): Tensor => torch.autograd.grad(cubed(x), x, { create_graph: true })[0]!;
    const moved = (by: number): Tensor => at.add(along.mul(by)).detach().requires_grad_();
    const x = moved(0);
    const g = gradient(x);
    const [curvature] = torch.autograd.grad(g.mul(along).sum(), x);
    const step = 1e-6;
    const slope = cubed(moved(step))
      .sub(cubed(moved(-step)))
      .div(2 * step);
    expect(g.mul(along).sum().sub(slope).abs().item_sync()).toBeLessThan(1e-5);
    const bend = gradient(moved(step))
      .sub(gradient(moved(-step)))
      .div(2 * step);
    expect(bend.sub(curvature!).abs().max().item_sync()).toBeLessThan(1e-4);
  });
});
