/** Random numbers, drawn from the cpu's generator with the calls and in the order that torchvision has, so that seeds give its results. */

import * as torch from "../../torch.ts";

const CPU = { device: "cpu" } as const;

/** One number from [from, to), as float32 has it. */
export function uniform(from: number, to: number): number {
  return torch.empty([1], CPU).uniform_(from, to).item_sync() as number;
}
/** e to a number from [log from, log to). */
export function logUniform(from: number, to: number): number {
  const [a, b] = torch
    .tensor([from, to], { ...CPU, dtype: torch.float32 })
    .log()
    .tolist_sync() as [number, number];
  return torch.empty([1], CPU).uniform_(a, b).exp().item_sync() as number;
}
/** One whole number from [from, to). */
export function randint(from: number, to: number): number {
  return Number(torch.randint(from, to, [1], CPU).item_sync());
}
/** Whether a draw from [0, 1) is below p. */
export function chance(p: number): boolean {
  return (torch.rand([1], CPU).item_sync() as number) < p;
}
export function permutation(n: number): number[] {
  return torch.randperm(n, CPU).tolist_sync() as number[];
}
/** A position, with the probabilities that the weights stand in. */
export function choice(weights: readonly number[]): number {
  return Number(torch.multinomial(torch.tensor(weights, { ...CPU, dtype: torch.float32 }), 1).item_sync());
}
