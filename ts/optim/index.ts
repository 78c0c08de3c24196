/** `torch.optim`. */

export { Adafactor } from "./adafactor.ts";
export { Adam, AdamW, type AdamOptions } from "./adam.ts";
export { LBFGS, type LBFGSOptions } from "./lbfgs.ts";
export * as lr_scheduler from "./lr_scheduler.ts";
export { Adadelta, Adagrad, Adamax, ASGD, NAdam, RAdam, RMSprop, Rprop } from "./more.ts";
export { Muon, type MuonOptions } from "./muon.ts";
export {
  Optimizer,
  type OptimizerStateDict,
  type ParamGroup,
  type ParamGroupInput,
  type ParamsInput,
  type ParamState,
  type Rate,
  register_optimizer_step_post_hook,
  register_optimizer_step_pre_hook,
  type StepHook,
} from "./optimizer.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
export * as swa_utils from "./swa_utils.ts";
