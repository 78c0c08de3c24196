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
export { read_bytes, write_bytes } from "./bytes.ts";
export { FileFormatError, UnpicklingError } from "./format.ts";
export {
  load_npy,
  load_npz,
  read_npy,
  read_npz,
  save_npy,
  save_npz,
  type NpzOptions,
  type NumpyArray,
  type NumpyData,
  type NumpyLoadOptions,
  type NumpyType,
} from "./numpy.ts";
export { GgufFile, load_gguf, open_gguf, type GgufLoadOptions, type GgufTensorInfo, type GgufValue } from "./gguf.ts";
export { load_sharded, save_sharded, type ShardedLoadOptions, type ShardedSaveOptions } from "./sharded.ts";
export type { Writable } from "./torch_save.ts";
