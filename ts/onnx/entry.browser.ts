/** `kindling/onnx` in browsers. */

export * from "./index.ts";
