/**
 * What the native addon (native/) offers: its contract with this folder, version `ADDON_ABI`. The addon knows nothing of tensors or kernels: it
 * opens NVIDIA's libraries at run time, keeps memory, compiles text, and carries out packed commands on one stream per device, in order.
 *
 * Nothing blocks the calling thread but what is named `...Sync`. Device addresses are numbers: they have at most 52 bits.
 */

export const ADDON_ABI = 1;

/** The codes of errors that the addon throws or rejects with. */
export type CudaErrorCode =
  /** libcuda was not found, or does not start: `searched` says where it was looked for. */
  | "NO_DRIVER"
  /** There is a driver, but no such device. */
  | "NO_DEVICE"
  /** libnvrtc (cuBLASLt, cuDNN) was not found or is too old; `searched` as above. */
  | "NO_LIBRARY"
  | "OUT_OF_MEMORY"
  /** NVRTC refused the text; the message is its log. */
  | "COMPILE_ERROR"
  /** The device's context is unusable from now on (an illegal address, a trap, a reset). Every later call throws this, too. */
  | "DEVICE_LOST"
  /** A call of the driver or of a library failed; the device goes on. */
  | "CUDA_ERROR"
  /** The caller broke this contract. */
  | "INVALID";

export interface AddonError extends Error {
  readonly code: CudaErrorCode;
  /** The driver's CUresult (or the library's status), where there is one. */
  readonly cuResult?: number;
  /** The function that failed: "cuMemAlloc". */
  readonly op?: string;
  readonly searched?: readonly string[];
}

/** One of NVIDIA's libraries. */
export interface LibraryProbe {
  /** The path or soname that it was opened by, or null. */
  readonly path: string | null;
  /** "12.4", "9.1.0", ... or null. */
  readonly version: string | null;
  /** Everything that was tried, in order. */
  readonly searched: readonly string[];
  /** Why it cannot be used. */
  readonly error: string | null;
}

export interface Probe {
  readonly driver: LibraryProbe;
  readonly nvrtc: LibraryProbe;
  readonly cublasLt: LibraryProbe;
  readonly cudnn: LibraryProbe;
  /** Compute capabilities that NVRTC makes CUBINs for (nvrtcGetSupportedArchs): [70, 75, 80, ...]; empty where it does not say. */
  readonly nvrtcArchitectures: readonly number[];
  /** Empty where the driver cannot be used. Listing devices creates no context. */
  readonly devices: readonly DeviceInfo[];
}

export interface SearchOptions {
  /** Looked through first, in order. Then sonames, $CUDA_HOME (and /usr/local/cuda), pip's nvidia/<package>/lib. */
  readonly directories?: readonly string[];
  /** Look nowhere else. */
  readonly only?: boolean;
}

export interface DeviceInfo {
  readonly index: number;
  readonly name: string;
  /** Compute capability: [9, 0]. */
  readonly capability: readonly [major: number, minor: number];
  readonly totalMemory: number;
  readonly multiprocessors: number;
  readonly maxThreadsPerBlock: number;
  /** Bytes of shared memory of a block: by default, and when a function asks for more. */
  readonly sharedPerBlock: number;
  readonly sharedPerBlockOptin: number;
  readonly l2Bytes: number;
  readonly uuid: string;
}

export interface OpenOptions {
  /** Most bytes to take from the device. */
  readonly memoryLimit?: number;
  /** Every allocation is one of the driver's, none is kept or divided: for finding writes beyond the end. */
  readonly exactAllocations?: boolean;
  /** Called on the JavaScript thread when memory is short, before the allocator gives up: frees what is dead. */
  readonly reclaim?: () => void;
}

/** Bytes, and counts, since the device was opened. */
export interface AllocatorStats {
  readonly allocatedBytes: number;
  readonly peakAllocatedBytes: number;
  readonly reservedBytes: number;
  readonly peakReservedBytes: number;
  /** Blocks handed out and not yet freed. */
  readonly blocks: number;
  readonly allocations: number;
  /** Calls of cuMemAlloc. */
  readonly slabs: number;
  /** How often memory ran out and idle slabs were given back to try again, and how often that did not help. */
  readonly retries: number;
  readonly failures: number;
}

export interface Compiled {
  /** With `--gpu-architecture=compute_XX` PTX, ended by a zero byte: `loadModule` takes it, too. */
  readonly cubin: Uint8Array;
  readonly log: string;
}

export interface Addon {
  readonly abi: number;
  /** Opens what can be found (once per process and options) and says what it found. Never throws. */
  probe(options?: SearchOptions): Probe;
  /** Takes the device's primary context. Throws NO_DRIVER, NO_DEVICE, NO_LIBRARY (without NVRTC). */
  open(index: number, options?: OpenOptions): NativeDevice;
}

export interface NativeDevice {
  readonly info: DeviceInfo;

  // Memory: stream-ordered, so a block may be handed out again as soon as it is freed.
  /** The address of uninitialised memory, aligned to 256 bytes. Throws OUT_OF_MEMORY, with `AllocatorStats` in the message. */
  allocate(bytes: number): number;
  free(address: number): void;
  /** Gives idle slabs back to the driver. */
  emptyCache(): void;
  memoryStats(): AllocatorStats;
  resetPeakStats(): void;
  /** As the driver sees it, all programs together. */
  memGetInfo(): readonly [free: number, total: number];

