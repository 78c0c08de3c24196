/** The stand-in's libcudnn: see library.h. Values are those of cuDNN 9's headers. */

#include <algorithm>

#include "library.h"

using namespace library;

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum MathType { DEFAULT = 0, TENSOR_OP = 1, ALLOW_CONVERSION = 2, FMA = 3 };
enum Direction { FORWARD, DATA, FILTER };

constexpr uint64_t HANDLE = 0x6b64646e6e0001, TENSOR = 0x6b64646e6e0002, KERNEL = 0x6b64646e6e0003, CONV = 0x6b64646e6e0004;
constexpr int MOST_DIMS = 8;

struct Handle {
  uint64_t mark = HANDLE;
  void* stream = nullptr;
};
/** Tensors and filters. */
struct Shape {
  uint64_t mark;
  int type = -1;
  int dims = 0;
  int sizes[MOST_DIMS] = {};

  size_t elements() const {
    size_t count = 1;
    for (int i = 0; i < dims; i++) count *= size_t(sizes[i]);
    return count;
  }
  bool operator==(const Shape& other) const {
    return type == other.type && dims == other.dims && std::equal(sizes, sizes + dims, other.sizes);
  }
};
struct Conv {
  uint64_t mark = CONV;
  int dims = 0, compute = -1, math = DEFAULT, groups = 1;
  int padding[MOST_DIMS] = {}, stride[MOST_DIMS] = {}, dilation[MOST_DIMS] = {};
};
template <class T>
bool alive(const T* object, uint64_t mark) {
  return object != nullptr && object->mark == mark;
}
template <class T>
int destroy(T* object, uint64_t mark) {
  if (!alive(object, mark)) return BAD_PARAM;
  object->mark = 0;
  delete object;
  return SUCCESS;
}
int refuse(const std::string& why, int status = BAD_PARAM) {
  note("refused: " + why);
  return status;
}

struct Choice {
  int algorithm;
  int status;
  float time;
  size_t memory;
  int determinism;
  int math;
  int reserved[3];
};

struct Problem {
  Shape x, w, y;
  Conv conv;
  Type type = Type::F32;
  Math math = Math::EXACT;
};

bool typeOf(int type, Type& result) {
  switch (type) {
    case 0: result = Type::F32; return true;
    case 1: result = Type::F64; return true;
    case 2: result = Type::F16; return true;
    case 9: result = Type::BF16; return true;
    default: return false;
  }
}

int problemOf(const Handle* handle, const Shape* x, const Shape* w, const Conv* conv, const Shape* y, Problem& p) {
  if (!alive(handle, HANDLE)) return refuse("the handle is none");
  if (!alive(x, TENSOR) || !alive(y, TENSOR) || !alive(w, KERNEL) || !alive(conv, CONV)) return refuse("a descriptor is none");
  if (x->type != w->type || x->type != y->type) return refuse("tensors of several types", NOT_SUPPORTED);
  if (!typeOf(x->type, p.type)) return refuse(text("data type %d", x->type), NOT_SUPPORTED);
  if (conv->compute != (p.type == Type::F64 ? 1 : 0)) return refuse(text("compute type %d for %s", conv->compute, nameOf(p.type)), NOT_SUPPORTED);
  if (x->dims != conv->dims + 2 || w->dims != x->dims || y->dims != x->dims) return refuse("dims differ");
  if (conv->dims != 2 && conv->dims != 3) return refuse(text("%d spatial dims", conv->dims), NOT_SUPPORTED);
  if (x->sizes[0] != y->sizes[0]) return refuse("batches differ");
  if (conv->groups < 1 || w->sizes[1] * conv->groups != x->sizes[1] || w->sizes[0] != y->sizes[1] || w->sizes[0] % conv->groups != 0) {
    return refuse("channels differ");
  }
  for (int d = 0; d < conv->dims; d++) {
    const int reach = conv->dilation[d] * (w->sizes[d + 2] - 1) + 1, room = x->sizes[d + 2] + 2 * conv->padding[d];
    if (reach > room || (room - reach) / conv->stride[d] + 1 != y->sizes[d + 2]) return refuse(text("the output's size in dim %d", d));
  }
  p.x = *x, p.w = *w, p.y = *y, p.conv = *conv;
  if (p.type == Type::F32 && conv->math != FMA) p.math = conv->math == ALLOW_CONVERSION ? Math::HALF : Math::TF32;
  return SUCCESS;
}

