/** `kindling/vision` in browsers. */

export * from "./index.ts";
