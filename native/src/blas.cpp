#include "blas.h"

#include "device.h"

namespace kindling {

using namespace cublaslt;

namespace {

constexpr int NEWEST_MAJOR = 14;
// Of the library's choices for one product.
constexpr int MOST_CANDIDATES = 8;

// A library runs on drivers of its own and newer major versions.
LibraryNames names_for(int driver_version) {
  const int major = driver_version ? driver_version / 1000 : NEWEST_MAJOR;
  LibraryNames names{"libcublasLt", {}, {}, true, {}, ""};
  for (int number = major; number >= 11; number--) names.sonames.push_back(format("libcublasLt.so.%d", number));
  names.install = format("pip install %s, or install a CUDA toolkit", major >= 13 && driver_version ? "nvidia-cublas" : "nvidia-cublas-cu12");
  return names;
}

// What of the library is missing, or empty.
std::string load(const Library& library, Api& api) {
  std::vector<std::string> missing;
#define X(name, entry, parameters)                            \
  api.name = library.symbol<decltype(api.name)>(#entry);      \
  if (!api.name) missing.push_back(#entry);
  KINDLING_CUBLASLT_FUNCTIONS(X)
#undef X
  api.version = library.symbol<decltype(api.version)>("cublasLtGetVersion");
  if (!api.version) missing.push_back("cublasLtGetVersion");
  api.status_name = library.symbol<decltype(api.status_name)>("cublasLtGetStatusName");
  return joined(missing, ", ");
}

DataType data_type(LibraryType type) {
  switch (type) {
    case LibraryType::F16: return R_16F;
    case LibraryType::BF16: return R_16BF;
    case LibraryType::F32: return R_32F;
    default: return R_64F;
  }
}

}  // namespace

LibraryProbe probe_blas(const SearchPath& path, int driver_version) {
  const std::shared_ptr<const Library> library = Library::open(names_for(driver_version), path);
  LibraryProbe probe = probe_of(*library);
  if (!library->found()) return probe;
  Api api;
  const std::string missing = load(*library, api);
  if (!missing.empty()) {
    probe.error = format("%s has no %s; cuBLAS 11 or newer is needed", library->opened().c_str(), missing.c_str());
    return probe;
  }
  const size_t version = api.version();
  if (version == 0) probe.error = format("%s does not start", library->opened().c_str());
  else probe.version = format("%zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
  return probe;
}

// A product with one of the library's algorithms. To the library, which counts columns first, row-major matrices are their transposes: it
// computes Dᵀ = op(B)ᵀ op(A)ᵀ, so B is its first operand, and the n elements of a bias go along its rows, as its epilogue wants them.
struct Blas::Product {
  explicit Product(const Api& from) : api(from) {}
  ~Product() {
    if (preference) api.preference_destroy(preference);
    for (MatrixLayout layout : {first, second, result}) {
      if (layout) api.layout_destroy(layout);
    }
    if (desc) api.desc_destroy(desc);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  const Api& api;
  MatmulDesc desc = nullptr;
  MatrixLayout first = nullptr, second = nullptr, result = nullptr;
  Preference preference = nullptr;
  Algorithm algorithm{};
  size_t workspace = 0;
  bool wide = false, bias = false;
};

std::unique_ptr<Blas> Blas::open(Device& device, const SearchPath& path) {
  const std::shared_ptr<const Library> library = Library::open(names_for(device.driver().version), path);
  if (!library->found()) return nullptr;
  Api api;
  if (!load(*library, api).empty()) return nullptr;
  Handle handle = nullptr;
  if (api.create(&handle) != SUCCESS) return nullptr;
  return std::unique_ptr<Blas>(new Blas(device, api, handle));
}

Blas::Blas(Device& device, const Api& api, Handle handle) : device_(device), api_(api), handle_(handle) {}

Blas::~Blas() {
  plans_.clear();
  api_.destroy(handle_);
}

void Blas::forget_plans() { plans_.clear(); }

void Blas::check(Status status, const char* op) const {
  if (__builtin_expect(status == SUCCESS, 1)) return;
  const char* const name = api_.status_name ? api_.status_name(status) : "status";
  device_.fail_library(format("%s: %s (%d)", op, name, status), status, op);
}

std::unique_ptr<Blas::Product> Blas::describe(const MatmulOptions& o) const {
  auto product = std::make_unique<Product>(api_);
  const DataType type = data_type(o.type);
  product->wide = o.type == LibraryType::F64;
  product->bias = o.bias;
  const ComputeType compute = product->wide ? COMPUTE_64F : o.type == LibraryType::F32 && o.tf32 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
  check(api_.desc_create(&product->desc, compute, product->wide ? R_64F : R_32F), "cublasLtMatmulDescCreate");

  const auto set = [&](MatmulDescAttribute attribute, const auto& value) {
    check(api_.desc_set(product->desc, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
  };
  set(DESC_TRANSA, o.trans_b ? OP_T : OP_N);
  set(DESC_TRANSB, o.trans_a ? OP_T : OP_N);
  set(DESC_EPILOGUE, o.bias ? EPILOGUE_BIAS : EPILOGUE_DEFAULT);
  if (o.bias) {
    // Only how it is aligned counts until it runs.
    set(DESC_BIAS_POINTER, reinterpret_cast<const void*>(uintptr_t(o.alignment)));
  }

  const auto layout = [&](MatrixLayout& into, int64_t rows, int64_t columns, int64_t ld, int64_t stride) {
    check(api_.layout_create(&into, type, uint64_t(rows), uint64_t(columns), ld), "cublasLtMatrixLayoutCreate");
    const auto put = [&](LayoutAttribute attribute, const auto& value) {
      check(api_.layout_set(into, attribute, &value, sizeof value), "cublasLtMatrixLayoutSetAttribute");
    };
    put(LAYOUT_ORDER, ORDER_COL);
    put(LAYOUT_BATCH_COUNT, int32_t(o.batch));
    put(LAYOUT_STRIDED_BATCH_OFFSET, stride);
  };
  layout(product->first, o.trans_b ? o.k : o.n, o.trans_b ? o.n : o.k, o.ldb, o.stride_b);
  layout(product->second, o.trans_a ? o.m : o.k, o.trans_a ? o.k : o.m, o.lda, o.stride_a);
  layout(product->result, o.n, o.m, o.ldd, o.stride_d);

  check(api_.preference_create(&product->preference), "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](PreferenceAttribute attribute, const auto& value) {
    check(api_.preference_set(product->preference, attribute, &value, sizeof value), "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(PREF_MAX_WORKSPACE_BYTES, o.workspace_limit);
  prefer(PREF_REDUCTION_SCHEME_MASK, REDUCTION_SCHEME_COMPUTE_TYPE);
  for (auto attribute : {PREF_MIN_ALIGNMENT_A_BYTES, PREF_MIN_ALIGNMENT_B_BYTES, PREF_MIN_ALIGNMENT_C_BYTES, PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(attribute, o.alignment);
  }
  return product;
}

std::optional<Plan> Blas::plan(const MatmulOptions& o) {
  if (o.m < 1 || o.n < 1 || o.k < 1 || o.batch < 1) invalid("matmulPlan: sizes must be at least 1");
  if (o.ldd != o.ldc || o.stride_d != o.stride_c) invalid("matmulPlan: c and d must lie alike");
  for (int64_t size : {o.m, o.n, o.k, o.batch}) {
    if (size > INT32_MAX) return std::nullopt;
  }
  std::unique_ptr<Product> product = describe(o);
  HeuristicResult results[MOST_CANDIDATES];
  int count = 0;
  const Status status = api_.heuristic(handle_, product->desc, product->first, product->second, product->result, product->result,
                                       product->preference, MOST_CANDIDATES, results, &count);
  if (status == NOT_SUPPORTED || status == ARCH_MISMATCH) return std::nullopt;
  check(status, "cublasLtMatmulAlgoGetHeuristic");
  uint32_t candidate = 0;
  for (int i = 0; i < count; i++) {
    if (results[i].state != SUCCESS || results[i].workspace > o.workspace_limit || candidate++ != o.candidate) continue;
    product->algorithm = results[i].algorithm;
    product->workspace = results[i].workspace;
    plans_.push_back(std::move(product));
    return Plan{uint32_t(plans_.size() - 1), results[i].workspace};
  }
  return std::nullopt;
}

void Blas::run(const MatmulCommand& command) {
  if (command.plan >= plans_.size()) invalid("there is no plan %u; there are %zu", command.plan, plans_.size());
  const Product& product = *plans_[command.plan];
  const auto pointer = [](CUdeviceptr address) { return reinterpret_cast<void*>(address); };
  if (product.bias) {
    const void* const bias = pointer(command.bias);
    check(api_.desc_set(product.desc, DESC_BIAS_POINTER, &bias, sizeof bias), "cublasLtMatmulDescSetAttribute");
  }
  const float alpha = float(command.alpha), beta = float(command.beta);
  const void* const factor = product.wide ? static_cast<const void*>(&command.alpha) : &alpha;
  const void* const old_factor = product.wide ? static_cast<const void*>(&command.beta) : &beta;
  check(api_.matmul(handle_, product.desc, factor, pointer(command.b), product.first, pointer(command.a), product.second, old_factor,
                    pointer(command.c), product.result, pointer(command.d), product.result, &product.algorithm,
                    pointer(command.workspace), product.workspace, device_.stream()),
        "cublasLtMatmul");
}

}  // namespace kindling
