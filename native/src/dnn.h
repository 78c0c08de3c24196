// cuDNN: convolutions.
#pragma once

#include "libraries.h"

namespace kindling {

class Dnn {
 public:
  // Null where the library cannot be used.
  static std::unique_ptr<Dnn> open(Device& device, const SearchPath& path);
  std::optional<Plan> plan(const ConvOptions& options);
  void run(const ConvCommand& command);
};

}  // namespace kindling
