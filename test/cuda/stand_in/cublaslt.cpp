/** The stand-in's libcublasLt: see library.h. Values are those of cublasLt.h. */

#include <algorithm>

#include "library.h"

using namespace library;

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };

constexpr uint64_t HANDLE = 0x6b64626c61730001, DESC = 0x6b64626c61730002, LAYOUT = 0x6b64626c61730003, PREFERENCE = 0x6b64626c61730004;

struct Handle {
  uint64_t mark = HANDLE;
};
struct Desc {
  uint64_t mark = DESC;
  int compute = 0, scale = 0;
  int32_t transA = 0, transB = 0;
  uint32_t epilogue = 1;
  const void* bias = nullptr;
};
struct Layout {
  uint64_t mark = LAYOUT;
  int type = 0;
  uint64_t rows = 0, columns = 0;
  int64_t ld = 0;
  int32_t order = 0, batch = 1;
  int64_t stride = 0;
};
struct Preference {
  uint64_t mark = PREFERENCE;
  uint64_t workspace = 0;
  uint32_t reduction = 7;
  uint32_t alignment[4] = {256, 256, 256, 256};
};
template <class T>
bool alive(const T* object, uint64_t mark) {
  return object != nullptr && object->mark == mark;
}
template <class T>
int destroy(T* object, uint64_t mark) {
  if (!alive(object, mark)) return INVALID_VALUE;
  object->mark = 0;
  delete object;
  return SUCCESS;
}

struct Algorithm {
  uint64_t data[8];
};
struct Result {
  Algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

/**
 * The first needs everything aligned to 16 bytes, as tensor cores do. The second sums parts of k apart, which takes memory. The third can do
 * everything. Each is made for one problem.
 */
constexpr int ALGORITHMS = 3;
constexpr size_t PARTS_BYTES = 1 << 16;

struct Problem {
  uint64_t m = 0, n = 0, k = 0;
  int batch = 1;
  Type type = Type::F32;
  bool wide = false;
  Math math = Math::EXACT;
  bool bias = false;
  Desc desc;
  Layout a, b, c, d;

