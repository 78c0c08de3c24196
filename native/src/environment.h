// What belongs to one JavaScript environment (the main thread's, or that of a worker_thread): how other threads reach it, its compile thread,
// its open devices.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "driver.h"
#include "nvrtc.h"
#include "thread.h"

namespace kindling {

class Device;

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // Where `open` looks: what the last `probe` was told.
  SearchPath path;
  Napi::FunctionReference device_class;

  // The open devices; they may be collected after the environment's data.
  using Devices = std::set<Device*>;
  const std::shared_ptr<Devices> devices = std::make_shared<Devices>();

  // From any thread: has `call` called on the JavaScript thread, or dropped where the environment has ended.
  using Call = std::function<void(Napi::Env)>;
  void post(Call call);
  // Carries out what was posted now.
  void drain(Napi::Env env);

  // A promise that another thread keeps or breaks, and that keeps the process alive until then.
  class Promise {
   public:
    explicit Promise(Napi::Env env);
    Napi::Promise promise() const { return deferred_.Promise(); }
    Napi::Promise::Deferred& deferred() { return deferred_; }
    // The promise is kept or broken: forgets it.
    void settled(Napi::Env env);
    // What must live until then: whose promise it is, and what it brings.
    Napi::ObjectReference object, result;

   private:
    friend class Environment;
    Napi::Promise::Deferred deferred_;
  };

  TaskThread& compiler() { return compiler_; }

 private:
  void end();
  static void call_js(napi_env env, napi_value function, void* context, void* data);

  napi_env env_;
  napi_threadsafe_function wake_ = nullptr;
  std::mutex mutex_;
  std::vector<Call> calls_;
  bool ended_ = false;
  std::set<Promise*> promises_;
  TaskThread compiler_{"kindling-nvrtc"};
};

}  // namespace kindling
