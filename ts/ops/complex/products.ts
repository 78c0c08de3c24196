/** Products of complex tensors by real ones, and products along a dimension. */

import type { Tensor } from "../../core/tensor.ts";
import { complexRule, joined, part, viewAsReal } from "../../engine/complex.ts";
import { normalizeDim } from "../../core/shape.ts";
import { RuntimeError } from "../../core/errors.ts";
import { named } from "../../engine/define.ts";
import { registry } from "../install.ts";
import { cat, stack } from "../joining.ts";
import { complexType } from "./numbers.ts";

type Call = (...args: unknown[]) => Tensor;

/** (a + ib)(c + id) for an op that is linear in two arguments, the first two. */
function bilinear(name: string, op: string = name): void {
  complexRule(name, (x: Tensor, y: Tensor, ...rest: unknown[]) => {
    const real = registry.get(op) as unknown as Call;
    const dtype = complexType(name, [x, y]).real;
    const parts = (t: Tensor): [Tensor, Tensor | null] =>
      t.dtype.is_complex ? [part(t, 0).to(dtype), part(t, 1).to(dtype)] : [t.to(dtype), null];
    const [[a, b], [c, d]] = [parts(x), parts(y)];
    const ac = real(a, c, ...rest);
    if (b === null) return joined(ac, real(a, d!, ...rest));
    if (d === null) return joined(ac, real(b, c, ...rest));
    return joined(ac.sub(real(b, d, ...rest)), real(a, d, ...rest).add(real(b, c, ...rest)));
  });
}
for (const name of ["matmul", "mv", "dot", "inner", "outer", "kron"]) bilinear(name);
/** Matrices as one real product: rows of pairs (a b) as they lie in memory, by pairs of rows (c d; -d c). */
for (const name of ["mm", "bmm"]) {
  complexRule(name, (x: Tensor, y: Tensor) => {
    if (!x.dtype.is_complex || !y.dtype.is_complex || x.dtype !== y.dtype) {
      throw new RuntimeError(`${name}: expected both matrices to have the same dtype, got ${x.dtype} and ${y.dtype}`);
    }
    const [c, d] = [part(y, 0), part(y, 1)];
    const n = y.shape.at(-1)!;
    const right = stack([cat([c, d], -1), cat([d.neg(), c], -1)], -2);
    const left = viewAsReal(x);
    const both = (registry.get(name) as unknown as Call)(
      left.reshape([...x.shape.slice(0, -1), 2 * x.shape.at(-1)!]),
      right.reshape([...y.shape.slice(0, -2), 2 * y.shape.at(-2)!, 2 * n]),
    );
    return joined(both.narrow(-1, 0, n), both.narrow(-1, n, n));
  });
}
complexRule("vdot", (x: Tensor, y: Tensor) => x.conj().dot(y));
for (const [name, product] of [
  ["addmm", "mm"],
  ["addmv", "mv"],
  ["addr", "outer"],
  ["baddbmm", "bmm"],
] as const) {
  complexRule(name, (input: Tensor, a: Tensor, b: Tensor, beta: never, alpha: never) => {
    const times = registry.get(product) as unknown as Call;
    return input.mul(beta).add(times(a, b).mul(alpha));
  });
}
complexRule("addbmm", (input: Tensor, a: Tensor, b: Tensor, beta: never, alpha: never) =>
  input.mul(beta).add(a.bmm(b).sum(0).mul(alpha)),
);
for (const n of [1, 2, 3]) {
  for (const name of [`conv${n}d`, `conv_transpose${n}d`]) {
    complexRule(name, (input: Tensor, weight: Tensor, bias: Tensor | null, ...rest: unknown[]) => {
      const conv = registry.get(`nn.functional.${name}`) as unknown as Call;
      for (const [what, t] of [
        ["weight", weight],
        ["bias", bias],
      ] as const) {
        if (t === null || t.dtype === input.dtype) continue;
        throw new RuntimeError(`${name}: Input type (${input.dtype}) and ${what} type (${t.dtype}) should be the same`);
      }
      const [[a, b], [c, d]] = [input, weight].map((t) => [part(t, 0), part(t, 1)]) as [[Tensor, Tensor], [Tensor, Tensor]];
      const of = (x: Tensor, w: Tensor): Tensor => conv(x, w, null, ...rest);
      const out = joined(of(a, c).sub(of(b, d)), of(a, d).add(of(b, c)));
      return bias === null ? out : out.add(bias.view([-1, ...new Array<number>(n).fill(1)]));
    });
  }
}
complexRule("linear", (input: Tensor, weight: Tensor, bias: Tensor | null) => {
  const out = input.matmul(weight.t());
  return bias === null ? out : out.add(bias);
});