/** What the algorithms of a direction are like. `memory`: bytes per element of the output. */
struct Trait {
  int algorithm;
  bool deterministic;
  int math;
  size_t memory;
  bool supported;
};
/** In each direction: one that cannot do it, the fastest one that is not deterministic or converts, and others after it. */
const std::vector<Trait>& traits(Direction direction) {
  static const std::vector<Trait> forward{
      {6, true, TENSOR_OP, 0, false}, {1, true, ALLOW_CONVERSION, 4, true}, {1, true, TENSOR_OP, 4, true}, {1, true, FMA, 4, true},
      {0, true, DEFAULT, 0, true},    {2, true, DEFAULT, 64, true},
  };
  static const std::vector<Trait> data{
      {4, true, TENSOR_OP, 0, false}, {0, false, DEFAULT, 0, true}, {1, true, ALLOW_CONVERSION, 8, true}, {1, true, TENSOR_OP, 8, true}, {1, true, FMA, 8, true},
  };
  static const std::vector<Trait> filter{
      {3, false, DEFAULT, 0, true}, {0, false, DEFAULT, 0, true}, {1, true, TENSOR_OP, 2, true}, {1, true, DEFAULT, 2, true}, {5, true, DEFAULT, 32, true},
  };
  return direction == FORWARD ? forward : direction == DATA ? data : filter;
}
const Trait* traitOf(Direction direction, int algorithm) {
  for (const Trait& trait : traits(direction)) {
    if (trait.algorithm == algorithm && trait.supported) return &trait;
  }
  return nullptr;
}

int choices(Direction direction, const Problem& p, int requested, int* returned, Choice* found) {
  if (requested < 1 || returned == nullptr || found == nullptr) return refuse("no room for choices");
  *returned = 0;
  int offeredLeft = offered("KINDLING_STAND_IN_CUDNN", 100);
  for (const Trait& t : traits(direction)) {
    if (*returned == requested) break;
    const bool usable = t.supported && offeredLeft > 0;
    if (usable && t.deterministic) offeredLeft--;
    found[(*returned)++] = {t.algorithm, usable ? SUCCESS : NOT_SUPPORTED, 1, t.memory * p.y.elements(), t.deterministic ? 1 : 0, t.math, {}};
  }
  return SUCCESS;
}

int workspaceOf(Direction direction, const Problem& p, int algorithm, size_t* bytes) {
  const Trait* trait = traitOf(direction, algorithm);
  if (trait == nullptr || bytes == nullptr) return refuse(text("algorithm %d", algorithm), NOT_SUPPORTED);
  *bytes = trait->memory * p.y.elements();
  return SUCCESS;
}

struct Work {
  Problem p;
  Direction direction;
  int algorithm;
  const void *x, *w, *y;
  void *result, *workspace;
  size_t workspaceBytes;
  double alpha, beta;
};

/** Sizes with three spatial dims. */
struct Volume {
  size_t channels, sizes[3];
  Volume(const Shape& shape, bool deep) : channels(size_t(shape.sizes[1])) {
    for (int d = 0; d < 3; d++) sizes[d] = d == 0 && !deep ? 1 : size_t(shape.sizes[d + (deep ? 2 : 1)]);
  }
  /** Where a row begins. */
  size_t at(size_t n, size_t c, size_t i, size_t j) const { return (((n * channels + c) * sizes[0] + i) * sizes[1] + j) * sizes[2]; }
};

