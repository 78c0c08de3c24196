/** Bad input is a typed error that says what came and what was expected; the engine goes on working. */

import * as torch from "kindling";
import { afterEach, describe, expect, it } from "vitest";

// No CUDA here, whatever the machine has.
Object.assign(process.env, { KINDLING_CUDA_LIB_DIRS: "", KINDLING_CUDA_LIB_ONLY: "1" });

const message = (fn: () => unknown): [string, string] => {
  try {
    fn();
  } catch (e) {
    return [(e as Error).name, (e as Error).message];
  }
  throw new Error("nothing was thrown");
};

describe("bad input", () => {
  afterEach(() => {
    expect(torch.tensor([1, 2]).add(1).tolist_sync()).toEqual([2, 3]);
  });

  it.each<[string, () => unknown, string, RegExp]>([
    [
      "shapes that do not broadcast",
      () => torch.ones([2, 3]).mul(torch.ones([4])),
      "RuntimeError",
      /mul: shapes \[2, 3\] and \[4\] do not broadcast/,
    ],
    [
      "matrices that do not fit",
      () => torch.ones([2, 3]).mm(torch.ones([4, 5])),
      "RuntimeError",
      /\[2, 3\] and \[4, 5\] cannot be multiplied/,
    ],
    [
      "matrices of two dtypes",
      () => torch.ones([2, 2]).mm(torch.ones([2, 2], { dtype: torch.float64 })),
      "RuntimeError",
      /same dtype.*float32.*float64/,
    ],
    [
      "a reshape that loses elements",
      () => torch.ones([6]).reshape(4),
      "RuntimeError",
      /shape \[4\] is invalid for input of size 6/,
    ],
    ["a dimension out of range", () => torch.ones([2]).sum(3), "IndexError", /expected to be in \[-1, 0\], but got 3/],
    [
      "an index out of range",
      () => torch.arange(3).index(torch.tensor([5])),
      "IndexError",
      /5 is out of bounds for dimension 0 with size 3/,
    ],
    [
      "an integer index out of range",
      () => torch.arange(3).index(7),
      "IndexError",
      /index 7 out of range for tensor of size \[3\]/,
    ],
    ["ragged lists", () => torch.tensor([[1, 2], [3]]), "ValueError", /expected sequence of length 2 at dim 1 \(got length 1\)/],
    ["text as a number", () => torch.tensor(["a"] as never), "TypeError", /got string/],
    ["an unknown device", () => torch.zeros([1], { device: "tpu" }), "RuntimeError", /Invalid device string: 'tpu'/],
    [
      "a device that is not there",
      () => torch.ones([1]).to("cuda"),
      "RuntimeError",
      /'cuda' is not available.*Ready devices: cpu/,
    ],
    [
      "a missing argument",
      () => (torch.full as unknown as (...a: unknown[]) => unknown)([2]),
      "TypeError",
      /missing required argument 'fill_value'/,
    ],
    [
      "an unknown keyword",
      () => (torch.sum as unknown as (...a: unknown[]) => unknown)(torch.ones([1]), { dims: 1 }),
      "TypeError",
      /unexpected keyword argument 'dims'/,
    ],
    ["integers that require grad", () => torch.arange(3).requires_grad_(), "RuntimeError", /floating point/],
    ["a negative size", () => torch.zeros([-1]), "RuntimeError", /negative dimension -1/],
    [
      "memory beyond the limit",
      () => torch.empty([1 << 30, 16]),
      "OutOfMemoryError",
      /tried to allocate 65536.0 MiB .* a limit of/,
    ],
    [
      "a float result into an integer tensor",
      () => torch.arange(3).add_(0.5),
      "RuntimeError",
      /can't be cast to the desired output type/,
    ],
    [
      "backward of many values",
      () => torch.ones([2], { requires_grad: true }).mul(2).backward(),
      "RuntimeError",
      /only for scalar outputs, got shape \[2\]/,
    ],
    ["backward without a graph", () => torch.ones([]).backward(), "RuntimeError", /does not require grad/],
    ["item of many", () => torch.ones([2]).item_sync(), "RuntimeError", /2 elements/],
    [
      "writing to an expanded tensor",
      () => torch.ones([1]).expand(3).add_(1),
      "RuntimeError",
      /more than one element of the written-to tensor/,
    ],
  ])("%s", (_, fn, name, text) => {
    const [gotName, gotText] = message(fn);
    expect(gotName).toBe(name);
    expect(gotText).toMatch(text);
  });

  it("backward twice", () => {
    const x = torch.ones([2], { requires_grad: true });
    const y = x.exp().sum();
    y.backward();
    expect(() => y.backward()).toThrow("backward through the graph a second time");
  });

  it("in-place on a leaf that requires grad, and on a view of one", () => {
    const x = torch.ones([2], { requires_grad: true });
    expect(() => x.add_(1)).toThrow("a leaf Variable that requires grad is being used in an in-place operation");
    expect(() => x.view(1, 2).add_(1)).toThrow("a view of a leaf Variable that requires grad");
    torch.no_grad(() => x.add_(1));
    expect(x.tolist_sync()).toEqual([2, 2]);
  });

  it("a saved tensor that was modified", () => {
    const x = torch.ones([2], { requires_grad: true });
    const y = x.exp();
    y.add_(1);
    expect(() => y.sum().backward()).toThrow(
      /modified by an inplace operation: \[torch.float32 \[2\]\].*is at version 1; expected version 0/,
    );
  });
});
