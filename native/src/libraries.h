// cuBLASLt and cuDNN of one device: plans are made once, and run as the commands MATMUL and CONV. To start one takes a while, and memory, so it
// happens when somebody first asks whether it is there. All of it is called on the device's JavaScript thread, with its context current, and
// throws Failure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "driver.h"

namespace kindling {

class Device;

enum class LibraryType { F16, BF16, F32, F64 };

// MatmulPlanOptions of gpu/cuda/addon.ts.
struct MatmulOptions {
  LibraryType type;
  bool tf32;
  int64_t m, n, k, batch;
  bool trans_a, trans_b;
  int64_t lda, ldb, ldc, ldd;
  int64_t stride_a, stride_b, stride_c, stride_d;
  bool bias;
  uint32_t alignment;
  uint64_t workspace_limit;
  uint32_t candidate;
};

enum class ConvMode { Forward, InputGradient, WeightGradient };

// ConvPlanOptions of gpu/cuda/addon.ts.
struct ConvOptions {
  ConvMode mode;
  LibraryType type;
  bool tf32;
  std::vector<int64_t> input, weight, output, stride, padding, dilation;
  int64_t groups;
  uint64_t workspace_limit;
  uint32_t candidate;
};

struct Plan {
  uint32_t number;
  uint64_t workspace;
};

struct MatmulCommand {
  uint32_t plan;
  CUdeviceptr a, b, c, d, bias, workspace;
  double alpha, beta;
};

struct ConvCommand {
  uint32_t plan;
  CUdeviceptr first, second, result, workspace;
};

// blas.h, dnn.h
class Blas;
class Dnn;

class Libraries {
 public:
  // Null where neither can be used.
  static std::unique_ptr<Libraries> open(Device& device, const SearchPath& path);
  ~Libraries();

  bool has_matmul() { return blas() != nullptr; }
  bool has_conv() { return dnn() != nullptr; }
  // Nothing where the library has no algorithm for it (or is not there).
  std::optional<Plan> matmul_plan(const MatmulOptions& options);
  std::optional<Plan> conv_plan(const ConvOptions& options);
  void forget_plans();
  // Enqueue on the device's stream.
  void matmul(const MatmulCommand& command);
  void conv(const ConvCommand& command);

 private:
  Libraries(Device& device, const SearchPath& path);
  // Null where it cannot be used.
  Blas* blas();
  Dnn* dnn();

  Device& device_;
  const SearchPath path_;
  bool blas_opened_ = false, dnn_opened_ = false;
  std::unique_ptr<Blas> blas_;
  std::unique_ptr<Dnn> dnn_;
};

// What `probe` says of them. `driver_version` (0: no driver) decides which of several versions can be used.
LibraryProbe probe_blas(const SearchPath& path, int driver_version);
LibraryProbe probe_dnn(const SearchPath& path, int driver_version);

}  // namespace kindling
