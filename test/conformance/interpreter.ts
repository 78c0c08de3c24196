/** The device "cuda" without CUDA: its kernels, interpreted. For development, where no GPU and no stand-in of one is to be had. */

import { InterpreterDevice } from "../../gpu/interpreter/device.ts";
import { registerOpener } from "../../ts/ops/devices.ts";
import { Session, type Namespace } from "./session.ts";

/** A session on an interpreter with what CUDA devices have: all dtypes in full, subgroups of 32. */
export function openInterpreter(torch: Namespace): Session {
  const device = new InterpreterDevice({
    caps: { wide: true, f16: true, subgroups: { min: 32, max: 32 }, maxStorageBuffers: 64, maxWorkgroupStorage: 48 << 10 },
    races: false,
  });
  registerOpener("cuda", () => device);
  return Session.on(torch, "cuda");
}
