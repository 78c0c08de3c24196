/** The addon's errors as the library's own. */

import { DeviceLostError, OutOfMemoryError, RuntimeError } from "../../ts/core/errors.ts";
import type { AddonError } from "./addon.ts";

export function isAddonError(error: unknown): error is AddonError {
  return error instanceof Error && typeof (error as Partial<AddonError>).code === "string";
}

/** What a program may catch: the same text, under the class that says what kind of trouble it is. */
export function translate(error: unknown): Error {
  if (!isAddonError(error)) return error instanceof Error ? error : new RuntimeError(`cuda: ${String(error)}`);
  const message = error.message.startsWith("cuda") ? error.message : `cuda: ${error.message}`;
  switch (error.code) {
    case "OUT_OF_MEMORY":
      return new OutOfMemoryError(message, { cause: error });
    case "DEVICE_LOST":
      return new DeviceLostError(
        `${message}. The device's tensors are gone. Call \`torch.cuda.init()\` for a new one, and move the model there again from tensors on the cpu`,
        { cause: error },
      );
    default:
      return new RuntimeError(message, { cause: error });
  }
}

/** Runs `fn`; what the addon throws comes out translated. */
export function guarded<T>(fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw translate(error);
  }
}

export async function guardedAsync<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw translate(error);
  }
}