template <class T>
__attribute__((optimize("O3"))) void convolve(const Work& work) {
  const Problem& p = work.p;
  const auto read = [&](const void* memory, const Shape& shape, bool wanted) {
    std::vector<T> values(shape.elements(), T(0));
    for (size_t i = 0; wanted && i < values.size(); i++) values[i] = T(operand(load(memory, p.type, i), p.math));
    return values;
  };
  // The one that is computed begins with zeros.
  std::vector<T> x = read(work.x, p.x, work.direction != DATA), w = read(work.w, p.w, work.direction != FILTER);
  std::vector<T> y = read(work.y, p.y, work.direction != FORWARD);
  const bool deep = p.conv.dims == 3;
  const Volume X(p.x, deep), W(p.w, deep), Y(p.y, deep);
  long stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  for (int d = deep ? 0 : 1; d < 3; d++) {
    const int from = deep ? d : d - 1;
    stride[d] = p.conv.stride[from], padding[d] = p.conv.padding[from], dilation[d] = p.conv.dilation[from];
  }
  const size_t cin = W.channels, cout = size_t(p.w.sizes[0] / p.conv.groups), batch = size_t(p.x.sizes[0]);
  const long step = stride[2], width = long(X.sizes[2]);
  for (size_t n = 0; n < batch; n++) for (size_t co = 0; co < size_t(p.w.sizes[0]); co++) for (size_t ci = 0; ci < cin; ci++) {
    const size_t channel = co / cout * cin + ci;
    for (size_t k0 = 0; k0 < W.sizes[0]; k0++) for (size_t k1 = 0; k1 < W.sizes[1]; k1++) for (size_t k2 = 0; k2 < W.sizes[2]; k2++) {
      T& weight = w[W.at(co, ci, k0, k1) + k2];
      const long shift = long(k2) * dilation[2] - padding[2];
      // Outputs of a row whose patch has this element inside.
      const long first = shift >= 0 ? 0 : (-shift + step - 1) / step;
      const long last = std::min(long(Y.sizes[2]), width - shift <= 0 ? 0 : (width - shift - 1) / step + 1);
      for (size_t o0 = 0; o0 < Y.sizes[0]; o0++) for (size_t o1 = 0; o1 < Y.sizes[1]; o1++) {
        const long i0 = long(o0) * stride[0] - padding[0] + long(k0) * dilation[0], i1 = long(o1) * stride[1] - padding[1] + long(k1) * dilation[1];
        if (i0 < 0 || i0 >= long(X.sizes[0]) || i1 < 0 || i1 >= long(X.sizes[1])) continue;
        T* const rowX = &x[X.at(n, channel, size_t(i0), size_t(i1))];
        T* const rowY = &y[Y.at(n, co, o0, o1)];
        if (work.direction == FORWARD) {
          for (long o = first; o < last; o++) rowY[o] += weight * rowX[o * step + shift];
        } else if (work.direction == DATA) {
          for (long o = first; o < last; o++) rowX[o * step + shift] += weight * rowY[o];
        } else {
          for (long o = first; o < last; o++) weight += rowY[o] * rowX[o * step + shift];
        }
      }
    }
  }
  const std::vector<T>& sums = work.direction == FORWARD ? y : work.direction == DATA ? x : w;
  for (size_t at = 0; at < sums.size(); at++) {
    double value = work.alpha * double(sums[at]);
    if (work.beta != 0) value += work.beta * load(work.result, p.type, at);
    store(work.result, p.type, at, value);
  }
}

void compute(void* argument) {
  const Work& work = *static_cast<const Work*>(argument);
  dawdle(work.algorithm);
  if (work.workspaceBytes > 0) memset(work.workspace, 0xa5, work.workspaceBytes);
  if (work.p.type == Type::F64) convolve<double>(work);
  else convolve<float>(work);
}

int run(const Handle* handle, Work& work, const void* alpha, const void* beta, int algorithm, void* workspace, size_t workspaceBytes) {
  const Problem& p = work.p;
  const Trait* trait = traitOf(work.direction, algorithm);
  if (trait == nullptr) return refuse(text("algorithm %d", algorithm), NOT_SUPPORTED);
  const size_t unit = bytesOf(p.type), needed = trait->memory * p.y.elements();
  struct Operand {
    const char* name;
    const void* pointer;
    size_t bytes;
  };
  const Operand operands[] = {{"x", work.x, p.x.elements() * unit}, {"w", work.w, p.w.elements() * unit}, {"y", work.y, p.y.elements() * unit}};
  for (const Operand& o : operands) {
    if (!isAligned(o.pointer, unit)) return refuse(text("%s is not aligned", o.name));
    if (!isDevice(o.pointer, o.bytes)) return refuse(text("%s: %zu bytes at %p are not in one allocation", o.name, o.bytes, o.pointer));
    if (needed > 0 && overlap(workspace, needed, o.pointer, o.bytes)) return refuse(text("the workspace overlaps %s", o.name));
    for (const Operand& other : operands) {
      if (o.pointer != other.pointer && other.pointer == work.result && overlap(o.pointer, o.bytes, other.pointer, other.bytes)) {
        return refuse(text("the result overlaps %s", o.name));
      }
    }
  }
  if (workspaceBytes < needed) return refuse(text("a workspace of %zu bytes, %zu are needed", workspaceBytes, needed));
  if (needed > 0 && (!isAligned(workspace, 16) || !isDevice(workspace, needed))) return refuse("the workspace is not device memory");
  work.algorithm = algorithm;
  work.workspace = workspace;
  work.workspaceBytes = needed;
  work.alpha = p.type == Type::F64 ? *static_cast<const double*>(alpha) : double(*static_cast<const float*>(alpha));
  work.beta = p.type == Type::F64 ? *static_cast<const double*>(beta) : double(*static_cast<const float*>(beta));
  const char* names[] = {"forward", "data", "filter"};
  std::string line = text("conv %s %s%s", names[work.direction], nameOf(p.type), p.math == Math::TF32 ? " tf32" : p.math == Math::HALF ? " half" : "");
  for (const Shape* shape : {&p.x, &p.w}) {
    for (int d = 0; d < shape->dims; d++) line += (d == 0 ? " " : "x") + std::to_string(shape->sizes[d]);
  }
  note(line + text(" groups=%d algorithm=%d", p.conv.groups, algorithm));
  return kindling_stand_in_enqueue(handle->stream, "cudnnConvolution", compute, &work, sizeof work) == 0 ? SUCCESS : EXECUTION_FAILED;
}

