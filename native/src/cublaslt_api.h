// libcublasLt, as far as we use it: functions, and the values of NVIDIA's interface (cublasLt.h, library_types.h), the same from 11 to 13.
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver.h"

namespace kindling::cublaslt {

using Status = int;
using Handle = struct Context*;
using MatmulDesc = struct MatmulDescOpaque*;
using MatrixLayout = struct MatrixLayoutOpaque*;
using Preference = struct PreferenceOpaque*;

enum : Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, ARCH_MISMATCH = 8, NOT_SUPPORTED = 15 };

// cudaDataType
enum DataType : int { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
// cublasComputeType_t
enum ComputeType : int { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };
// cublasOperation_t
enum Operation : int32_t { OP_N = 0, OP_T = 1 };

enum MatmulDescAttribute : int { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8 };
enum Epilogue : uint32_t { EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4 };
enum LayoutAttribute : int { LAYOUT_ORDER = 1, LAYOUT_BATCH_COUNT = 5, LAYOUT_STRIDED_BATCH_OFFSET = 6 };
enum Order : int32_t { ORDER_COL = 0 };
enum PreferenceAttribute : int {
  PREF_MAX_WORKSPACE_BYTES = 1,
  PREF_REDUCTION_SCHEME_MASK = 3,
  PREF_MIN_ALIGNMENT_A_BYTES = 5,
  PREF_MIN_ALIGNMENT_B_BYTES = 6,
  PREF_MIN_ALIGNMENT_C_BYTES = 7,
  PREF_MIN_ALIGNMENT_D_BYTES = 8,
};
// Parts of k that are summed apart are added in the type of the sums, in a step of its own: exact, and in a fixed order.
enum ReductionScheme : uint32_t { REDUCTION_SCHEME_COMPUTE_TYPE = 2 };

struct Algorithm {
  uint64_t data[8];
};
struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(HeuristicResult) == 96, "cublasLtMatmulHeuristicResult_t");

// Name, symbol, parameters.
#define KINDLING_CUBLASLT_FUNCTIONS(X)                                                                                            \
  X(create, cublasLtCreate, (Handle * handle))                                                                                    \
  X(destroy, cublasLtDestroy, (Handle handle))                                                                                    \
  X(matmul, cublasLtMatmul,                                                                                                       \
    (Handle handle, MatmulDesc desc, const void* alpha, const void* a, MatrixLayout a_layout, const void* b,                      \
     MatrixLayout b_layout, const void* beta, const void* c, MatrixLayout c_layout, void* d, MatrixLayout d_layout,               \
     const Algorithm* algorithm, void* workspace, size_t workspace_bytes, CUstream stream))                                       \
  X(heuristic, cublasLtMatmulAlgoGetHeuristic,                                                                                    \
    (Handle handle, MatmulDesc desc, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d, Preference preference,       \
     int requested, HeuristicResult * results, int* returned))                                                                    \
  X(desc_create, cublasLtMatmulDescCreate, (MatmulDesc * desc, ComputeType compute, DataType scale))                              \
  X(desc_destroy, cublasLtMatmulDescDestroy, (MatmulDesc desc))                                                                   \
  X(desc_set, cublasLtMatmulDescSetAttribute, (MatmulDesc desc, MatmulDescAttribute attribute, const void* value, size_t bytes))   \
  X(layout_create, cublasLtMatrixLayoutCreate, (MatrixLayout * layout, DataType type, uint64_t rows, uint64_t columns, int64_t ld)) \
  X(layout_destroy, cublasLtMatrixLayoutDestroy, (MatrixLayout layout))                                                           \
  X(layout_set, cublasLtMatrixLayoutSetAttribute, (MatrixLayout layout, LayoutAttribute attribute, const void* value, size_t bytes)) \
  X(preference_create, cublasLtMatmulPreferenceCreate, (Preference * preference))                                                 \
  X(preference_destroy, cublasLtMatmulPreferenceDestroy, (Preference preference))                                                 \
  X(preference_set, cublasLtMatmulPreferenceSetAttribute,                                                                         \
    (Preference preference, PreferenceAttribute attribute, const void* value, size_t bytes))

struct Api {
#define X(name, entry, parameters) Status(*name) parameters = nullptr;
  KINDLING_CUBLASLT_FUNCTIONS(X)
#undef X
  size_t (*version)() = nullptr;
  // From 11.4 on.
  const char* (*status_name)(Status status) = nullptr;
};

}  // namespace kindling::cublaslt
