/** `torch.func`: functions of functions. */

export {
  grad,
  grad_and_value,
  hessian,
  jacfwd,
  jacrev,
  jvp,
  linearize,
  vjp,
  type ArgNums,
  type Pullback,
  type Transformed,
} from "./derivatives.ts";
export { functional_call, replace_all_batch_norm_modules_, stack_module_state, type State } from "./modules.ts";
export { vmap, type Dims } from "./vmap.ts";
export type { Func } from "./tree.ts";