template <class T>
int create(T** object, uint64_t mark) {
  if (object == nullptr) return BAD_PARAM;
  *object = new T{};
  (*object)->mark = mark;
  return SUCCESS;
}

int setSizes(Shape* shape, int type, int dims, const int* sizes) {
  if (dims < 4 || dims > MOST_DIMS || sizes == nullptr) return refuse(text("%d dims", dims));
  if (std::any_of(sizes, sizes + dims, [](int size) { return size < 1; })) return refuse("a size below 1");
  shape->type = type;
  shape->dims = dims;
  std::copy(sizes, sizes + dims, shape->sizes);
  return SUCCESS;
}

}  // namespace

EXPORT size_t cudnnGetVersion() { return isAbsent("KINDLING_STAND_IN_CUDNN") ? 0 : 90100; }
EXPORT const char* cudnnGetErrorString(int status) {
  switch (status) {
    case SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
    case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    default: return "CUDNN_STATUS_EXECUTION_FAILED";
  }
}
EXPORT int cudnnCreate(Handle** handle) {
  if (isAbsent("KINDLING_STAND_IN_CUDNN")) return NOT_INITIALIZED;
  return create(handle, HANDLE);
}
EXPORT int cudnnDestroy(Handle* handle) { return destroy(handle, HANDLE); }
EXPORT int cudnnSetStream(Handle* handle, void* stream) {
  if (!alive(handle, HANDLE)) return refuse("the handle is none");
  handle->stream = stream;
  return SUCCESS;
}

EXPORT int cudnnCreateTensorDescriptor(Shape** desc) { return create(desc, TENSOR); }
EXPORT int cudnnDestroyTensorDescriptor(Shape* desc) { return destroy(desc, TENSOR); }
EXPORT int cudnnSetTensorNdDescriptor(Shape* desc, int type, int dims, const int* sizes, const int* strides) {
  if (!alive(desc, TENSOR)) return refuse("the tensor descriptor is none");
  if (const int status = setSizes(desc, type, dims, sizes); status != SUCCESS) return status;
  int dense = 1;
  for (int d = dims - 1; d >= 0; d--) {
    if (strides[d] != dense) return refuse("a tensor that is not contiguous", NOT_SUPPORTED);
    dense *= sizes[d];
  }
  return SUCCESS;
}
EXPORT int cudnnCreateFilterDescriptor(Shape** desc) { return create(desc, KERNEL); }
EXPORT int cudnnDestroyFilterDescriptor(Shape* desc) { return destroy(desc, KERNEL); }
EXPORT int cudnnSetFilterNdDescriptor(Shape* desc, int type, int format, int dims, const int* sizes) {
  if (!alive(desc, KERNEL)) return refuse("the filter descriptor is none");
  if (format != 0) return refuse(text("filter format %d", format), NOT_SUPPORTED);
  return setSizes(desc, type, dims, sizes);
}
EXPORT int cudnnCreateConvolutionDescriptor(Conv** desc) { return create(desc, CONV); }
EXPORT int cudnnDestroyConvolutionDescriptor(Conv* desc) { return destroy(desc, CONV); }
EXPORT int cudnnSetConvolutionNdDescriptor(Conv* desc, int dims, const int* padding, const int* stride, const int* dilation, int mode, int compute) {
  if (!alive(desc, CONV)) return refuse("the convolution descriptor is none");
  if (mode != 1) return refuse("a convolution that is no cross-correlation");
  if (dims < 2 || dims > MOST_DIMS - 2) return refuse(text("%d spatial dims", dims));
  for (int d = 0; d < dims; d++) {
    if (padding[d] < 0 || stride[d] < 1 || dilation[d] < 1) return refuse("padding, stride or dilation too small");
  }
  desc->dims = dims;
  desc->compute = compute;
  std::copy(padding, padding + dims, desc->padding);
  std::copy(stride, stride + dims, desc->stride);
  std::copy(dilation, dilation + dims, desc->dilation);
  return SUCCESS;
}
EXPORT int cudnnSetConvolutionGroupCount(Conv* desc, int groups) {
  if (!alive(desc, CONV) || groups < 1) return refuse("groups");
  desc->groups = groups;
  return SUCCESS;
}
EXPORT int cudnnSetConvolutionMathType(Conv* desc, int math) {
  if (!alive(desc, CONV) || math < DEFAULT || math > FMA) return refuse("math type");
  desc->math = math;
  return SUCCESS;
}

