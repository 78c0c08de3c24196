/** `kindling/onnx`: models to and from ONNX files. Needs the package @bufbuild/protobuf. */

export { load, OnnxModule, type OnnxInputs, type OnnxValue } from "./load.ts";
