/** torch.nn.utils. */

export * from "./clip.ts";
export * as rnn from "./rnn.ts";
