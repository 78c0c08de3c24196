/** L-BFGS on functions whose minimum is known; the corpus compares its path with PyTorch's. */

import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import type { Tensor } from "kindling";

const rosenbrock = (x: Tensor): Tensor => {
  const [a, b] = [x.select(0, 0), x.select(0, 1)];
  return a
    .neg()
    .add(1)
    .pow(2)
    .add(b.sub(a.pow(2)).pow(2).mul(100));
};

function problem(options: object): { x: Tensor; optimizer: torch.optim.LBFGS; closure: () => Tensor } {
  const x = torch.tensor([-1.2, 1], { dtype: torch.float64 }).requires_grad_();
  const optimizer = new torch.optim.LBFGS([x], options);
  const closure = (): Tensor => {
    optimizer.zero_grad();
    const loss = rosenbrock(x);
    loss.backward();
    return loss;
  };
  return { x, optimizer, closure };
}

describe("LBFGS", () => {
  it("finds Rosenbrock's minimum by line search", () => {
    const { x, optimizer, closure } = problem({ max_iter: 100, tolerance_change: 1e-15, line_search_fn: "strong_wolfe" });
    const first = optimizer.step(closure);
    expect(first.item_sync()).toBeCloseTo(24.2, 10);
    (x.tolist_sync() as number[]).forEach((v) => expect(v).toBeCloseTo(1, 5));
  });

  it("goes on from a checkpoint as if it had not stopped", () => {
    const [one, two] = [
      problem({ max_iter: 4, line_search_fn: "strong_wolfe" }),
      problem({ max_iter: 4, line_search_fn: "strong_wolfe" }),
    ];
    one.optimizer.step(one.closure);
    two.x.detach().copy_(one.x.detach());
    two.optimizer.load_state_dict(one.optimizer.state_dict());
    one.optimizer.step(one.closure);
    two.optimizer.step(two.closure);
    expect(two.x.tolist_sync()).toEqual(one.x.tolist_sync());
    const [state] = Object.values(one.optimizer.state_dict().state);
    expect(Object.keys(state!).sort()).toEqual(
      ["H_diag", "d", "func_evals", "n_iter", "old_dirs", "old_stps", "prev_flat_grad", "prev_loss", "ro", "t"].sort(),
    );
    expect(state!.n_iter).toBeGreaterThan(4);
  });

  it("takes the same way where it waits", async () => {
    const options = { max_iter: 30, line_search_fn: "strong_wolfe" };
    const [one, two] = [problem(options), problem(options)];
    const seen: string[] = [];
    two.optimizer.register_step_pre_hook(() => void seen.push("before"));
    two.optimizer.register_step_post_hook(() => void seen.push("after"));
    const slowly = async (): Promise<Tensor> => {
      await Promise.resolve();
      expect(torch.is_grad_enabled()).toBe(true);
      return two.closure();
    };
    const loss = one.optimizer.step(one.closure);
    expect((await two.optimizer.step_async(slowly)).item_sync()).toBe(loss.item_sync());
    expect(two.x.tolist_sync()).toEqual(one.x.tolist_sync());
    expect(seen).toEqual(["before", "after"]);
    expect(() => two.optimizer.step(slowly)).toThrow(/returned a promise.*step_async/);
    await expect(two.optimizer.step_async(null as never)).rejects.toThrow(/needs a closure/);
  });

  it("runs hooks, keeps its history short and refuses what it cannot do", () => {
    const { optimizer, closure } = problem({ history_size: 2, lr: 0.001, max_iter: 6 });
    let hooks = 0;
    optimizer.register_step_pre_hook(() => void hooks++);
    optimizer.register_step_post_hook(() => void hooks++);
    optimizer.step(closure);
    expect(hooks).toBe(2);
    const [state] = Object.values(optimizer.state_dict().state);
    expect((state!.old_dirs as Tensor[]).length).toBeLessThanOrEqual(2);
    expect(() => optimizer.step()).toThrow(torch.RuntimeError);
    const x = torch.zeros([1]).requires_grad_();
    const y = torch.zeros([1]).requires_grad_();
    expect(() => new torch.optim.LBFGS([{ params: [x] }, { params: [y] }])).toThrow(/parameter groups/);
  });
});
