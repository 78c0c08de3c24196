// cuDNN: convolutions.
#pragma once

#include <string>

#include "cudnn_api.h"
#include "libraries.h"

namespace kindling {

class Dnn {
 public:
  // Null where the library cannot be used.
  static std::unique_ptr<Dnn> open(Device& device, const SearchPath& path);
  ~Dnn();
  Dnn(const Dnn&) = delete;
  Dnn& operator=(const Dnn&) = delete;

  std::optional<Plan> plan(const ConvOptions& options);
  void run(const ConvCommand& command);
  void forget_plans();

 private:
  struct Convolution;

  Dnn(Device& device, const cudnn::Api& api, cudnn::Handle handle);
  void check(cudnn::Status status, const char* op) const;
  std::unique_ptr<Convolution> describe(const ConvOptions& options) const;
  std::vector<cudnn::Choice> choices(const Convolution& convolution) const;
  // How many bytes an algorithm needs; nothing where it cannot do it.
  std::optional<size_t> workspace(const Convolution& convolution, int algorithm) const;

  Device& device_;
  const cudnn::Api api_;
  const cudnn::Handle handle_;
  std::vector<std::unique_ptr<Convolution>> plans_;
};

}  // namespace kindling
