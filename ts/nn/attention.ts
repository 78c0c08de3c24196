/** torch.nn.attention: which implementation scaled_dot_product_attention should take. */

/** PyTorch's implementations. Here there is one per device, chosen by the arguments. */
export const SDPBackend = {
  ERROR: -1,
  MATH: 0,
  FLASH_ATTENTION: 1,
  EFFICIENT_ATTENTION: 2,
  CUDNN_ATTENTION: 3,
} as const;
export type SDPBackend = (typeof SDPBackend)[keyof typeof SDPBackend];

/** Runs `fn`, with the wish that attention in it take one of `backends`: a hint, which changes no result. */
export function sdpa_kernel<T>(backends: SDPBackend | readonly SDPBackend[], fn: () => T): T {
  const known = Object.values(SDPBackend) as number[];
  for (const backend of [backends].flat()) {
    if (!known.includes(backend as number)) {
      throw new TypeError(`sdpa_kernel: expected a member of SDPBackend or a list of them, got ${String(backend)}`);
    }
  }
  return fn();
}
