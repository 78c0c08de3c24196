// Between C++ and JavaScript: arguments in, values and errors out. No C++ exception leaves the addon.
#pragma once

#include <napi.h>

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"

namespace kindling {

Napi::Error to_error(Napi::Env env, const Failure& failure);

// What every function that JavaScript calls runs in. Napi::Error is an exception of JavaScript's, or says that the environment is ending: then
// nothing can be thrown there, and nobody would hear of it.
template <class F>
auto guarded(Napi::Env env, F run) -> decltype(run()) {
  try {
    return run();
  } catch (const Failure& failure) {
    to_error(env, failure).ThrowAsJavaScriptException();
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (const std::exception& error) {
    Napi::Error::New(env, error.what()).ThrowAsJavaScriptException();
  }
  return decltype(run())();
}

// Arguments. They throw INVALID with the function's and the argument's name.
class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, const char* function) : info_(info), function_(function) {}

  Napi::Env env() const { return info_.Env(); }
  // An integer from 0 to 2^53 - 1.
  uint64_t whole(size_t index, const char* name) const;
  uint32_t number(size_t index, const char* name) const;
  bool flag(size_t index, const char* name) const;
  std::string text(size_t index, const char* name) const;
  std::vector<std::string> texts(size_t index, const char* name) const;

  struct Bytes {
    uint8_t* data;
    size_t size;
  };
  Bytes bytes(size_t index, const char* name) const;
  struct Words {
    uint32_t* data;
    size_t size;
  };
  Words words(size_t index, const char* name) const;
  // An object, or nothing for undefined and null.
  std::optional<Napi::Object> object(size_t index, const char* name) const;

  [[noreturn]] void wrong(const char* name, const Napi::Value& value, const char* expected) const;

 private:
  // Of an element type; its elements.
  uint8_t* typed_array(size_t index, const char* name, napi_typedarray_type type, const char* expected, size_t& length) const;

  const Napi::CallbackInfo& info_;
  const char* const function_;
};

// As a message shows it: "a string", "1.5".
std::string shown(const Napi::Value& value);

Napi::Array array_of(Napi::Env env, const std::vector<std::string>& texts);

}  // namespace kindling
