#include "device_object.h"

#include <cstring>
#include <variant>

namespace kindling {
namespace {

Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

// OpenOptions.reclaim. An exception of it ends the allocation.
std::function<void()> reclaimer(Napi::Env env, const Napi::Function& function) {
  const auto reference = std::make_shared<Napi::FunctionReference>(Napi::Persistent(function));
  return [env, reference] {
    Napi::HandleScope scope(env);
    reference->Call({});
  };
}

OpenOptions read_options(const Arguments& arguments) {
  OpenOptions options;
  const std::optional<Napi::Object> given = arguments.object(1, "options");
  if (!given) return options;
  const Napi::Value limit = given->Get("memoryLimit");
  if (!limit.IsUndefined()) {
    const double bytes = limit.IsNumber() ? limit.As<Napi::Number>().DoubleValue() : 0;
    if (!(bytes > 0)) arguments.wrong("memoryLimit", limit, "a positive number of bytes");
    options.memory_limit = bytes < 9e15 ? uint64_t(bytes) : uint64_t(9e15);
  }
  const Napi::Value exact = given->Get("exactAllocations");
  if (!exact.IsUndefined() && !exact.IsBoolean()) arguments.wrong("exactAllocations", exact, "true or false");
  options.exact_allocations = exact.IsBoolean() && exact.As<Napi::Boolean>().Value();
  const Napi::Value reclaim = given->Get("reclaim");
  if (!reclaim.IsUndefined() && !reclaim.IsFunction()) arguments.wrong("reclaim", reclaim, "a function");
  if (reclaim.IsFunction()) options.reclaim = reclaimer(arguments.env(), reclaim.As<Napi::Function>());
  return options;
}

Napi::Uint8Array bytes_of(Napi::Env env, const std::string& text) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, text.size());
  if (!text.empty()) std::memcpy(array.Data(), text.data(), text.size());
  return array;
}

Napi::Object to_object(Napi::Env env, const Compiled& compiled) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("cubin", bytes_of(env, compiled.code));
  object.Set("log", Napi::String::New(env, compiled.log));
  return object;
}

}  // namespace

Napi::Object to_object(Napi::Env env, const DeviceInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", info.index);
  object.Set("name", info.name);
  Napi::Array capability = Napi::Array::New(env, 2);
  capability.Set(0u, info.major);
  capability.Set(1u, info.minor);
  object.Set("capability", capability);
  object.Set("totalMemory", double(info.total_memory));
  object.Set("multiprocessors", info.multiprocessors);
  object.Set("maxThreadsPerBlock", info.max_threads_per_block);
  object.Set("sharedPerBlock", info.shared_per_block);
  object.Set("sharedPerBlockOptin", info.shared_per_block_optin);
  object.Set("l2Bytes", info.l2_bytes);
  object.Set("uuid", info.uuid);
  return object;
}

void DeviceObject::define(Napi::Env env) {
  const Napi::Function function = DefineClass(env, "NativeDevice", {InstanceAccessor<&DeviceObject::libraries>("libraries")});
  Environment::of(env).device_class = Napi::Persistent(function);
}

template <Napi::Value (DeviceObject::*method)(DeviceObject::Info)>
Napi::Value DeviceObject::bound(Info info) {
  return (static_cast<DeviceObject*>(info.Data())->*method)(info);
}

template <Napi::Value (DeviceObject::*method)(DeviceObject::Info)>
void DeviceObject::add(Napi::Object methods, const char* name) {
  Napi::Function function = Napi::Function::New<bound<method>>(methods.Env(), name, this);
  // Whoever keeps the function keeps the device.
  function.Set("device", Value());
  methods.Set(name, function);
}