  // Code.
  /** On the compile thread, in the order of the calls. Rejects with COMPILE_ERROR. `options` are NVRTC's. */
  compile(text: string, options: readonly string[]): Promise<Compiled>;
  compileSync(text: string, options: readonly string[]): Compiled;
  /** Returns the module's number. */
  loadModule(cubin: Uint8Array): number;
  /** The number by which commands launch it. `threads` of a block and bytes of dynamic shared memory are fixed here. */
  getFunction(module: number, name: string, threads: number, dynamicShared: number): number;

  /**
   * Enqueues the commands in `words[0 .. count)`, in order. A command is `op | length << 8` (length in words, this one included), then its
   * fields; 64-bit fields are two words, low first:
   *
   *     LAUNCH  1  function, groups, bytes of arguments, then the arguments as the kernel takes them (8-byte pointers first)
   *     COPY    2  to (64), from (64), bytes (64)
   *     ZERO    3  address (64), bytes (64)
   *     UPLOAD  4  address (64), bytes, then the bytes, padded to words
   *     RECORD  5  event
   *     MATMUL  6  plan, a (64), b (64), c (64), d (64), bias (64), workspace (64), alpha (f64), beta (f64)
   *     CONV    7  plan, first (64), second (64), result (64), workspace (64)
   *
   * Throws CUDA_ERROR or DEVICE_LOST with `op` naming the command; commands before the failing one were enqueued, later ones were not.
   */
  submit(words: Uint32Array, count: number): void;

  // Transfers, in the order of the stream. They go through pinned memory.
  /** The bytes are copied before this returns. */
  upload(address: number, bytes: Uint8Array): void;
  /** Resolves when the stream got there (on the waiter thread's word); the array is the caller's. */
  download(address: number, bytes: number): Promise<Uint8Array>;
  downloadSync(address: number, bytes: number): Uint8Array;
  /** When all commands so far have been carried out. Rejects with DEVICE_LOST when one of them failed. */
  synchronize(): Promise<void>;
  synchronizeSync(): void;
  /** Whether the stream has nothing to do. */
  idle(): boolean;

  // Events; RECORD puts them into the stream.
  createEvent(timing: boolean): number;
  destroyEvent(event: number): void;
  /** Whether what was before the last RECORD has been carried out. */
  queryEvent(event: number): boolean;
  synchronizeEvent(event: number): Promise<void>;
  synchronizeEventSync(event: number): void;
  /** Milliseconds. */
  elapsed(start: number, end: number): number;
  /** What is enqueued on this device from now on waits for an event of another one (or of this one). */
  waitEvent(other: NativeDevice, event: number): void;

  // Graphs. Between begin and end commands are recorded, not carried out; transfers from and to the host, and waiting, throw INVALID.
  beginCapture(): void;
  /** Returns the graph's number. Memory that was allocated during the capture stays the graph's until `destroyGraph`. */
  endCapture(): number;
  /** Ends a capture that went wrong, and forgets it. */
  abortCapture(): void;
  launchGraph(graph: number): void;
  destroyGraph(graph: number): void;

  /** cuBLASLt and cuDNN, where one of them was found: see libraries.ts. Null: neither is there. */
  readonly libraries: NativeLibraries | null;

  stats(): { readonly launches: number; readonly submits: number; readonly copies: number; readonly graphLaunches: number };
  /** Waits for the stream, gives everything back. Later calls throw INVALID. Happens by itself at the end of the environment. */
  close(): void;
}

export type LibraryType = "f16" | "bf16" | "f32" | "f64";

/** d = alpha * op(a) op(b) + beta * c + bias, row-major as PyTorch's; strides between rows are `lda`.. in elements. */
export interface MatmulPlanOptions {
  readonly type: LibraryType;
  /** f32 only: products of TF32. */
  readonly tf32: boolean;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  /** Whether the operand lies transposed: its rows are the columns. */
  readonly transA: boolean;
  readonly transB: boolean;
  readonly lda: number;
  readonly ldb: number;
  readonly ldc: number;
  readonly ldd: number;
  /** Elements between the entries of a batch; 0: shared. */
  readonly strideA: number;
  readonly strideB: number;
  readonly strideC: number;
  readonly strideD: number;
  /** A bias of n elements, added to every row. */
  readonly bias: boolean;
  /** Bytes (a power of two, at most 256) that all addresses will be multiples of. */
  readonly alignment: number;
  readonly workspaceLimit: number;
  /** Which of the library's choices, the best by its own estimate first: 0, 1, ... */
  readonly candidate: number;
}

export interface ConvPlanOptions {
  readonly mode: "forward" | "input_gradient" | "weight_gradient";
  readonly type: LibraryType;
  readonly tf32: boolean;
  /** [N, C, spatial...] and so on; all contiguous. */
  readonly input: readonly number[];
  readonly weight: readonly number[];
  readonly output: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
  readonly workspaceLimit: number;
  /** As in MatmulPlanOptions; only algorithms that give the same bits every time. */
  readonly candidate: number;
}

export interface NativeLibraries {
  /** Whether cuBLASLt can be used. The first question starts it, which takes a while. */
  readonly hasMatmul: boolean;
  /** The same of cuDNN. */
  readonly hasConv: boolean;
  /** Null where the library has no algorithm for it, or no further one. */
  matmulPlan(options: MatmulPlanOptions): { readonly plan: number; readonly workspace: number } | null;
  convPlan(options: ConvPlanOptions): { readonly plan: number; readonly workspace: number } | null;
  /** Ends all plans; commands that were submitted are not affected. Numbers begin anew. */
  forgetPlans(): void;
}