/** The product over the last dimension, by halves. */
function productOfLast(z: Tensor): Tensor {
  let rest = z;
  while (rest.shape.at(-1)! > 1) {
    const n = rest.shape.at(-1)!;
    const half = Math.floor(n / 2);
    const folded = rest.narrow(-1, 0, half).mul(rest.narrow(-1, half, half));
    rest = n % 2 === 0 ? folded : cat([folded, rest.narrow(-1, n - 1, 1)], -1);
  }
  return rest.shape.at(-1) === 0 ? rest.sum(-1).add(1) : rest.select(-1, 0);
}
complexRule("prod", (z: Tensor, dim: number | null, keepdim: boolean) => {
  if (dim === null) return productOfLast(z.reshape([z.numel()]));
  const at = normalizeDim("prod", dim, z.ndim);
  if (z.ndim === 0) return productOfLast(z.reshape([1]));
  const out = productOfLast(z.movedim(at, -1));
  return keepdim ? out.unsqueeze(at) : out;
});
complexRule("cumprod", (z: Tensor, dim: number) => {
  const at = normalizeDim("cumprod", dim, z.ndim);
  // Doubling: after step s each place holds the product of its last 2^s factors.
  let x = z.movedim(at, -1);
  const n = x.shape.at(-1)!;
  for (let s = 1; s < n; s *= 2) {
    const moved = x.narrow(-1, s, n - s).mul(x.narrow(-1, 0, n - s));
    x = cat([x.narrow(-1, 0, s), moved], -1);
  }
  return x.movedim(-1, at);
});

type Spread = [dim: unknown, unbiased: unknown, keepdim: boolean, correction: unknown];
/** The variances of both parts, added. */
function spread(z: Tensor, [dim, unbiased, keepdim, correction]: Spread): Tensor {
  const real = registry.get("var") as unknown as Call;
  const of = (t: Tensor): Tensor => real(t, dim, unbiased, keepdim, { correction });
  return of(part(z, 0)).add(of(part(z, 1)));
}
for (const [name, f] of [
  ["var", (x: Tensor) => x],
  ["std", (x: Tensor) => x.sqrt()],
] as const) {
  complexRule(name, (z: Tensor, ...rest: Spread) => f(spread(z, rest)));
  complexRule(`${name}_mean`, (z: Tensor, ...rest: Spread) => {
    const [dim, , keepdim] = rest;
    return named([name, "mean"], [f(spread(z, rest)), z.mean((typeof dim === "boolean" ? null : dim) as never, keepdim)]);
  });
}
complexRule("all", (z: Tensor, ...rest: never[]) => (registry.get("all") as unknown as Call)(z.ne(0), ...rest));
complexRule("any", (z: Tensor, ...rest: never[]) => (registry.get("any") as unknown as Call)(z.ne(0), ...rest));
complexRule("count_nonzero", (z: Tensor, ...rest: never[]) =>
  (registry.get("count_nonzero") as unknown as Call)(z.ne(0), ...rest),
);
complexRule("nonzero", (z: Tensor, as_tuple: boolean) => (registry.get("nonzero") as unknown as Call)(z.ne(0), { as_tuple }));
