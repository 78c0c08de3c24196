/** `kindling/onnx` in Node. */

export * from "./index.ts";
