/** `torch.io`: tensors in files. */

export {
  load,
  load_file,
  safe_open,
  SafeOpen,
  SafetensorError,
  save,
  save_file,
  type ByteSource,
  type LoadOptions,
  type NamedTensors,
  type Readable,
  type SaveOptions,
} from "./safetensors.ts";
