#include "dnn.h"

#include <dlfcn.h>

#include "device.h"

namespace kindling {

using namespace cudnn;

namespace {

// Algorithms of a direction, with and without tensor cores.
constexpr int MOST_CHOICES = 16;

LibraryNames names_for(int driver_version) {
  const char* const package = driver_version / 1000 >= 13 ? "nvidia-cudnn-cu13" : "nvidia-cudnn-cu12";
  return {"libcudnn", {"libcudnn.so.9", "libcudnn.so.8"}, {}, true, {}, format("pip install %s", package)};
}

std::string load(const Library& library, Api& api) {
  std::vector<std::string> missing;
#define X(name, entry, parameters)                       \
  api.name = library.symbol<decltype(api.name)>(#entry); \
  if (!api.name) missing.push_back(#entry);
  KINDLING_CUDNN_FUNCTIONS(X)
#undef X
  api.version = library.symbol<decltype(api.version)>("cudnnGetVersion");
  if (!api.version) missing.push_back("cudnnGetVersion");
  api.error_string = library.symbol<decltype(api.error_string)>("cudnnGetErrorString");
  if (!api.error_string) missing.push_back("cudnnGetErrorString");
  return joined(missing, ", ");
}

// "9.1.0" of 90100, "8.9.2" of 8902
std::string version_of(size_t version) {
  if (version >= 10000) return format("%zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
  return format("%zu.%zu.%zu", version / 1000, version / 100 % 10, version % 100);
}

// cuDNN opens its parts by name when it first needs them, and a folder that it was found in by us need not be one that the loader looks in.
// What is open already is found.
void open_parts(const Api& api) {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(api.version), &info) == 0 || !info.dli_fname) return;
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  if (slash == std::string::npos) return;
  const bool nine = api.version() >= 90000;
  const std::vector<const char*> parts =
      nine ? std::vector<const char*>{"graph", "engines_runtime_compiled", "engines_precompiled", "heuristic", "ops", "cnn"}
           : std::vector<const char*>{"ops_infer", "ops_train", "cnn_infer", "cnn_train"};
  for (const char* part : parts) {
    dlopen(format("%s/libcudnn_%s.so.%d", file.substr(0, slash).c_str(), part, nine ? 9 : 8).c_str(), RTLD_NOW | RTLD_LOCAL);
  }
}

DataType data_type(LibraryType type) {
  switch (type) {
    case LibraryType::F16: return DATA_HALF;
    case LibraryType::BF16: return DATA_BFLOAT16;
    case LibraryType::F32: return DATA_FLOAT;
    default: return DATA_DOUBLE;
  }
}

using Sizes = std::vector<int>;

// One spatial dim becomes two, the first of them `one`. Empty where a number is too large for cuDNN.
Sizes sizes_of(const std::vector<int64_t>& values, size_t before, int one) {
  Sizes sizes;
  for (int64_t value : values) {
    if (value > INT32_MAX) return {};
    sizes.push_back(int(value));
  }
  if (sizes.size() == before + 1) sizes.insert(sizes.begin() + long(before), one);
  return sizes;
}

bool fits(const Sizes& sizes) {
  int64_t elements = sizes.empty() ? INT64_MAX : 1;
  for (int size : sizes) elements = elements > INT32_MAX ? elements : elements * size;
  return elements <= INT32_MAX;
}

}  // namespace

LibraryProbe probe_dnn(const SearchPath& path, int driver_version) {
  const std::shared_ptr<const Library> library = Library::open(names_for(driver_version), path);
  LibraryProbe probe = probe_of(*library);
  if (!library->found()) return probe;
  Api api;
  const std::string missing = load(*library, api);
  if (!missing.empty()) {
    probe.error = format("%s has no %s; cuDNN 8 or newer is needed", library->opened().c_str(), missing.c_str());
    return probe;
  }
  const size_t version = api.version();
  if (version == 0) probe.error = format("%s does not start", library->opened().c_str());
  else probe.version = version_of(version);
  return probe;
}

struct Dnn::Convolution {
  explicit Convolution(const Api& from) : api(from) {}
  ~Convolution() {
    if (x) api.tensor_destroy(x);
    if (y) api.tensor_destroy(y);
    if (w) api.filter_destroy(w);
    if (conv) api.conv_destroy(conv);
  }
  Convolution(const Convolution&) = delete;
  Convolution& operator=(const Convolution&) = delete;

