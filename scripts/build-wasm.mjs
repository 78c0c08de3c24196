/** `npm run build:wasm`: the kernels and the worker only, and only what changed. */

import { main } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(() => setUp({ library: false }));
