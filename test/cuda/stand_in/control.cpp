/**
 * A module of Node's with one function: control(command), see stand_in.h. The few declarations of Node-API that it needs are written out, so
 * that it builds without headers.
 */

#include <cstddef>
#include <string>

#include "stand_in.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
typedef struct napi_env__* napi_env;
typedef struct napi_value__* napi_value;
typedef struct napi_callback_info__* napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
// They are in the program that loads this.
#define FROM_NODE __attribute__((weak))
FROM_NODE int napi_get_cb_info(napi_env, napi_callback_info, size_t* argc, napi_value* argv, napi_value* self, void** data);
FROM_NODE int napi_get_value_string_utf8(napi_env, napi_value, char* buffer, size_t bytes, size_t* length);
FROM_NODE int napi_create_string_utf8(napi_env, const char* text, size_t length, napi_value* result);
FROM_NODE int napi_create_function(napi_env, const char* name, size_t length, napi_callback, void* data, napi_value* result);
FROM_NODE int napi_set_named_property(napi_env, napi_value object, const char* name, napi_value value);
FROM_NODE int napi_throw_error(napi_env, const char* code, const char* message);
}

static napi_value control(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument = nullptr, result = nullptr;
  char command[1024];
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != 0 || count < 1 ||
      napi_get_value_string_utf8(env, argument, command, sizeof command, &length) != 0) {
    napi_throw_error(env, "INVALID", "control(command) takes a string");
    return nullptr;
  }
  const std::string answer = kindling_stand_in_control(command);
  if (answer.rfind("error: ", 0) == 0) {
    napi_throw_error(env, "INVALID", answer.c_str() + 7);
    return nullptr;
  }
  napi_create_string_utf8(env, answer.c_str(), answer.size(), &result);
  return result;
}

EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  if (napi_create_function(env, "control", 7, control, nullptr, &function) == 0)
    napi_set_named_property(env, exports, "control", function);
  return exports;
}
