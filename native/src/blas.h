// cuBLASLt: matrix products.
#pragma once

#include "libraries.h"

namespace kindling {

class Blas {
 public:
  // Null where the library cannot be used.
  static std::unique_ptr<Blas> open(Device& device, const SearchPath& path);
  std::optional<Plan> plan(const MatmulOptions& options);
  void run(const MatmulCommand& command);
};

}  // namespace kindling
