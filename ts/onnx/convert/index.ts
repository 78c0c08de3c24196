/** Ops by name → nodes of ONNX. What is not here is made of ops that are, or cannot be exported. */

import { elementwise } from "./elementwise.ts";
import { layers } from "./layers.ts";
import { reductions } from "./reduce.ts";
import { shapes } from "./shape.ts";
import type { Table } from "./shared.ts";

export const TABLE: Table = { ...elementwise, ...layers, ...reductions, ...shapes };
