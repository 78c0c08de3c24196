// libcudnn, as far as we use it: functions, and the values of NVIDIA's interface (cudnn_graph.h, cudnn_ops.h, cudnn_cnn.h), the same in 8 and 9.
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver.h"

namespace kindling::cudnn {

using Status = int;
using Handle = struct Context*;
using TensorDesc = struct TensorOpaque*;
using FilterDesc = struct FilterOpaque*;
using ConvDesc = struct ConvolutionOpaque*;

enum : Status { SUCCESS = 0 };

enum DataType : int { DATA_FLOAT = 0, DATA_DOUBLE = 1, DATA_HALF = 2, DATA_BFLOAT16 = 9 };
enum MathType : int { DEFAULT_MATH = 0, TENSOR_OP_MATH = 1, TENSOR_OP_MATH_ALLOW_CONVERSION = 2, FMA_MATH = 3 };
enum TensorFormat : int { TENSOR_NCHW = 0 };
enum ConvolutionMode : int { CROSS_CORRELATION = 1 };
enum Determinism : int { NON_DETERMINISTIC = 0, DETERMINISTIC = 1 };

// cudnnConvolutionFwdAlgoPerf_t, and its likes of the other directions.
struct Choice {
  int algorithm;
  Status status;
  float time;
  size_t memory;
  Determinism determinism;
  MathType math;
  int reserved[3];
};
static_assert(sizeof(Choice) == 48, "cudnnConvolutionFwdAlgoPerf_t");

// Name, symbol, parameters.
#define KINDLING_CUDNN_FUNCTIONS(X)                                                                                              \
  X(create, cudnnCreate, (Handle * handle))                                                                                      \
  X(destroy, cudnnDestroy, (Handle handle))                                                                                      \
  X(set_stream, cudnnSetStream, (Handle handle, CUstream stream))                                                                \
  X(tensor_create, cudnnCreateTensorDescriptor, (TensorDesc * desc))                                                             \
  X(tensor_destroy, cudnnDestroyTensorDescriptor, (TensorDesc desc))                                                             \
  X(tensor_set, cudnnSetTensorNdDescriptor, (TensorDesc desc, DataType type, int dims, const int* sizes, const int* strides))    \
  X(filter_create, cudnnCreateFilterDescriptor, (FilterDesc * desc))                                                             \
  X(filter_destroy, cudnnDestroyFilterDescriptor, (FilterDesc desc))                                                             \
  X(filter_set, cudnnSetFilterNdDescriptor, (FilterDesc desc, DataType type, TensorFormat format, int dims, const int* sizes))   \
  X(conv_create, cudnnCreateConvolutionDescriptor, (ConvDesc * desc))                                                            \
  X(conv_destroy, cudnnDestroyConvolutionDescriptor, (ConvDesc desc))                                                            \
  X(conv_set, cudnnSetConvolutionNdDescriptor,                                                                                   \
    (ConvDesc desc, int dims, const int* padding, const int* stride, const int* dilation, ConvolutionMode mode, DataType compute)) \
  X(conv_set_groups, cudnnSetConvolutionGroupCount, (ConvDesc desc, int groups))                                                 \
  X(conv_set_math, cudnnSetConvolutionMathType, (ConvDesc desc, MathType math))                                                  \
  X(forward_choices, cudnnGetConvolutionForwardAlgorithm_v7,                                                                     \
    (Handle handle, TensorDesc x, FilterDesc w, ConvDesc conv, TensorDesc y, int requested, int* returned, Choice* choices))     \
  X(forward_workspace, cudnnGetConvolutionForwardWorkspaceSize,                                                                  \
    (Handle handle, TensorDesc x, FilterDesc w, ConvDesc conv, TensorDesc y, int algorithm, size_t* bytes))                      \
  X(forward, cudnnConvolutionForward,                                                                                            \
    (Handle handle, const void* alpha, TensorDesc x_desc, const void* x, FilterDesc w_desc, const void* w, ConvDesc conv,        \
     int algorithm, void* workspace, size_t workspace_bytes, const void* beta, TensorDesc y_desc, void* y))                      \
  X(data_choices, cudnnGetConvolutionBackwardDataAlgorithm_v7,                                                                   \
    (Handle handle, FilterDesc w, TensorDesc dy, ConvDesc conv, TensorDesc dx, int requested, int* returned, Choice* choices))   \
  X(data_workspace, cudnnGetConvolutionBackwardDataWorkspaceSize,                                                                \
    (Handle handle, FilterDesc w, TensorDesc dy, ConvDesc conv, TensorDesc dx, int algorithm, size_t* bytes))                    \
  X(data, cudnnConvolutionBackwardData,                                                                                          \
    (Handle handle, const void* alpha, FilterDesc w_desc, const void* w, TensorDesc dy_desc, const void* dy, ConvDesc conv,      \
     int algorithm, void* workspace, size_t workspace_bytes, const void* beta, TensorDesc dx_desc, void* dx))                    \
  X(filter_choices, cudnnGetConvolutionBackwardFilterAlgorithm_v7,                                                               \
    (Handle handle, TensorDesc x, TensorDesc dy, ConvDesc conv, FilterDesc dw, int requested, int* returned, Choice* choices))   \
  X(filter_workspace, cudnnGetConvolutionBackwardFilterWorkspaceSize,                                                            \
    (Handle handle, TensorDesc x, TensorDesc dy, ConvDesc conv, FilterDesc dw, int algorithm, size_t* bytes))                    \
  X(filter, cudnnConvolutionBackwardFilter,                                                                                      \
    (Handle handle, const void* alpha, TensorDesc x_desc, const void* x, TensorDesc dy_desc, const void* dy, ConvDesc conv,      \
     int algorithm, void* workspace, size_t workspace_bytes, const void* beta, FilterDesc dw_desc, void* dw))

struct Api {
#define X(name, entry, parameters) Status(*name) parameters = nullptr;
  KINDLING_CUDNN_FUNCTIONS(X)
#undef X
  size_t (*version)() = nullptr;
  const char* (*error_string)(Status status) = nullptr;
};

}  // namespace kindling::cudnn