EXPORT int cudnnGetConvolutionForwardAlgorithm_v7(Handle* handle, Shape* x, Shape* w, Conv* conv, Shape* y, int requested, int* returned, Choice* found) {
  Problem p;
  const int status = problemOf(handle, x, w, conv, y, p);
  return status != SUCCESS ? status : choices(FORWARD, p, requested, returned, found);
}
EXPORT int cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle* handle, Shape* w, Shape* dy, Conv* conv, Shape* dx, int requested, int* returned, Choice* found) {
  Problem p;
  const int status = problemOf(handle, dx, w, conv, dy, p);
  return status != SUCCESS ? status : choices(DATA, p, requested, returned, found);
}
EXPORT int cudnnGetConvolutionBackwardFilterAlgorithm_v7(Handle* handle, Shape* x, Shape* dy, Conv* conv, Shape* dw, int requested, int* returned, Choice* found) {
  Problem p;
  const int status = problemOf(handle, x, dw, conv, dy, p);
  return status != SUCCESS ? status : choices(FILTER, p, requested, returned, found);
}
EXPORT int cudnnGetConvolutionForwardWorkspaceSize(Handle* handle, Shape* x, Shape* w, Conv* conv, Shape* y, int algorithm, size_t* bytes) {
  Problem p;
  const int status = problemOf(handle, x, w, conv, y, p);
  return status != SUCCESS ? status : workspaceOf(FORWARD, p, algorithm, bytes);
}
EXPORT int cudnnGetConvolutionBackwardDataWorkspaceSize(Handle* handle, Shape* w, Shape* dy, Conv* conv, Shape* dx, int algorithm, size_t* bytes) {
  Problem p;
  const int status = problemOf(handle, dx, w, conv, dy, p);
  return status != SUCCESS ? status : workspaceOf(DATA, p, algorithm, bytes);
}
EXPORT int cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle* handle, Shape* x, Shape* dy, Conv* conv, Shape* dw, int algorithm, size_t* bytes) {
  Problem p;
  const int status = problemOf(handle, x, dw, conv, dy, p);
  return status != SUCCESS ? status : workspaceOf(FILTER, p, algorithm, bytes);
}

EXPORT int cudnnConvolutionForward(Handle* handle, const void* alpha, Shape* xDesc, const void* x, Shape* wDesc, const void* w, Conv* conv,
                                   int algorithm, void* workspace, size_t workspaceBytes, const void* beta, Shape* yDesc, void* y) {
  Work work{};
  if (const int status = problemOf(handle, xDesc, wDesc, conv, yDesc, work.p); status != SUCCESS) return status;
  work.direction = FORWARD;
  work.x = x, work.w = w, work.y = y, work.result = y;
  return run(handle, work, alpha, beta, algorithm, workspace, workspaceBytes);
}
EXPORT int cudnnConvolutionBackwardData(Handle* handle, const void* alpha, Shape* wDesc, const void* w, Shape* dyDesc, const void* dy, Conv* conv,
                                        int algorithm, void* workspace, size_t workspaceBytes, const void* beta, Shape* dxDesc, void* dx) {
  Work work{};
  if (const int status = problemOf(handle, dxDesc, wDesc, conv, dyDesc, work.p); status != SUCCESS) return status;
  work.direction = DATA;
  work.x = dx, work.w = w, work.y = dy, work.result = dx;
  return run(handle, work, alpha, beta, algorithm, workspace, workspaceBytes);
}
EXPORT int cudnnConvolutionBackwardFilter(Handle* handle, const void* alpha, Shape* xDesc, const void* x, Shape* dyDesc, const void* dy, Conv* conv,
                                          int algorithm, void* workspace, size_t workspaceBytes, const void* beta, Shape* dwDesc, void* dw) {
  Work work{};
  if (const int status = problemOf(handle, xDesc, dwDesc, conv, dyDesc, work.p); status != SUCCESS) return status;
  work.direction = FILTER;
  work.x = x, work.w = dw, work.y = dy, work.result = dw;
  return run(handle, work, alpha, beta, algorithm, workspace, workspaceBytes);
}
