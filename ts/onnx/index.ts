/** `kindling/onnx`: models to and from ONNX files. Needs the package @bufbuild/protobuf. */

export { export_, export_ as export, TrainingMode, type DynamicAxes, type ExportOptions } from "./export.ts";
export { load, OnnxModule, type OnnxInputs, type OnnxValue } from "./load.ts";
