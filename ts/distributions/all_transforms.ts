/** `torch.distributions.transforms`. */

export * from "./matrix_transforms.ts";
export * from "./transforms.ts";
