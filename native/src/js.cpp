#include "js.h"

#include <cmath>

namespace kindling {

constexpr double MOST_WHOLE = 9007199254740991;  // 2^53 - 1

Napi::Error to_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  Napi::Object object = error.Value();
  object.Set("code", Napi::String::New(env, name_of(failure.code)));
  if (failure.status) object.Set("cuResult", Napi::Number::New(env, *failure.status));
  if (!failure.op.empty()) object.Set("op", Napi::String::New(env, failure.op));
  if (!failure.searched.empty()) object.Set("searched", array_of(env, failure.searched));
  return error;
}

Napi::Array array_of(Napi::Env env, const std::vector<std::string>& texts) {
  Napi::Array array = Napi::Array::New(env, texts.size());
  for (size_t i = 0; i < texts.size(); i++) array.Set(uint32_t(i), Napi::String::New(env, texts[i]));
  return array;
}

std::string shown(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number: return format("%.17g", value.As<Napi::Number>().DoubleValue());
    case napi_string: return "a string";
    case napi_bigint: return "a bigint";
    case napi_function: return "a function";
    default: return value.IsTypedArray() ? "another typed array" : "an object";
  }
}

void Arguments::wrong(const char* name, const Napi::Value& value, const char* expected) const {
  invalid("%s: `%s` is %s; expected %s", function_, name, shown(value).c_str(), expected);
}

uint64_t Arguments::whole(size_t index, const char* name) const {
  const Napi::Value value = info_[index];
  if (!value.IsNumber()) wrong(name, value, "an integer from 0 to 2^53 - 1");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= MOST_WHOLE) || number != std::floor(number)) wrong(name, value, "an integer from 0 to 2^53 - 1");
  return uint64_t(number);
}

uint32_t Arguments::number(size_t index, const char* name) const {
  const Napi::Value value = info_[index];
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (number >= 0 && number <= 4294967295.0 && number == std::floor(number)) return uint32_t(number);
  }
  wrong(name, value, "an integer from 0 to 2^32 - 1");
}

bool Arguments::flag(size_t index, const char* name) const {
  const Napi::Value value = info_[index];
  if (!value.IsBoolean()) wrong(name, value, "true or false");
  return value.As<Napi::Boolean>().Value();
}

std::string Arguments::text(size_t index, const char* name) const {
  const Napi::Value value = info_[index];
  if (!value.IsString()) wrong(name, value, "a string");
  return value.As<Napi::String>().Utf8Value();
}

std::vector<std::string> Arguments::texts(size_t index, const char* name) const {
  const Napi::Value value = info_[index];
  if (!value.IsArray()) wrong(name, value, "an array of strings");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value entry = array.Get(i);
    if (!entry.IsString()) wrong(name, value, "an array of strings");
    result.push_back(entry.As<Napi::String>().Utf8Value());
  }
  return result;
}

uint8_t* Arguments::typed_array(size_t index, const char* name, napi_typedarray_type wanted, const char* expected,
                                size_t& length) const {
  const Napi::Value value = info_[index];
  napi_typedarray_type type;
  void* data = nullptr;
  napi_value buffer;
  size_t offset;
  if (napi_get_typedarray_info(env(), value, &type, &length, &data, &buffer, &offset) != napi_ok || type != wanted) {
    wrong(name, value, expected);
  }
  return static_cast<uint8_t*>(data);
}

Arguments::Bytes Arguments::bytes(size_t index, const char* name) const {
  size_t length = 0;
  uint8_t* const data = typed_array(index, name, napi_uint8_array, "a Uint8Array", length);
  return {data, length};
}

Arguments::Words Arguments::words(size_t index, const char* name) const {
  size_t length = 0;
  uint8_t* const data = typed_array(index, name, napi_uint32_array, "a Uint32Array", length);
  return {reinterpret_cast<uint32_t*>(data), length};
}

std::optional<Napi::Object> Arguments::object(size_t index, const char* name) const {
  const Napi::Value value = info_[index];
  if (value.IsUndefined() || value.IsNull()) return {};
  if (!value.IsObject()) wrong(name, value, "an object");
  return value.As<Napi::Object>();
}

}  // namespace kindling
