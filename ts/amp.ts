/** `torch.amp`: mixed precision. */

export { autocast, type AutocastOptions } from "./engine/autocast.ts";
export { GradScaler, type GradScalerState } from "./optim/grad_scaler.ts";
