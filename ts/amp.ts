/** `torch.amp`: mixed precision. */

export { is_autocast_available } from "./core/autocast_mode.ts";
export { autocast, type AutocastOptions } from "./engine/autocast.ts";
export { GradScaler, type GradScalerState } from "./optim/grad_scaler.ts";