  uint64_t hash() const {
    uint64_t sum = 1469598103934665603u;
    const auto add = [&](uint64_t value) { sum = (sum ^ value) * 1099511628211u; };
    for (const Layout* layout : {&a, &b, &c, &d}) {
      for (uint64_t value : {uint64_t(layout->type), layout->rows, layout->columns, uint64_t(layout->ld), uint64_t(layout->batch), uint64_t(layout->stride)}) add(value);
    }
    for (uint64_t value : {uint64_t(desc.compute), uint64_t(desc.transA), uint64_t(desc.transB), uint64_t(desc.epilogue)}) add(value);
    return sum;
  }
};

std::string reason;
int refuse(const std::string& why, int status = INVALID_VALUE) {
  reason = why;
  note("refused: " + why);
  return status;
}

bool typeOf(int type, Type& result) {
  switch (type) {
    case 0: result = Type::F32; return true;
    case 1: result = Type::F64; return true;
    case 2: result = Type::F16; return true;
    case 14: result = Type::BF16; return true;
    default: return false;
  }
}

/** Bytes from the first to the last element of a layout. */
size_t extent(const Layout& layout, Type type) {
  const uint64_t last = uint64_t(layout.batch - 1) * uint64_t(layout.stride) + (layout.columns - 1) * uint64_t(layout.ld) + layout.rows;
  return last * bytesOf(type);
}

int problemOf(const Desc* desc, const Layout* a, const Layout* b, const Layout* c, const Layout* d, Problem& p) {
  if (!alive(desc, DESC)) return refuse("the descriptor is none");
  for (const Layout* layout : {a, b, c, d}) {
    if (!alive(layout, LAYOUT)) return refuse("a layout is none");
    if (layout->order != 0) return refuse(text("order %d: not COL", layout->order), NOT_SUPPORTED);
    if (layout->rows == 0 || layout->columns == 0) return refuse("a matrix without elements");
    if (layout->ld < int64_t(layout->rows)) return refuse(text("ld %lld is less than the %llu rows", (long long)layout->ld, (unsigned long long)layout->rows));
    if (layout->batch < 1 || layout->batch != d->batch) return refuse("batch counts differ");
    if (layout->stride < 0) return refuse("a negative batch stride");
    if (layout->type != a->type) return refuse("matrices of several types", NOT_SUPPORTED);
  }
  if (!typeOf(a->type, p.type)) return refuse(text("data type %d", a->type), NOT_SUPPORTED);
  p.desc = *desc;
  p.a = *a, p.b = *b, p.c = *c, p.d = *d;
  p.wide = p.type == Type::F64;
  if (desc->scale != (p.wide ? 1 : 0)) return refuse(text("scale type %d for %s", desc->scale, nameOf(p.type)), NOT_SUPPORTED);
  switch (desc->compute) {
    case 68:
      if (p.wide) return refuse("COMPUTE_32F of f64", NOT_SUPPORTED);
      break;
    case 70:
      if (!p.wide) return refuse("COMPUTE_64F of less than f64", NOT_SUPPORTED);
      break;
    case 77:
      if (p.type != Type::F32) return refuse("COMPUTE_32F_FAST_TF32 of other than f32", NOT_SUPPORTED);
      p.math = Math::TF32;
      break;
    default: return refuse(text("compute type %d", desc->compute), NOT_SUPPORTED);
  }
  if ((desc->transA | desc->transB) & ~1) return refuse("transposition that is neither N nor T");
  p.m = desc->transA ? a->columns : a->rows;
  p.k = desc->transA ? a->rows : a->columns;
  p.n = desc->transB ? b->rows : b->columns;
  if ((desc->transB ? b->columns : b->rows) != p.k) return refuse("the operands' inner sizes differ");
  if (d->rows != p.m || d->columns != p.n || c->rows != p.m || c->columns != p.n) return refuse("the result's sizes are not the operands'");
  p.batch = d->batch;
  if (p.batch > 1 && d->stride < int64_t((p.n - 1) * uint64_t(d->ld) + p.m)) return refuse("the result's batch entries overlap");
  if (desc->epilogue != 1 && desc->epilogue != 4) return refuse(text("epilogue %u", desc->epilogue), NOT_SUPPORTED);
  p.bias = desc->epilogue == 4;
  if (p.bias && p.wide) return refuse("a bias epilogue of f64", NOT_SUPPORTED);
  if (p.bias && desc->bias == nullptr) return refuse("the bias epilogue without a bias");
  return SUCCESS;
}

/** Whether leading dimensions and strides keep every column at 16 bytes. */
bool inSixteens(const Problem& p) {
  const size_t unit = bytesOf(p.type);
  for (const Layout* layout : {&p.a, &p.b, &p.c, &p.d}) {
    if (uint64_t(layout->ld) * unit % 16 != 0 || uint64_t(layout->stride) * unit % 16 != 0) return false;
  }
  return true;
}

struct Work {
  Problem p;
  const void *a, *b, *c, *bias;
  void *d, *workspace;
  size_t workspaceBytes;
  double alpha, beta;
  int algorithm;
};

template <class T>
void multiply(const Work& w) {
  const Problem& p = w.p;
  // op(a) by columns.
  std::vector<T> columns(p.m * p.k), sums(p.m);
  for (int batch = 0; batch < p.batch; batch++) {
    const auto at = [&](const Layout& layout, uint64_t row, uint64_t column) {
      return size_t(batch) * size_t(layout.stride) + column * size_t(layout.ld) + row;
    };
    for (uint64_t k = 0; k < p.k; k++) {
      for (uint64_t i = 0; i < p.m; i++) {
        columns[k * p.m + i] = T(operand(load(w.a, p.type, p.desc.transA ? at(p.a, k, i) : at(p.a, i, k)), p.math));
      }
    }
    for (uint64_t j = 0; j < p.n; j++) {
      std::fill(sums.begin(), sums.end(), T(0));
      for (uint64_t k = 0; k < p.k; k++) {
        const double factor = operand(load(w.b, p.type, p.desc.transB ? at(p.b, j, k) : at(p.b, k, j)), p.math);
        addScaled(sums.data(), &columns[k * p.m], T(factor), p.m);
      }
      for (uint64_t i = 0; i < p.m; i++) {
        double value = w.alpha * double(sums[i]);
        if (w.beta != 0) value += w.beta * load(w.c, p.type, at(p.c, i, j));
        if (p.bias) value += load(w.bias, p.type, i);
        store(w.d, p.type, at(p.d, i, j), value);
      }
    }
  }
}

void compute(void* data) {
  const Work& w = *static_cast<const Work*>(data);
  dawdle(w.algorithm);
  if (w.workspaceBytes > 0) memset(w.workspace, 0xa5, w.workspaceBytes);
  if (w.p.wide) multiply<double>(w);
  else multiply<float>(w);
}

template <class T>
int put(T& field, const void* value, size_t bytes, const char* what) {
  if (value == nullptr || bytes != sizeof(T)) return refuse(text("%s takes %zu bytes, not %zu", what, sizeof(T), bytes));
  memcpy(&field, value, bytes);
  return SUCCESS;
}

}  // namespace

