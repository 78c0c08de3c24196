// NativeLibraries of gpu/cuda/addon.ts.
#include "device_object.h"

namespace kindling {
namespace {

// The properties of a plan's options.
class Options {
 public:
  Options(const Napi::CallbackInfo& info, const char* function) : arguments_(info, function) {
    const std::optional<Napi::Object> given = arguments_.object(0, "options");
    if (!given) arguments_.wrong("options", info[0], "an object");
    object_ = *given;
  }

  int64_t whole(const char* name) const { return whole_of(name, object_.Get(name)); }

  bool flag(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsBoolean()) arguments_.wrong(name, value, "true or false");
    return value.As<Napi::Boolean>().Value();
  }

  // The index of the property's value in `names`.
  template <size_t N>
  size_t one_of(const char* name, const char* const (&names)[N]) const {
    const Napi::Value value = object_.Get(name);
    const std::string text = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
    for (size_t i = 0; i < N; i++) {
      if (text == names[i]) return i;
    }
    arguments_.wrong(name, value, joined({names, names + N}, ", ").c_str());
  }

  std::vector<int64_t> wholes(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsArray()) arguments_.wrong(name, value, "an array of integers");
    const Napi::Array array = value.As<Napi::Array>();
    std::vector<int64_t> result;
    for (uint32_t i = 0; i < array.Length(); i++) result.push_back(whole_of(name, array.Get(i)));
    return result;
  }

  LibraryType type() const { return LibraryType(one_of("type", {"f16", "bf16", "f32", "f64"})); }

 private:
  int64_t whole_of(const char* name, const Napi::Value& value) const {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (!(number >= 0 && number <= 9007199254740991.0) || number != double(int64_t(number))) {
      arguments_.wrong(name, value, "an integer from 0 to 2^53 - 1");
    }
    return int64_t(number);
  }

  const Arguments arguments_;
  Napi::Object object_;
};

MatmulOptions matmul_options(const Options& options) {
  MatmulOptions result{};
  result.type = options.type();
  result.tf32 = options.flag("tf32");
  result.m = options.whole("m");
  result.n = options.whole("n");
  result.k = options.whole("k");
  result.batch = options.whole("batch");
  result.trans_a = options.flag("transA");
  result.trans_b = options.flag("transB");
  result.lda = options.whole("lda");
  result.ldb = options.whole("ldb");
  result.ldc = options.whole("ldc");
  result.ldd = options.whole("ldd");
  result.stride_a = options.whole("strideA");
  result.stride_b = options.whole("strideB");
  result.stride_c = options.whole("strideC");
  result.stride_d = options.whole("strideD");
  result.bias = options.flag("bias");
  result.alignment = uint32_t(options.whole("alignment"));
  result.workspace_limit = uint64_t(options.whole("workspaceLimit"));
  result.candidate = uint32_t(options.whole("candidate"));
  return result;
}

ConvOptions conv_options(const Options& options) {
  ConvOptions result{};
  result.mode = ConvMode(options.one_of("mode", {"forward", "input_gradient", "weight_gradient"}));
  result.type = options.type();
  result.tf32 = options.flag("tf32");
  result.input = options.wholes("input");
  result.weight = options.wholes("weight");
  result.output = options.wholes("output");
  result.stride = options.wholes("stride");
  result.padding = options.wholes("padding");
  result.dilation = options.wholes("dilation");
  result.groups = options.whole("groups");
  result.workspace_limit = uint64_t(options.whole("workspaceLimit"));
  result.candidate = uint32_t(options.whole("candidate"));
  return result;
}

// `make` turns the options into a plan, or nothing.
template <class F>
Napi::Function plan_function(Napi::Env env, const char* name, const std::weak_ptr<Device>& weak, F make) {
  return Napi::Function::New(
      env,
      [name, weak, make](const Napi::CallbackInfo& info) -> Napi::Value {
        const Napi::Env env = info.Env();
        return guarded(env, [&]() -> Napi::Value {
          const std::shared_ptr<Device> device = weak.lock();
          if (!device) invalid("%s: the device was closed", name);
          device->enter();
          std::optional<Plan> plan;
          try {
            plan = make(*device->libraries(), Options(info, name));
          } catch (const Failure& failure) {
            if (failure.code == Code::DeviceLost) device->lose(failure);
            throw;
          }
          if (!plan) return env.Null();
          Napi::Object object = Napi::Object::New(env);
          object.Set("plan", plan->number);
          object.Set("workspace", double(plan->workspace));
          return object;
        });
      },
      name);
}

}  // namespace

Napi::Object make_libraries(Napi::Env env, const std::shared_ptr<Device>& device) {
  Napi::Object object = Napi::Object::New(env);
  const auto has = [&](const char* name, bool (Libraries::*ask)()) {
    const std::weak_ptr<Device> weak = device;
    object.DefineProperty(Napi::PropertyDescriptor::Accessor(
        env, object, name,
        [name, weak, ask](const Napi::CallbackInfo& info) -> Napi::Value {
          return guarded(info.Env(), [&]() -> Napi::Value {
            const std::shared_ptr<Device> device = weak.lock();
            if (!device) invalid("%s: the device was closed", name);
            device->enter();
            return Napi::Boolean::New(info.Env(), (device->libraries()->*ask)());
          });
        },
        napi_enumerable));
  };
  has("hasMatmul", &Libraries::has_matmul);
  has("hasConv", &Libraries::has_conv);
  object.Set("matmulPlan", plan_function(env, "matmulPlan", device, [](Libraries& libraries, const Options& options) {
               return libraries.matmul_plan(matmul_options(options));
             }));
  object.Set("convPlan", plan_function(env, "convPlan", device, [](Libraries& libraries, const Options& options) {
               return libraries.conv_plan(conv_options(options));
             }));
  const std::weak_ptr<Device> weak = device;
  object.Set("forgetPlans", Napi::Function::New(
                                env,
                                [weak](const Napi::CallbackInfo& info) {
                                  return guarded(info.Env(), [&] {
                                    const std::shared_ptr<Device> device = weak.lock();
                                    if (!device) invalid("forgetPlans: the device was closed");
                                    device->enter();
                                    device->libraries()->forget_plans();
                                  });
                                },
                                "forgetPlans"));
  return object;
}

}  // namespace kindling
