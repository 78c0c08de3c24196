/** Ops made of others that have no gradient, with the reason; those with kernels of their own say so themselves. */

const words = (list: string): string[] => list.split(" ");

export const exempt: Readonly<Record<string, readonly string[]>> = {
  "makes tensors, of nothing or of a tensor's form": words(
    "arange empty empty_like full full_like new_full new_zeros ones ones_like tensor zeros zeros_like as_tensor asarray empty_permuted empty_strided " +
      "eye frombuffer linspace logspace new_empty new_empty_strided new_ones new_tensor range scalar_tensor tril_indices triu_indices " +
      "bartlett_window blackman_window hamming_window hann_window kaiser_window fft.fftfreq fft.rfftfreq signal.windows.bartlett " +
      "signal.windows.blackman signal.windows.cosine signal.windows.exponential signal.windows.gaussian signal.windows.general_cosine " +
      "signal.windows.general_hamming signal.windows.hamming signal.windows.hann signal.windows.kaiser signal.windows.nuttall",
  ),
  "draws random numbers": words("rand rand_like randint randint_like randn randn_like randperm"),
  "says something about tensors": words(
    "allclose equal isin is_complex is_floating_point is_nonzero is_same_size is_signed is_tensor result_type ndimension nelement numel " +
      "get_device is_conj is_inference is_neg Tensor.is_set_to",
  ),
  "gives whole numbers or truths": words(
    "argsort argwhere nonzero nonzero_static unravel_index masked.argmax masked.argmin linalg.matrix_rank nn.functional.one_hot Tensor.bool " +
      "Tensor.byte Tensor.char Tensor.int Tensor.long Tensor.short Tensor.__rand__ Tensor.__ror__ Tensor.__rxor__",
  ),
  "counts, or has a gradient in PyTorch neither": words(
    "bincount histc histogram histogramdd unique unique_consecutive geqrf linalg.ldl_factor linalg.ldl_factor_ex",
  ),
  "rounds to a type too narrow for differences": words("Tensor.float Tensor.half Tensor.bfloat16 Tensor.cfloat"),
  "wants an accelerator": words("Tensor.cuda"),
  "leaves the graph, or has a tensor show other memory": words("detach detach_ resize_ resize_as_ set_"),
};
