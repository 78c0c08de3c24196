#include "environment.h"

#include "device.h"

namespace kindling {

Environment::Environment(Napi::Env env) : env_(env) {
  napi_value name;
  napi_create_string_utf8(env, "kindling", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, call_js, &wake_);
  // Idle threads don't keep the process alive.
  napi_unref_threadsafe_function(env, wake_);
  // Hooks run in reverse order: when this one runs, `wake_` is still there.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->end(); }, this);
}

Environment::~Environment() {
  end();
  for (Promise* promise : promises_) delete promise;
}

void Environment::end() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) return;
    ended_ = true;
  }
  compiler_.stop();
  for (Device* device : Devices(*devices)) device->close();
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
}

void Environment::post(Call call) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (ended_) return;
  calls_.push_back(std::move(call));
  if (calls_.size() == 1) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::drain(Napi::Env env) {
  std::vector<Call> calls;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    calls.swap(calls_);
  }
  for (const Call& call : calls) {
    try {
      call(env);
    } catch (const Napi::Error&) {
      // The environment is ending; nobody waits any more.
    }
  }
}

void Environment::call_js(napi_env env, napi_value, void* context, void*) {
  if (!env) return;
  Napi::HandleScope scope(env);
  static_cast<Environment*>(context)->drain(env);
}

Environment::Promise::Promise(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {
  Environment& environment = Environment::of(env);
  if (environment.promises_.empty()) napi_ref_threadsafe_function(env, environment.wake_);
  environment.promises_.insert(this);
}

void Environment::Promise::settled(Napi::Env env) {
  Environment& environment = Environment::of(env);
  environment.promises_.erase(this);
  if (environment.promises_.empty()) napi_unref_threadsafe_function(env, environment.wake_);
  delete this;
}

}  // namespace kindling
