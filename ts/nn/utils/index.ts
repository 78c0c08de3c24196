/** torch.nn.utils. */

export * from "./clip.ts";
export { fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights } from "./fusion.ts";
export { remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm } from "./norms.ts";
export * as parametrizations from "./parametrizations.ts";
export * as parametrize from "./parametrize.ts";
export * as prune from "./prune.ts";
export * as rnn from "./rnn.ts";
export { skip_init } from "./skip_init.ts";
export * as stateless from "./stateless.ts";