// Each device has functions of its own that know it, in a prototype of its own: to find the device by `this` takes longer than all else.
void DeviceObject::add_methods(Napi::Object self) {
  using D = DeviceObject;
  const Napi::Env env = self.Env();
  Napi::Object methods = Napi::Object::New(env);
  add<&D::allocate>(methods, "allocate");
  add<&D::free>(methods, "free");
  add<&D::empty_cache>(methods, "emptyCache");
  add<&D::memory_stats>(methods, "memoryStats");
  add<&D::reset_peak_stats>(methods, "resetPeakStats");
  add<&D::mem_get_info>(methods, "memGetInfo");
  add<&D::compile>(methods, "compile");
  add<&D::compile_sync>(methods, "compileSync");
  add<&D::load_module>(methods, "loadModule");
  add<&D::get_function>(methods, "getFunction");
  add<&D::submit>(methods, "submit");
  add<&D::upload>(methods, "upload");
  add<&D::download>(methods, "download");
  add<&D::download_sync>(methods, "downloadSync");
  add<&D::synchronize>(methods, "synchronize");
  add<&D::synchronize_sync>(methods, "synchronizeSync");
  add<&D::idle>(methods, "idle");
  add<&D::create_event>(methods, "createEvent");
  add<&D::destroy_event>(methods, "destroyEvent");
  add<&D::query_event>(methods, "queryEvent");
  add<&D::synchronize_event>(methods, "synchronizeEvent");
  add<&D::synchronize_event_sync>(methods, "synchronizeEventSync");
  add<&D::elapsed>(methods, "elapsed");
  add<&D::wait_event>(methods, "waitEvent");
  add<&D::begin_capture>(methods, "beginCapture");
  add<&D::end_capture>(methods, "endCapture");
  add<&D::abort_capture>(methods, "abortCapture");
  add<&D::launch_graph>(methods, "launchGraph");
  add<&D::destroy_graph>(methods, "destroyGraph");
  add<&D::stats>(methods, "stats");
  add<&D::close>(methods, "close");
  const Napi::Object object = env.Global().Get("Object").As<Napi::Object>();
  const Napi::Function set_prototype = object.Get("setPrototypeOf").As<Napi::Function>();
  set_prototype.Call({methods, Environment::of(env).device_class.Value().Get("prototype")});
  set_prototype.Call({self, methods});
}

Napi::Value DeviceObject::open(const Arguments& arguments) {
  const Napi::Env env = arguments.env();
  const uint32_t index = arguments.number(0, "index");
  OpenOptions options = read_options(arguments);
  Environment& environment = Environment::of(env);
  const std::shared_ptr<const Driver> driver = Driver::open(environment.path);
  driver->require();
  Parts parts;
  parts.nvrtc = Nvrtc::open(environment.path, driver->version);
  parts.nvrtc->require();
  parts.device = std::make_shared<Device>(driver, int(index), environment.path, std::move(options));
  return environment.device_class.New({Napi::External<Parts>::New(env, &parts)});
}

DeviceObject::DeviceObject(Info info) : Napi::ObjectWrap<DeviceObject>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsExternal()) throw to_error(env, Failure{Code::Invalid, "a NativeDevice comes from `open`"});
  const Parts& parts = *info[0].As<Napi::External<Parts>>().Data();
  device_ = parts.device;
  nvrtc_ = parts.nvrtc;
  open_devices_ = Environment::of(env).devices;
  Napi::Object self = info.This().As<Napi::Object>();
  self.Set("info", to_object(env, device_->info()));
  add_methods(self);
  open_devices_->insert(device_.get());
}

DeviceObject::~DeviceObject() {
  if (!device_) return;
  open_devices_->erase(device_.get());
  device_->close();
}

Device& DeviceObject::entered() {
  if (!device_) invalid("this is no NativeDevice");
  device_->enter();
  return *device_;
}

Device& DeviceObject::usable() {
  if (!device_) invalid("this is no NativeDevice");
  device_->require_usable();
  return *device_;
}

// Whoever found out that the device is lost, nobody uses it from now on.
template <class F>
auto DeviceObject::watching(Device& device, F run) -> decltype(run(device)) {
  try {
    return run(device);
  } catch (const Failure& failure) {
    if (failure.code == Code::DeviceLost) device.lose(failure);
    throw;
  }
}

template <class F>
Napi::Value DeviceObject::call(Info info, const char* name, F run) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    return watching(entered(), [&](Device& device) -> Napi::Value {
      const Arguments arguments(info, name);
      if constexpr (std::is_void_v<decltype(run(arguments, device))>) {
        run(arguments, device);
        return env.Undefined();
      } else {
        return run(arguments, device);
      }
    });
  });
}

