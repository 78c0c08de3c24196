/** Tensors as text: what PyTorch prints for the same values. */

import { inspect } from "node:util";
import * as torch from "kindling";
import { afterEach, describe, expect, it } from "vitest";

afterEach(() => torch.set_printoptions({ profile: "default" }));

describe("numbers", () => {
  it.each([
    [torch.tensor(3.14159), "tensor(3.1416)"],
    [torch.tensor(5), "tensor(5)"],
    [torch.tensor(true), "tensor(True)"],
    [torch.tensor([1.5, 2, 3]), "tensor([1.5000, 2.0000, 3.0000])"],
    [torch.ones([3]), "tensor([1., 1., 1.])"],
    [torch.tensor([1, -2, 300]), "tensor([  1,  -2, 300])"],
    [torch.tensor([0.5, NaN, -Infinity]), "tensor([0.5000,    nan,   -inf])"],
    [torch.ones([2]).div(0), "tensor([inf, inf])"],
    [torch.tensor([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"],
    [torch.tensor([1e10, 1.5]), "tensor([1.0000e+10, 1.5000e+00])"],
    [torch.full([1], 123456789.0, { dtype: torch.float64 }), "tensor([1.2346e+08], dtype=torch.float64)"],
    [torch.zeros([1]).neg(), "tensor([-0.])"],
    [torch.tensor([0.03125, 0.5]), "tensor([0.0312, 0.5000])"], // a tie goes to the even digit
    [torch.tensor([0.09375, 0.5]), "tensor([0.0938, 0.5000])"],
  ])("%#", (t, text) => {
    expect(String(t)).toBe(text);
  });
});

describe("shapes", () => {
  it("indents rows and separates matrices", () => {
    expect(
      String(
        torch.tensor([
          [true, false],
          [false, true],
        ]),
      ),
    ).toBe("tensor([[ True, False],\n        [False,  True]])");
    expect(String(torch.zeros(2, 1, 2))).toBe("tensor([[[0., 0.]],\n\n        [[0., 0.]]])");
  });

  it("says the size of empty tensors", () => {
    expect(String(torch.zeros(0))).toBe("tensor([])");
    expect(String(torch.zeros(0, 3))).toBe("tensor([], size=(0, 3))");
    expect(String(torch.zeros([0], { dtype: torch.int64 }))).toBe("tensor([], dtype=torch.int64)");
  });

  it("breaks long lines at 80 characters", () => {
    const twenty = Array.from({ length: 30 }, () => "1.");
    expect(String(torch.ones([30]))).toBe(`tensor([${twenty.slice(0, 18).join(", ")},\n        ${twenty.slice(18).join(", ")}])`);
  });

  it("summarises beyond 1000 elements", () => {
    expect(String(torch.arange(2000))).toBe("tensor([   0,    1,    2,  ..., 1997, 1998, 1999])");
    expect(String(torch.zeros(40, 40))).toBe(
      [
        "tensor([[0., 0., 0.,  ..., 0., 0., 0.],",
        "        [0., 0., 0.,  ..., 0., 0., 0.],",
        "        [0., 0., 0.,  ..., 0., 0., 0.],",
        "        ...,",
        "        [0., 0., 0.,  ..., 0., 0., 0.],",
        "        [0., 0., 0.,  ..., 0., 0., 0.],",
        "        [0., 0., 0.,  ..., 0., 0., 0.]])",
      ].join("\n"),
    );
  });
});

describe("suffixes", () => {
  it("name what is not usual", () => {
    expect(String(torch.ones([2], { dtype: torch.float64 }))).toBe("tensor([1., 1.], dtype=torch.float64)");
    expect(String(torch.ones([2], { dtype: torch.bfloat16 }))).toBe("tensor([1., 1.], dtype=torch.bfloat16)");
    const x = torch.ones([2], { requires_grad: true });
    expect(String(x)).toBe("tensor([1., 1.], requires_grad=True)");
    expect(String(x.mul(2))).toBe("tensor([2., 2.], grad_fn=<MulBackward0>)");
    expect(String(x.index_select(0, torch.tensor([0])))).toBe("tensor([1.], grad_fn=<IndexSelectBackward0>)");
  });

  it("go to a line of their own where they do not fit", () => {
    const text = String(torch.ones([30], { requires_grad: true }).add(1));
    expect(text.endsWith(",\n       grad_fn=<AddBackward0>)")).toBe(true);
  });
});

describe("options", () => {
  it("change precision, limits and notation", () => {
    torch.set_printoptions({ precision: 2 });
    expect(String(torch.tensor([1.12345]))).toBe("tensor([1.12])");
    torch.set_printoptions({ threshold: 5 });
    expect(String(torch.arange(10))).toBe("tensor([0, 1, 2,  ..., 7, 8, 9])");
    torch.set_printoptions({ profile: "default", sci_mode: true });
    expect(String(torch.tensor([1.5]))).toBe("tensor([1.5000e+00])");
    expect(() => torch.set_printoptions({ profile: "tiny" })).toThrow("profile must be default, short or full");
  });

  it("hold for Node's inspect as well", () => {
    expect(inspect({ x: torch.ones([1]) })).toBe("{ x: tensor([1.]) }");
  });
});
