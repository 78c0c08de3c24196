/** Optimizers with options that change what a step computes, for tests of how it is computed. */

import { optim, type Tensor } from "kindling";

/** `way`: further options, such as `foreach`. */
export type Make = (params: Tensor[], way: object) => optim.Optimizer;

export const ELEMENTWISE: Readonly<Record<string, Make>> = {
  Adagrad: (p, way) => new optim.Adagrad(p, { lr: 0.1, ...way }),
  "Adagrad with decay": (p, way) =>
    new optim.Adagrad(p, { lr: 0.1, lr_decay: 0.1, weight_decay: 0.1, initial_accumulator_value: 0.2, maximize: true, ...way }),
  RMSprop: (p, way) => new optim.RMSprop(p, { lr: 0.01, ...way }),
  "RMSprop with weight decay": (p, way) => new optim.RMSprop(p, { weight_decay: 0.1, capturable: true, ...way }),
  "RMSprop with momentum": (p, way) => new optim.RMSprop(p, { momentum: 0.9, maximize: true, ...way }),
  "RMSprop, centered": (p, way) => new optim.RMSprop(p, { centered: true, ...way }),
  "RMSprop, centered, with momentum": (p, way) =>
    new optim.RMSprop(p, { centered: true, momentum: 0.9, weight_decay: 0.1, ...way }),
  Adadelta: (p, way) => new optim.Adadelta(p, { ...way }),
  "Adadelta with weight decay": (p, way) => new optim.Adadelta(p, { weight_decay: 0.1, maximize: true, ...way }),
  Adamax: (p, way) => new optim.Adamax(p, { capturable: true, ...way }),
  "Adamax with weight decay": (p, way) => new optim.Adamax(p, { weight_decay: 0.1, betas: [0.3, 0.9], maximize: true, ...way }),
  NAdam: (p, way) => new optim.NAdam(p, { ...way }),
  "NAdam with weight decay": (p, way) => new optim.NAdam(p, { lr: 0.1, weight_decay: 0.1, maximize: true, ...way }),
  "NAdam, decoupled": (p, way) => new optim.NAdam(p, { lr: 0.1, weight_decay: 0.1, decoupled_weight_decay: true, ...way }),
  RAdam: (p, way) => new optim.RAdam(p, { ...way }),
  "RAdam with weight decay": (p, way) => new optim.RAdam(p, { lr: 0.1, weight_decay: 0.1, maximize: true, ...way }),
  "RAdam, decoupled": (p, way) => new optim.RAdam(p, { lr: 0.1, weight_decay: 0.1, decoupled_weight_decay: true, ...way }),
  ASGD: (p, way) => new optim.ASGD(p, { weight_decay: 0.1, maximize: true, ...way }),
  "ASGD, averaging": (p, way) => new optim.ASGD(p, { lr: 0.1, lambd: 0.01, t0: 2, ...way }),
  Rprop: (p, way) => new optim.Rprop(p, { maximize: true, ...way }),
  "Rprop with sizes": (p, way) => new optim.Rprop(p, { etas: [0.4, 1.5], step_sizes: [0.005, 0.02], ...way }),
};