EXPORT size_t cublasLtGetVersion() { return isAbsent("KINDLING_STAND_IN_CUBLASLT") ? 0 : 120805; }
EXPORT const char* cublasLtGetStatusName(int status) {
  switch (status) {
    case SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_EXECUTION_FAILED";
  }
}
EXPORT int cublasLtCreate(Handle** handle) {
  if (handle == nullptr) return INVALID_VALUE;
  if (isAbsent("KINDLING_STAND_IN_CUBLASLT")) return NOT_INITIALIZED;
  *handle = new Handle;
  return SUCCESS;
}
EXPORT int cublasLtDestroy(Handle* handle) { return destroy(handle, HANDLE); }

EXPORT int cublasLtMatmulDescCreate(Desc** desc, int compute, int scale) {
  *desc = new Desc;
  (*desc)->compute = compute;
  (*desc)->scale = scale;
  return SUCCESS;
}
EXPORT int cublasLtMatmulDescDestroy(Desc* desc) { return destroy(desc, DESC); }
EXPORT int cublasLtMatmulDescSetAttribute(Desc* desc, int attribute, const void* value, size_t bytes) {
  if (!alive(desc, DESC)) return refuse("the descriptor is none");
  switch (attribute) {
    case 3: return put(desc->transA, value, bytes, "TRANSA");
    case 4: return put(desc->transB, value, bytes, "TRANSB");
    case 7: return put(desc->epilogue, value, bytes, "EPILOGUE");
    case 8: return put(desc->bias, value, bytes, "BIAS_POINTER");
    default: return refuse(text("descriptor attribute %d", attribute));
  }
}

EXPORT int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t ld) {
  *layout = new Layout;
  (*layout)->type = type;
  (*layout)->rows = rows;
  (*layout)->columns = columns;
  (*layout)->ld = ld;
  return SUCCESS;
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout* layout) { return destroy(layout, LAYOUT); }
EXPORT int cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value, size_t bytes) {
  if (!alive(layout, LAYOUT)) return refuse("the layout is none");
  switch (attribute) {
    case 1: return put(layout->order, value, bytes, "ORDER");
    case 5: return put(layout->batch, value, bytes, "BATCH_COUNT");
    case 6: return put(layout->stride, value, bytes, "STRIDED_BATCH_OFFSET");
    default: return refuse(text("layout attribute %d", attribute));
  }
}

EXPORT int cublasLtMatmulPreferenceCreate(Preference** preference) {
  *preference = new Preference;
  return SUCCESS;
}
EXPORT int cublasLtMatmulPreferenceDestroy(Preference* preference) { return destroy(preference, PREFERENCE); }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
  if (!alive(preference, PREFERENCE)) return refuse("the preference is none");
  switch (attribute) {
    case 1: return put(preference->workspace, value, bytes, "MAX_WORKSPACE_BYTES");
    case 3: return put(preference->reduction, value, bytes, "REDUCTION_SCHEME_MASK");
    case 5:
    case 6:
    case 7:
    case 8: return put(preference->alignment[attribute - 5], value, bytes, "MIN_ALIGNMENT_BYTES");
    default: return refuse(text("preference attribute %d", attribute));
  }
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(Handle* handle, Desc* desc, Layout* a, Layout* b, Layout* c, Layout* d, Preference* preference,
                                          int requested, Result* results, int* returned) {
  if (!alive(handle, HANDLE) || !alive(preference, PREFERENCE) || requested < 1 || results == nullptr || returned == nullptr) {
    return refuse("cublasLtMatmulAlgoGetHeuristic: an argument is missing");
  }
  *returned = 0;
  Problem p;
  if (const int status = problemOf(desc, a, b, c, d, p); status != SUCCESS) return status;
  const bool aligned = std::all_of(preference->alignment, preference->alignment + 4, [](uint32_t bytes) { return bytes % 16 == 0; });
  const int most = std::min(requested, offered("KINDLING_STAND_IN_CUBLASLT", ALGORITHMS));
  for (int i = 0; i < ALGORITHMS && *returned < most; i++) {
    const size_t workspace = i == 1 ? PARTS_BYTES : 0;
    if (i == 0 && !(aligned && inSixteens(p) && (!p.bias || isAligned(p.desc.bias, 16)))) continue;
    // Parts may only be added in the type of the sums, and only if there is memory for them.
    if (i == 1 && ((preference->reduction & 2) == 0 || preference->workspace < workspace)) continue;
    results[(*returned)++] = {{{HANDLE, uint64_t(i), p.hash()}}, workspace, SUCCESS, 1, {}};
  }
  return *returned > 0 ? SUCCESS : NOT_SUPPORTED;
}

