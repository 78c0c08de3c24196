/** torch.nn.functional. */

import { install } from "../install.ts";
import * as activation from "./activation.ts";

for (const family of [activation]) install(family, "nn.functional");

export * from "./activation.ts";
