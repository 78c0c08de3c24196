// The module: gpu/cuda/addon.ts says what it offers.
#include <napi.h>

#include "device_object.h"
#include "libraries.h"

namespace kindling {
namespace {

constexpr int ABI = 1;

SearchPath read_path(const Arguments& arguments) {
  SearchPath path;
  const std::optional<Napi::Object> given = arguments.object(0, "options");
  if (!given) return path;
  const Napi::Value directories = given->Get("directories");
  if (!directories.IsUndefined()) {
    if (!directories.IsArray()) arguments.wrong("directories", directories, "an array of paths");
    const Napi::Array array = directories.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); i++) {
      const Napi::Value entry = array.Get(i);
      if (!entry.IsString()) arguments.wrong("directories", entry, "an array of paths");
      path.directories.push_back(entry.As<Napi::String>().Utf8Value());
    }
  }
  path.only = given->Get("only").ToBoolean().Value();
  return path;
}

Napi::Object to_object(Napi::Env env, const LibraryProbe& probe) {
  const auto text = [&](const std::string& value) { return value.empty() ? env.Null() : Napi::Value(Napi::String::New(env, value)); };
  Napi::Object object = Napi::Object::New(env);
  object.Set("path", text(probe.path));
  object.Set("version", text(probe.version));
  object.Set("searched", array_of(env, probe.searched));
  object.Set("error", text(probe.error));
  return object;
}

Napi::Value probe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const SearchPath path = read_path(Arguments(info, "probe"));
    Environment::of(env).path = path;
    const std::shared_ptr<const Driver> driver = Driver::open(path);
    const std::shared_ptr<const Nvrtc> nvrtc = Nvrtc::open(path, driver->version);
    LibraryProbe of_driver = probe_of(*driver);
    Napi::Array devices = Napi::Array::New(env);
    if (driver->problem.empty()) {
      try {
        for (int index = 0; index < driver->devices; index++) {
          devices.Set(uint32_t(index), to_object(env, device_info(*driver, index)));
        }
      } catch (const Failure& failure) {
        of_driver.error = failure.message;
      }
    }
    Napi::Array architectures = Napi::Array::New(env, nvrtc->architectures.size());
    for (size_t i = 0; i < nvrtc->architectures.size(); i++) architectures.Set(uint32_t(i), nvrtc->architectures[i]);
    Napi::Object object = Napi::Object::New(env);
    object.Set("driver", to_object(env, of_driver));
    object.Set("nvrtc", to_object(env, probe_of(*nvrtc)));
    object.Set("cublasLt", to_object(env, probe_blas(path, driver->version)));
    object.Set("cudnn", to_object(env, probe_dnn(path, driver->version)));
    object.Set("nvrtcArchitectures", architectures);
    object.Set("devices", devices);
    return object;
  });
}

Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return DeviceObject::open(Arguments(info, "open")); });
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  DeviceObject::define(env);
  exports.Set("abi", ABI);
  exports.Set("probe", Napi::Function::New<probe>(env, "probe"));
  exports.Set("open", Napi::Function::New<open>(env, "open"));
  return exports;
}

}  // namespace
}  // namespace kindling

using kindling::start;
NODE_API_MODULE(kindling_cuda, start)
