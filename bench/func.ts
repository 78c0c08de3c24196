/** torch.func: transforms that work on all samples, rows or columns at once, beside loops over these. */

import * as torch from "kindling";
import { nn, type Tensor } from "kindling";
import type { Case } from "./cases.ts";

const { func } = torch;
const F = nn.functional;

type Params = Record<string, Tensor>;

const net = (...sizes: number[]): nn.Module => {
  const layers = sizes.slice(1).flatMap((n, i) => [new nn.Linear(sizes[i]!, n), new nn.Tanh()]);
  return new nn.Sequential(...layers.slice(0, -1));
};
const paramsOf = (model: nn.Module): Params =>
  Object.fromEntries([...model.named_parameters()].map(([name, p]) => [name, p.detach()]));
const force = (tensors: readonly Tensor[]): void => tensors.forEach((t) => void t._storage.materialize());
const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Gradients of each of `n` samples of a classifier. */
function perSample(n: number): Case {
  const setup = (): { gradient: (...args: unknown[]) => Params; args: [Params, Tensor, Tensor] } => {
    const model = net(64, 64, 10);
    const loss = (p: Params, x: Tensor, y: Tensor): Tensor =>
      F.cross_entropy(func.functional_call(model, p, [x.unsqueeze(0)]) as Tensor, y.unsqueeze(0));
    return { gradient: func.grad<Params>(loss), args: [paramsOf(model), torch.randn([n, 64]), torch.randint(0, 10, [n])] };
  };
  return {
    name: `vmap(grad) ${n}`,
    prepare: () => {
      const { gradient, args } = setup();
      const batched = torch.vmap<Params>(gradient, [null, 0, 0]);
      return () => torch.scope(() => force(Object.values(batched(...args))));
    },
    loop: () => {
      const { gradient, args: [p, x, y] } = setup(); // prettier-ignore
      return () =>
        torch.scope(() => {
          const each = count(n).map((i) => gradient(p, x.select(0, i), y.select(0, i)));
          force(Object.keys(p).map((name) => torch.stack(each.map((g) => g[name]!))));
        });
    },
  };
}

type Function = (x: Tensor) => Tensor;

/** A derivative of a small net at one point, beside one that is computed part by part. */
function derivative(
  name: string,
  sizes: readonly number[],
  whole: (f: Function) => Function,
  part: (f: Function, x: Tensor, i: number) => Tensor,
  parts: number,
  shape: (f: Function) => Function = (f) => f,
): Case {
  const setup = (): { f: Function; x: Tensor } => {
    const model = net(...sizes) as nn.Module & Function;
    for (const p of model.parameters()) p.requires_grad_(false);
    return { f: shape((x) => model(x)), x: torch.randn([sizes[0]!]) };
  };
  return {
    name,
    prepare: () => {
      const { f, x } = setup();
      return () => torch.scope(() => force([whole(f)(x)]));
    },
    loop: () => {
      const { f, x } = setup();
      return () => torch.scope(() => force([torch.stack(count(parts).map((i) => part(f, x, i)))]));
    },
  };
}

const unit = (n: number, i: number): Tensor => F.one_hot(torch.tensor(i), n).to(torch.float32);
const row = (f: Function, x: Tensor, i: number): Tensor => func.grad((v: Tensor) => f(v).select(0, i))(x);
const column = (f: Function, x: Tensor, i: number): Tensor => (func.jvp(f, [x], [unit(x.shape[0]!, i)]) as [Tensor, Tensor])[1];

export const transforms: readonly Case[] = [
  perSample(32),
  perSample(256),
  derivative("jacrev 32 x 32", [32, 64, 32], (f) => func.jacrev(f), row, 32),
  derivative("jacfwd 32 x 32", [32, 64, 32], (f) => func.jacfwd(f), column, 32),
  derivative(
    "hessian 32",
    [32, 64, 32],
    (f) => func.hessian(f),
    (f, x, i) => column(func.grad(f) as Function, x, i),
    32,
    (f) => (x) => f(x).pow(2).sum(),
  ),
];
