/** Typed errors under the names that Python and PyTorch give them, so that `catch` can tell them apart. */

export class RuntimeError extends Error {
  override name = "RuntimeError";
}
export class ValueError extends Error {
  override name = "ValueError";
}
export class IndexError extends Error {
  override name = "IndexError";
}
/** An op, dtype or device combination that has no kernel. */
export class NotImplementedError extends RuntimeError {
  override name = "NotImplementedError";
}
/** The device cannot give the memory asked for. */
export class OutOfMemoryError extends RuntimeError {
  override name = "OutOfMemoryError";
}
/** The device is gone (driver reset, `destroy()`): its tensors are lost, the cpu's are intact, and it can be initialised anew. */
export class DeviceLostError extends RuntimeError {
  override name = "DeviceLostError";
}
export class LinAlgError extends RuntimeError {
  override name = "LinAlgError";
}
