/** torch.signal. */

import { install } from "../install.ts";
import * as windows from "./windows.ts";

install(windows, "signal.windows");

export { windows };