template <class F>
Napi::Value DeviceObject::promise(Info info, const char* name, F run) {
  const Napi::Env env = info.Env();
  auto* const promise = new Environment::Promise(env);
  promise->object = Napi::Persistent(Value());
  const Napi::Promise result = promise->promise();
  try {
    watching(entered(), [&](Device& device) { run(Arguments(info, name), device, promise); });
  } catch (const Failure& failure) {
    promise->deferred().Reject(to_error(env, failure).Value());
    promise->settled(env);
  } catch (const Napi::Error& error) {
    promise->deferred().Reject(error.Value());
    promise->settled(env);
  } catch (const std::exception& error) {
    promise->deferred().Reject(Napi::Error::New(env, error.what()).Value());
    promise->settled(env);
  }
  return result;
}

template <class F>
Waiter::Done DeviceObject::settle(Napi::Env env, Environment::Promise* promise, F value) {
  Environment& environment = Environment::of(env);
  Device* const device = device_.get();
  return [&environment, device, promise, value](CUresult result) {
    environment.post([device, promise, value, result](Napi::Env env) {
      if (result == CUDA_SUCCESS) {
        promise->deferred().Resolve(value(env));
      } else {
        const Failure failure = device->driver().failure(result, "cuEventSynchronize");
        if (failure.code == Code::DeviceLost) device->lose(failure);
        promise->deferred().Reject(to_error(env, failure).Value());
      }
      promise->settled(env);
    });
  };
}

// These two seldom get as far as the driver; the allocator sees to the context.
Napi::Value DeviceObject::allocate(Info info) {
  return guarded(info.Env(), [&] {
    return watching(usable(), [&](Device& device) {
      return number(info.Env(), double(device.allocate(Arguments(info, "allocate").whole(0, "bytes"))));
    });
  });
}

Napi::Value DeviceObject::free(Info info) {
  return guarded(info.Env(), [&] {
    return watching(usable(), [&](Device& device) {
      device.free(Arguments(info, "free").whole(0, "address"));
      return info.Env().Undefined();
    });
  });
}

Napi::Value DeviceObject::empty_cache(Info info) {
  return call(info, "emptyCache", [](const Arguments&, Device& device) { device.empty_cache(); });
}

Napi::Value DeviceObject::memory_stats(Info info) {
  return call(info, "memoryStats", [&](const Arguments&, Device& device) {
    const MemoryStats& stats = device.memory().stats();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("allocatedBytes", double(stats.allocated));
    object.Set("peakAllocatedBytes", double(stats.peak_allocated));
    object.Set("reservedBytes", double(stats.reserved));
    object.Set("peakReservedBytes", double(stats.peak_reserved));
    object.Set("blocks", double(stats.blocks));
    object.Set("allocations", double(stats.allocations));
    object.Set("slabs", double(stats.slabs));
    object.Set("retries", double(stats.retries));
    object.Set("failures", double(stats.failures));
    return object;
  });
}

Napi::Value DeviceObject::reset_peak_stats(Info info) {
  return call(info, "resetPeakStats", [](const Arguments&, Device& device) { device.memory().reset_peaks(); });
}

Napi::Value DeviceObject::mem_get_info(Info info) {
  return call(info, "memGetInfo", [&](const Arguments&, Device& device) {
    size_t free = 0, total = 0;
    device.memory_info(free, total);
    Napi::Array pair = Napi::Array::New(info.Env(), 2);
    pair.Set(0u, double(free));
    pair.Set(1u, double(total));
    return pair;
  });
}

