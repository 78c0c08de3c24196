// NativeDevice of gpu/cuda/addon.ts: a device as JavaScript sees it.
#pragma once

#include <napi.h>

#include <memory>

#include "device.h"
#include "environment.h"
#include "js.h"
#include "nvrtc.h"

namespace kindling {

class DeviceObject : public Napi::ObjectWrap<DeviceObject> {
 public:
  static void define(Napi::Env env);
  // `options`: OpenOptions of gpu/cuda/addon.ts.
  static Napi::Value open(const Arguments& arguments);

  // What the constructor takes; JavaScript cannot make one.
  struct Parts {
    std::shared_ptr<Device> device;
    std::shared_ptr<const Nvrtc> nvrtc;
  };
  explicit DeviceObject(const Napi::CallbackInfo& info);
  ~DeviceObject() override;

 private:
  std::shared_ptr<Device> device_;
  std::shared_ptr<const Nvrtc> nvrtc_;
  std::shared_ptr<Environment::Devices> open_devices_;

  using Info = const Napi::CallbackInfo&;

  template <Napi::Value (DeviceObject::*method)(Info)>
  static Napi::Value bound(Info info);
  template <Napi::Value (DeviceObject::*method)(Info)>
  void add(Napi::Object methods, const char* name);
  void add_methods(Napi::Object self);

  // Runs `run(arguments, device)` with the device's context current.
  template <class F>
  Napi::Value call(Info info, const char* name, F run);
  // The same for what returns a promise: it throws nothing, but rejects. `run` gets the promise, too.
  template <class F>
  Napi::Value promise(Info info, const char* name, F run);
  // Settles a promise when the device's waiter calls: with `value(env)`, or the error.
  template <class F>
  Waiter::Done settle(Napi::Env env, Environment::Promise* promise, F value);
  // The device where it can be used; `entered` with its context current.
  Device& usable();
  Device& entered();
  template <class F>
  auto watching(Device& device, F run) -> decltype(run(device));

  Napi::Value allocate(Info info);
  Napi::Value free(Info info);
  Napi::Value empty_cache(Info info);
  Napi::Value memory_stats(Info info);
  Napi::Value reset_peak_stats(Info info);
  Napi::Value mem_get_info(Info info);
  Napi::Value compile(Info info);
  Napi::Value compile_sync(Info info);
  Napi::Value load_module(Info info);
  Napi::Value get_function(Info info);
  Napi::Value submit(Info info);
  Napi::Value upload(Info info);
  Napi::Value download(Info info);
  Napi::Value download_sync(Info info);
  Napi::Value synchronize(Info info);
  Napi::Value synchronize_sync(Info info);
  Napi::Value idle(Info info);
  Napi::Value create_event(Info info);
  Napi::Value destroy_event(Info info);
  Napi::Value query_event(Info info);
  Napi::Value synchronize_event(Info info);
  Napi::Value synchronize_event_sync(Info info);
  Napi::Value elapsed(Info info);
  Napi::Value wait_event(Info info);
  Napi::Value begin_capture(Info info);
  Napi::Value end_capture(Info info);
  Napi::Value abort_capture(Info info);
  Napi::Value launch_graph(Info info);
  Napi::Value destroy_graph(Info info);
  Napi::Value libraries(Info info);
  Napi::Value stats(Info info);
  Napi::Value close(Info info);
};

// DeviceInfo of gpu/cuda/addon.ts.
Napi::Object to_object(Napi::Env env, const DeviceInfo& info);

// NativeLibraries of gpu/cuda/addon.ts: libraries_object.cpp.
Napi::Object make_libraries(Napi::Env env, const std::shared_ptr<Device>& device);

}  // namespace kindling
