/** torch.nn.utils. */

export * from "./clip.ts";
