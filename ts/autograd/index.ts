/** `torch.autograd`. */

export { enable_grad, inference_mode, no_grad, set_grad_enabled } from "../core/grad_mode.ts";
export { detect_anomaly, is_anomaly_enabled, set_detect_anomaly } from "./anomaly.ts";
export { backward, grad, type BackwardOptions, type GradOptions } from "./backward.ts";
export * as forward_ad from "./forward_ad.ts";
export { Function, FunctionCtx, type FunctionGradients } from "./function.ts";
export * as functional from "./functional.ts";
export { gradcheck, GradcheckError, gradgradcheck, type GradcheckOptions } from "./gradcheck.ts";
export * as graph from "./saved_hooks.ts";