Napi::Value DeviceObject::compile(Info info) {
  return promise(info, "compile", [&](const Arguments& arguments, Device&, Environment::Promise* promise) {
    Environment& environment = Environment::of(info.Env());
    std::string text = arguments.text(0, "text");
    std::vector<std::string> options = arguments.texts(1, "options");
    environment.compiler().add(0, [&environment, nvrtc = nvrtc_, text = std::move(text), options = std::move(options), promise] {
      using Result = std::variant<Compiled, Failure>;
      std::shared_ptr<Result> result;
      try {
        result = std::make_shared<Result>(nvrtc->compile(text, options));
      } catch (const Failure& failure) {
        result = std::make_shared<Result>(failure);
      }
      environment.post([promise, result](Napi::Env env) {
        if (const Compiled* compiled = std::get_if<Compiled>(result.get())) {
          promise->deferred().Resolve(to_object(env, *compiled));
        } else {
          promise->deferred().Reject(to_error(env, std::get<Failure>(*result)).Value());
        }
        promise->settled(env);
      });
    });
  });
}

Napi::Value DeviceObject::compile_sync(Info info) {
  return call(info, "compileSync", [&](const Arguments& arguments, Device&) {
    return to_object(info.Env(), nvrtc_->compile(arguments.text(0, "text"), arguments.texts(1, "options")));
  });
}

Napi::Value DeviceObject::load_module(Info info) {
  return call(info, "loadModule", [&](const Arguments& arguments, Device& device) {
    const Arguments::Bytes image = arguments.bytes(0, "cubin");
    return number(info.Env(), device.load_module(image.data, image.size));
  });
}

Napi::Value DeviceObject::get_function(Info info) {
  return call(info, "getFunction", [&](const Arguments& arguments, Device& device) {
    return number(info.Env(), device.get_function(arguments.number(0, "module"), arguments.text(1, "name"), arguments.number(2, "threads"),
                                                  arguments.number(3, "dynamicShared")));
  });
}

Napi::Value DeviceObject::submit(Info info) {
  return call(info, "submit", [](const Arguments& arguments, Device& device) {
    const Arguments::Words words = arguments.words(0, "words");
    const uint32_t count = arguments.number(1, "count");
    if (count > words.size) invalid("submit: `count` is %u, but there are %zu words", count, words.size);
    device.submit(words.data, count);
  });
}

Napi::Value DeviceObject::upload(Info info) {
  return call(info, "upload", [](const Arguments& arguments, Device& device) {
    const Arguments::Bytes bytes = arguments.bytes(1, "bytes");
    device.upload(arguments.whole(0, "address"), bytes.data, bytes.size);
  });
}

Napi::Value DeviceObject::download(Info info) {
  return promise(info, "download", [&](const Arguments& arguments, Device& device, Environment::Promise* promise) {
    const Napi::Env env = info.Env();
    const uint64_t address = arguments.whole(0, "address");
    Napi::Uint8Array array = Napi::Uint8Array::New(env, arguments.whole(1, "bytes"));
    // The waiter writes to it.
    promise->result = Napi::Persistent(array.As<Napi::Object>());
    const Waiter::Done done = settle(env, promise, [promise](Napi::Env) -> Napi::Value { return promise->result.Value(); });
    if (array.ByteLength() == 0) return done(CUDA_SUCCESS);
    device.download(address, array.Data(), array.ByteLength(), done);
  });
}

Napi::Value DeviceObject::download_sync(Info info) {
  return call(info, "downloadSync", [&](const Arguments& arguments, Device& device) -> Napi::Value {
    const uint64_t address = arguments.whole(0, "address");
    Napi::Uint8Array array = Napi::Uint8Array::New(info.Env(), arguments.whole(1, "bytes"));
    device.download_sync(address, array.Data(), array.ByteLength());
    return array;
  });
}

Napi::Value DeviceObject::synchronize(Info info) {
  return promise(info, "synchronize", [&](const Arguments&, Device& device, Environment::Promise* promise) {
    device.synchronize(settle(info.Env(), promise, [](Napi::Env env) { return env.Undefined(); }));
  });
}

Napi::Value DeviceObject::synchronize_sync(Info info) {
  return call(info, "synchronizeSync", [](const Arguments&, Device& device) { device.synchronize_sync(); });
}

Napi::Value DeviceObject::idle(Info info) {
  return call(info, "idle", [&](const Arguments&, Device& device) { return Napi::Boolean::New(info.Env(), device.idle()); });
}

Napi::Value DeviceObject::create_event(Info info) {
  return call(info, "createEvent", [&](const Arguments& arguments, Device& device) {
    return number(info.Env(), device.create_event(arguments.flag(0, "timing")));
  });
}