  const Api& api;
  TensorDesc x = nullptr, y = nullptr;
  FilterDesc w = nullptr;
  ConvDesc conv = nullptr;
  ConvMode mode = ConvMode::Forward;
  int algorithm = 0;
  size_t workspace = 0;
  bool wide = false;
};

std::unique_ptr<Dnn> Dnn::open(Device& device, const SearchPath& path) {
  const std::shared_ptr<const Library> library = Library::open(names_for(device.driver().version), path);
  if (!library->found()) return nullptr;
  Api api;
  if (!load(*library, api).empty()) return nullptr;
  open_parts(api);
  Handle handle = nullptr;
  if (api.create(&handle) != SUCCESS) return nullptr;
  if (api.set_stream(handle, device.stream()) != SUCCESS) {
    api.destroy(handle);
    return nullptr;
  }
  return std::unique_ptr<Dnn>(new Dnn(device, api, handle));
}

Dnn::Dnn(Device& device, const Api& api, Handle handle) : device_(device), api_(api), handle_(handle) {}

Dnn::~Dnn() {
  plans_.clear();
  api_.destroy(handle_);
}

void Dnn::forget_plans() { plans_.clear(); }

void Dnn::check(Status status, const char* op) const {
  if (__builtin_expect(status == SUCCESS, 1)) return;
  device_.fail_library(format("%s: %s (%d)", op, api_.error_string(status), status), status, op);
}

std::unique_ptr<Dnn::Convolution> Dnn::describe(const ConvOptions& o) const {
  const Sizes input = sizes_of(o.input, 2, 1), weight = sizes_of(o.weight, 2, 1), output = sizes_of(o.output, 2, 1);
  const Sizes stride = sizes_of(o.stride, 0, 1), padding = sizes_of(o.padding, 0, 0), dilation = sizes_of(o.dilation, 0, 1);
  if (!fits(input) || !fits(weight) || !fits(output) || stride.empty() || padding.empty() || dilation.empty()) return nullptr;

  auto convolution = std::make_unique<Convolution>(api_);
  const DataType type = data_type(o.type);
  convolution->mode = o.mode;
  convolution->wide = o.type == LibraryType::F64;
  const auto tensor = [&](TensorDesc& desc, const Sizes& sizes) {
    Sizes strides(sizes.size(), 1);
    for (size_t d = sizes.size() - 1; d > 0; d--) strides[d - 1] = strides[d] * sizes[d];
    check(api_.tensor_create(&desc), "cudnnCreateTensorDescriptor");
    check(api_.tensor_set(desc, type, int(sizes.size()), sizes.data(), strides.data()), "cudnnSetTensorNdDescriptor");
  };
  tensor(convolution->x, input);
  tensor(convolution->y, output);
  check(api_.filter_create(&convolution->w), "cudnnCreateFilterDescriptor");
  check(api_.filter_set(convolution->w, type, TENSOR_NCHW, int(weight.size()), weight.data()), "cudnnSetFilterNdDescriptor");
  check(api_.conv_create(&convolution->conv), "cudnnCreateConvolutionDescriptor");
  check(api_.conv_set(convolution->conv, int(stride.size()), padding.data(), stride.data(), dilation.data(), CROSS_CORRELATION,
                      convolution->wide ? DATA_DOUBLE : DATA_FLOAT),
        "cudnnSetConvolutionNdDescriptor");
  check(api_.conv_set_groups(convolution->conv, int(o.groups)), "cudnnSetConvolutionGroupCount");
  return convolution;
}

std::vector<Choice> Dnn::choices(const Convolution& c) const {
  std::vector<Choice> found(MOST_CHOICES);
  int count = 0;
  Status status;
  switch (c.mode) {
    case ConvMode::Forward: status = api_.forward_choices(handle_, c.x, c.w, c.conv, c.y, MOST_CHOICES, &count, found.data()); break;
    case ConvMode::InputGradient: status = api_.data_choices(handle_, c.w, c.y, c.conv, c.x, MOST_CHOICES, &count, found.data()); break;
    default: status = api_.filter_choices(handle_, c.x, c.y, c.conv, c.w, MOST_CHOICES, &count, found.data()); break;
  }
  // It says so in many ways when it cannot do something: then there are no choices.
  found.resize(status == SUCCESS && count > 0 ? size_t(count) : 0);
  return found;
}

std::optional<size_t> Dnn::workspace(const Convolution& c, int algorithm) const {
  size_t bytes = 0;
  Status status;
  switch (c.mode) {
    case ConvMode::Forward: status = api_.forward_workspace(handle_, c.x, c.w, c.conv, c.y, algorithm, &bytes); break;
    case ConvMode::InputGradient: status = api_.data_workspace(handle_, c.w, c.y, c.conv, c.x, algorithm, &bytes); break;
    default: status = api_.filter_workspace(handle_, c.x, c.y, c.conv, c.w, algorithm, &bytes); break;
  }
  return status == SUCCESS ? std::optional<size_t>(bytes) : std::nullopt;
}

std::optional<Plan> Dnn::plan(const ConvOptions& o) {
  const size_t spatial = o.stride.size();
  const auto has = [&](const std::vector<int64_t>& values, size_t count) { return values.size() == count; };
  if (spatial < 1 || spatial > 3 || !has(o.input, spatial + 2) || !has(o.weight, spatial + 2) || !has(o.output, spatial + 2) ||
      !has(o.padding, spatial) || !has(o.dilation, spatial)) {
    invalid("convPlan: input, weight and output need the dims of stride, padding and dilation, 1 to 3, and two more");
  }
  std::unique_ptr<Convolution> convolution = describe(o);
  if (!convolution) return std::nullopt;
  const bool exact = o.type == LibraryType::F32 && !o.tf32;
  const bool narrow = o.type == LibraryType::F16 || o.type == LibraryType::BF16;
  check(api_.conv_set_math(convolution->conv, exact ? FMA_MATH : narrow ? TENSOR_OP_MATH : DEFAULT_MATH), "cudnnSetConvolutionMathType");
  uint32_t candidate = 0;
  for (const Choice& choice : choices(*convolution)) {
    if (choice.status != SUCCESS || choice.determinism != DETERMINISTIC) continue;
    // To it, float32 in tensor cores is TF32 by default, and float16 where conversions are allowed.
    if (!narrow && choice.math == TENSOR_OP_MATH_ALLOW_CONVERSION) continue;
    if (exact && choice.math == TENSOR_OP_MATH) continue;
    check(api_.conv_set_math(convolution->conv, exact ? FMA_MATH : choice.math), "cudnnSetConvolutionMathType");
    const std::optional<size_t> bytes = workspace(*convolution, choice.algorithm);
    if (!bytes || *bytes > o.workspace_limit || candidate++ != o.candidate) continue;
    convolution->algorithm = choice.algorithm;
    convolution->workspace = *bytes;
    plans_.push_back(std::move(convolution));
    return Plan{uint32_t(plans_.size() - 1), *bytes};
  }
  return std::nullopt;
}

void Dnn::run(const ConvCommand& command) {
  if (command.plan >= plans_.size()) invalid("there is no plan %u; there are %zu", command.plan, plans_.size());
  const Convolution& c = *plans_[command.plan];
  const auto pointer = [](CUdeviceptr address) { return reinterpret_cast<void*>(address); };
  const float one = 1, zero = 0;
  const double wide_one = 1, wide_zero = 0;
  const void* const alpha = c.wide ? static_cast<const void*>(&wide_one) : &one;
  const void* const beta = c.wide ? static_cast<const void*>(&wide_zero) : &zero;
  void* const first = pointer(command.first);
  void* const second = pointer(command.second);
  void* const result = pointer(command.result);
  void* const workspace = pointer(command.workspace);
  switch (c.mode) {
    case ConvMode::Forward:
      check(api_.forward(handle_, alpha, c.x, first, c.w, second, c.conv, c.algorithm, workspace, c.workspace, beta, c.y, result),
            "cudnnConvolutionForward");
      return;
    case ConvMode::InputGradient:
      check(api_.data(handle_, alpha, c.w, second, c.y, first, c.conv, c.algorithm, workspace, c.workspace, beta, c.x, result),
            "cudnnConvolutionBackwardData");
      return;
    case ConvMode::WeightGradient:
      check(api_.filter(handle_, alpha, c.x, second, c.y, first, c.conv, c.algorithm, workspace, c.workspace, beta, c.w, result),
            "cudnnConvolutionBackwardFilter");
      return;
  }
}

}  // namespace kindling
