/** `npm run setup`: installs, builds the kernels, bundles. */

import { main } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";

await main(() => setUp());
