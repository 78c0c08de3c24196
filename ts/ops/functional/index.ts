/** torch.nn.functional. */

import { install } from "../install.ts";
import * as activation from "./activation.ts";
import * as linear from "./linear.ts";
import * as one_hot from "./one_hot.ts";

for (const family of [activation, linear, one_hot]) install(family, "nn.functional");

export * from "./activation.ts";
export * from "./linear.ts";
export * from "./one_hot.ts";