Napi::Value DeviceObject::destroy_event(Info info) {
  return call(info, "destroyEvent",
              [](const Arguments& arguments, Device& device) { device.destroy_event(arguments.number(0, "event")); });
}

Napi::Value DeviceObject::query_event(Info info) {
  return call(info, "queryEvent", [&](const Arguments& arguments, Device& device) {
    return Napi::Boolean::New(info.Env(), device.query_event(arguments.number(0, "event")));
  });
}

Napi::Value DeviceObject::synchronize_event(Info info) {
  return promise(info, "synchronizeEvent", [&](const Arguments& arguments, Device& device, Environment::Promise* promise) {
    device.synchronize_event(arguments.number(0, "event"),
                             settle(info.Env(), promise, [](Napi::Env env) { return env.Undefined(); }));
  });
}

Napi::Value DeviceObject::synchronize_event_sync(Info info) {
  return call(info, "synchronizeEventSync",
              [](const Arguments& arguments, Device& device) { device.synchronize_event_sync(arguments.number(0, "event")); });
}

Napi::Value DeviceObject::elapsed(Info info) {
  return call(info, "elapsed", [&](const Arguments& arguments, Device& device) {
    return number(info.Env(), device.elapsed(arguments.number(0, "start"), arguments.number(1, "end")));
  });
}

Napi::Value DeviceObject::wait_event(Info info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Value other = info[0];
    if (!other.IsObject() || !other.As<Napi::Object>().InstanceOf(Environment::of(info.Env()).device_class.Value())) {
      Arguments(info, "waitEvent").wrong("other", other, "a NativeDevice");
    }
    // That the other one is lost does not make this one so.
    Device& from = Unwrap(other.As<Napi::Object>())->entered();
    return call(info, "waitEvent",
                [&](const Arguments& arguments, Device& device) { device.wait_event(from, arguments.number(1, "event")); });
  });
}

Napi::Value DeviceObject::begin_capture(Info info) {
  return call(info, "beginCapture", [](const Arguments&, Device& device) { device.begin_capture(); });
}

Napi::Value DeviceObject::end_capture(Info info) {
  return call(info, "endCapture", [&](const Arguments&, Device& device) { return number(info.Env(), device.end_capture()); });
}

Napi::Value DeviceObject::abort_capture(Info info) {
  return call(info, "abortCapture", [](const Arguments&, Device& device) { device.abort_capture(); });
}

Napi::Value DeviceObject::launch_graph(Info info) {
  return call(info, "launchGraph",
              [](const Arguments& arguments, Device& device) { device.launch_graph(arguments.number(0, "graph")); });
}

Napi::Value DeviceObject::destroy_graph(Info info) {
  return call(info, "destroyGraph",
              [](const Arguments& arguments, Device& device) { device.destroy_graph(arguments.number(0, "graph")); });
}

// Made at the first use, and from then on a property of the object itself.
Napi::Value DeviceObject::libraries(Info info) {
  return call(info, "libraries", [&](const Arguments&, Device& device) -> Napi::Value {
    const Napi::Env env = info.Env();
    const Napi::Value value = device.libraries() ? Napi::Value(make_libraries(env, device_)) : env.Null();
    info.This().As<Napi::Object>().DefineProperty(Napi::PropertyDescriptor::Value("libraries", value, napi_enumerable));
    return value;
  });
}

Napi::Value DeviceObject::stats(Info info) {
  return call(info, "stats", [&](const Arguments&, Device& device) {
    const Counts& counts = device.counts();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("launches", double(counts.launches));
    object.Set("submits", double(counts.submits));
    object.Set("copies", double(counts.copies));
    object.Set("graphLaunches", double(counts.graph_launches));
    return object;
  });
}

// Also of a device that is lost, or closed already.
Napi::Value DeviceObject::close(Info info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!device_) invalid("this is no NativeDevice");
    device_->close();
    open_devices_->erase(device_.get());
    // Whoever waited hears of it now.
    Environment::of(info.Env()).drain(info.Env());
    return info.Env().Undefined();
  });
}

}  // namespace kindling