EXPORT int cublasLtMatmul(Handle* handle, Desc* desc, const void* alpha, const void* a, Layout* aLayout, const void* b, Layout* bLayout,
                          const void* beta, const void* c, Layout* cLayout, void* d, Layout* dLayout, const Algorithm* algorithm,
                          void* workspace, size_t workspaceBytes, void* stream) {
  if (!alive(handle, HANDLE) || alpha == nullptr || beta == nullptr) return refuse("cublasLtMatmul: an argument is missing");
  Work w{};
  if (const int status = problemOf(desc, aLayout, bLayout, cLayout, dLayout, w.p); status != SUCCESS) return status;
  const Problem& p = w.p;
  if (algorithm == nullptr || algorithm->data[0] != HANDLE || algorithm->data[1] >= ALGORITHMS) return refuse("the algorithm is none");
  if (algorithm->data[2] != p.hash()) return refuse("the algorithm was chosen for another product");
  w.algorithm = int(algorithm->data[1]);
  w.alpha = p.wide ? *static_cast<const double*>(alpha) : double(*static_cast<const float*>(alpha));
  w.beta = p.wide ? *static_cast<const double*>(beta) : double(*static_cast<const float*>(beta));

  struct Operand {
    const char* name;
    const void* pointer;
    size_t bytes;
  };
  std::vector<Operand> operands{{"a", a, extent(p.a, p.type)}, {"b", b, extent(p.b, p.type)}, {"d", d, extent(p.d, p.type)}};
  if (w.beta != 0 || c != nullptr) operands.push_back({"c", c, extent(p.c, p.type)});
  if (p.bias) operands.push_back({"the bias", desc->bias, p.m * bytesOf(p.type)});
  for (const Operand& o : operands) {
    if (!isAligned(o.pointer, w.algorithm == 0 ? 16 : bytesOf(p.type))) return refuse(text("%s is not aligned as the algorithm wants it", o.name));
    if (!isDevice(o.pointer, o.bytes)) return refuse(text("%s: %zu bytes at %p are not in one allocation", o.name, o.bytes, o.pointer));
    const bool written = o.pointer == d && (o.name[0] == 'd' || o.name[0] == 'c');
    if (!written && overlap(o.pointer, o.bytes, d, extent(p.d, p.type))) return refuse(text("the result overlaps %s", o.name));
  }
  if (w.algorithm == 1) {
    if (workspaceBytes < PARTS_BYTES) return refuse(text("a workspace of %zu bytes, %zu are needed", workspaceBytes, PARTS_BYTES));
    if (!isAligned(workspace, 16) || !isDevice(workspace, workspaceBytes)) return refuse("the workspace is not device memory");
    for (const Operand& o : operands) {
      if (overlap(workspace, workspaceBytes, o.pointer, o.bytes)) return refuse(text("the workspace overlaps %s", o.name));
    }
    w.workspace = workspace;
    w.workspaceBytes = PARTS_BYTES;
  }
  w.a = a, w.b = b, w.c = c, w.d = d;
  w.bias = p.bias ? desc->bias : nullptr;
  note(text("matmul %s%s m=%llu n=%llu k=%llu batch=%d %c%c%s algorithm=%d", nameOf(p.type), p.math == Math::TF32 ? " tf32" : "",
            (unsigned long long)p.m, (unsigned long long)p.n, (unsigned long long)p.k, p.batch, "NT"[desc->transA], "NT"[desc->transB],
            p.bias ? " bias" : "", w.algorithm));
  return kindling_stand_in_enqueue(stream, "cublasLtMatmul", compute, &w, sizeof w) == 0 ? SUCCESS : 13;
}
