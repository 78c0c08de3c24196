/** torch.nn. */

export * as functional from "../ops/functional/index.ts";
