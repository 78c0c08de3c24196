/** Loading the kernel modules: which variant, and how an instance becomes a table of kernels. Main thread and workers share this. */

import { RuntimeError } from "../../ts/core/errors.ts";
import type { Platform } from "./platform.ts";

export type Variant = "simd" | "relaxed";
export type KernelFunction = (params: number, task: number, scratch: number) => void;

/** A module with one function: f32x4.relaxed_madd of three zero vectors. It validates where relaxed SIMD is there. */
const RELAXED_PROBE = fromHex(
  "0061736d 01000000" + // magic, version
    "01 05 01 60 00 01 7b" + // type: () -> v128
    "03 02 01 00" + // one function of it
    "0a 13 01 11 00" + // code: 17 bytes, no locals
    "4100 fd0f 4100 fd0f 4100 fd0f" + // three times i32.const 0, i8x16.splat
    "fd8502 0b", // f32x4.relaxed_madd, end
);

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.replaceAll(" ", "").match(/../g)!, (pair) => parseInt(pair, 16));
}

export function chooseVariant(platform: Platform): Variant {
  const wanted = platform.setting("KINDLING_WASM_VARIANT");
  if (wanted === "simd" || wanted === "relaxed") return wanted;
  if (wanted !== undefined && wanted !== "") {
    throw new RuntimeError(`KINDLING_WASM_VARIANT is "${wanted}"; it may be "simd" or "relaxed"`);
  }
  return WebAssembly.validate(RELAXED_PROBE) ? "relaxed" : "simd";
}

export type Modules = readonly WebAssembly.Module[];

export async function compileModules(platform: Platform, variant: Variant): Promise<Modules> {
  return Promise.all([platform.compile(`kernels_cpp.${variant}`), platform.compile(`kernels_as.${variant}`)]);
}

export interface Kernels {
  /** Sorted: a kernel's number is its place here, in every thread. */
  readonly names: readonly string[];
  readonly functions: readonly KernelFunction[];
  /** Puts this thread's C++ stack where it belongs, also after a trap left it in the middle. */
  resetStack(): void;
}

/**
 * Instantiates both modules on the shared memory.
 * @param stackTop End of this thread's C++ stack, or null for the one in the module's own data.
 */
export function instantiate(modules: Modules, memory: WebAssembly.Memory, stackTop: number | null): Kernels {
  const found = new Map<string, KernelFunction>();
  let stack: WebAssembly.Global | undefined;
  for (const module of modules) {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    for (const [name, value] of Object.entries(exports)) {
      if (typeof value === "function") {
        if (found.has(name)) throw new RuntimeError(`both kernel modules export ${name}`);
        found.set(name, value as KernelFunction);
      } else if (name === "__stack_pointer") stack = value as WebAssembly.Global;
    }
  }
  const top = stackTop ?? (stack?.value as number);
  const resetStack = (): void => {
    if (stack) stack.value = top;
  };
  resetStack();
  const names = [...found.keys()].sort();
  return { names, functions: names.map((name) => found.get(name)!), resetStack };
}
