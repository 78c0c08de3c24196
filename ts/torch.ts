/** The public face, the same in Node and in browsers: everything but the devices. */

import "./autograd/install.ts";

export { Tensor } from "./core/tensor.ts";
export {
  bfloat16,
  bool,
  Complex,
  complex128,
  complex64,
  DType,
  float16,
  float32,
  float64,
  FloatScalar,
  get_default_dtype,
  int16,
  int32,
  int64,
  int8,
  type Scalar,
  set_default_dtype,
  uint8,
} from "./core/dtype.ts";
export * from "./core/numeric_limits.ts";
export * from "./core/errors.ts";
export {
  enable_grad,
  inference_mode,
  is_grad_enabled,
  is_inference_mode_enabled,
  no_grad,
  set_grad_enabled,
} from "./core/grad_mode.ts";
export * from "./ops/index.ts";
export { can_cast, promote_types } from "./ops/predicates.ts";
export * as autograd from "./autograd/index.ts";
export * as distributions from "./distributions/index.ts";
export * as func from "./func/index.ts";
export { vmap } from "./func/index.ts";
export * as io from "./io/index.ts";
export { load, type MapLocation, type TorchLoadOptions } from "./io/torch_load.ts";
export { save } from "./io/torch_save.ts";
export { from_image, type FromImageOptions, type ImageLike, type ImageMode, type ImageSource } from "./io/image.ts";
export * as nn from "./nn/index.ts";
/** @internal What sub-paths declare their classes and functions with. */
export { bind as _bind, layer as _layer } from "./nn/layer.ts";
export type { Args } from "./engine/signature.ts";
export * as optim from "./optim/index.ts";
export * as overrides from "./overrides.ts";
export * as random from "./random.ts";
export * as special from "./ops/special.ts";
export * as utils from "./utils.ts";
export { device, get_default_device, set_default_device } from "./ops/devices.ts";
export { blocking } from "./engine/blocking.ts";
export { keep, memory_report, record_memory_history, scope } from "./engine/memory.ts";
export { run_in_worker, worker_main, type WorkerMain, type WorkerRun, type WorkerTask } from "./workers/worker.ts";
export {
  clear_autocast_cache,
  get_autocast_dtype,
  is_autocast_cache_enabled,
  is_autocast_enabled,
} from "./core/autocast_mode.ts";
export { autocast, type AutocastOptions } from "./engine/autocast.ts";
export * as amp from "./amp.ts";
export * as backends from "./backends.ts";
export {
  are_deterministic_algorithms_enabled,
  get_deterministic_debug_mode,
  get_float32_matmul_precision,
  is_deterministic_algorithms_warn_only_enabled,
  set_deterministic_debug_mode,
  set_float32_matmul_precision,
  use_deterministic_algorithms,
} from "./core/settings.ts";
export * as cuda from "./cuda.ts";
export * as webgpu from "./webgpu.ts";
export { from_gpu_buffer } from "./webgpu.ts";
export { accelerator, get_num_threads, memory_stats, set_num_threads } from "./runtime.ts";
