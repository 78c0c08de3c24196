// The packed commands of `submit`: gpu/cuda/addon.ts says how they look.
#include <cstring>

#include "device.h"

namespace kindling {
namespace {

enum Op : uint32_t { LAUNCH = 1, COPY, ZERO, UPLOAD, RECORD, MATMUL, CONV };

const char* name_of(uint32_t op) {
  switch (op) {
    case LAUNCH: return "LAUNCH";
    case COPY: return "COPY";
    case ZERO: return "ZERO";
    case UPLOAD: return "UPLOAD";
    case RECORD: return "RECORD";
    case MATMUL: return "MATMUL";
    case CONV: return "CONV";
    default: return "submit";
  }
}

uint64_t long_at(const uint32_t* words) { return uint64_t(words[0]) | uint64_t(words[1]) << 32; }

double double_at(const uint32_t* words) {
  double value;
  std::memcpy(&value, words, sizeof value);
  return value;
}

void require_length(size_t length, size_t expected) {
  if (length != expected) invalid("%zu words; expected %zu", length, expected);
}

}  // namespace

void Device::submit(const uint32_t* words, size_t count) {
  counts_.submits++;
  size_t at = 0;
  try {
    while (at < count) {
      const size_t length = words[at] >> 8;
      if (length == 0 || length > count - at) invalid("%zu words, but %zu are left", length, count - at);
      run_command(words + at, length);
      at += length;
    }
  } catch (Failure& failure) {
    const uint32_t op = words[at] & 255;
    failure.message = format("%s, at word %zu of %zu: %s", name_of(op), at, count, failure.message.c_str());
    failure.op = name_of(op);
    throw;
  }
}

void Device::run_command(const uint32_t* words, size_t length) {
  switch (words[0] & 255) {
    case LAUNCH: {
      if (length < 4) invalid("%zu words; expected at least 4", length);
      size_t bytes = words[3];
      require_length(length, 4 + (bytes + 3) / 4);
      if (words[1] >= functions_.size()) invalid("there is no function %u; there are %zu", words[1], functions_.size());
      if (words[2] == 0 || words[2] > 0x7fffffff) invalid("%u groups; expected 1 to 2^31 - 1", words[2]);
      const Function& function = functions_[words[1]];
      void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, const_cast<uint32_t*>(words + 4), CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                       CU_LAUNCH_PARAM_END};
      check(driver_->launch(function.handle, words[2], 1, 1, function.threads, 1, 1, function.shared_bytes, stream_, nullptr, extra),
            "cuLaunchKernel");
      counts_.launches++;
      return;
    }
    case COPY:
      require_length(length, 7);
      check(driver_->copy_on_device(long_at(words + 1), long_at(words + 3), long_at(words + 5), stream_), "cuMemcpyDtoDAsync");
      counts_.copies++;
      return;
    case ZERO: {
      require_length(length, 5);
      const uint64_t address = long_at(words + 1), bytes = long_at(words + 3);
      if ((address | bytes) % 4 == 0) check(driver_->set_words(address, 0, bytes / 4, stream_), "cuMemsetD32Async");
      else check(driver_->set_bytes(address, 0, bytes, stream_), "cuMemsetD8Async");
      return;
    }
    case UPLOAD: {
      if (length < 4) invalid("%zu words; expected at least 4", length);
      const size_t bytes = words[3];
      require_length(length, 4 + (bytes + 3) / 4);
      upload(long_at(words + 1), words + 4, bytes);
      return;
    }
    case RECORD:
      require_length(length, 2);
      record(*event(words[1]));
      return;
    case MATMUL: {
      require_length(length, 18);
      Libraries* const found = libraries();
      if (!found) invalid("there is no plan %u: neither cuBLASLt nor cuDNN was found", words[1]);
      found->matmul({words[1], long_at(words + 2), long_at(words + 4), long_at(words + 6), long_at(words + 8), long_at(words + 10),
                     long_at(words + 12), double_at(words + 14), double_at(words + 16)});
      return;
    }
    case CONV: {
      require_length(length, 10);
      Libraries* const found = libraries();
      if (!found) invalid("there is no plan %u: neither cuBLASLt nor cuDNN was found", words[1]);
      found->conv({words[1], long_at(words + 2), long_at(words + 4), long_at(words + 6), long_at(words + 8)});
      return;
    }
    default: invalid("%u is not a command; expected 1 (LAUNCH) to 7 (CONV)", words[0] & 255);
  }
}

}  // namespace kindling
