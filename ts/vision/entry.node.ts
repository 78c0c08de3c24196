/** `kindling/vision` in Node. */

export * from "./index.ts";
