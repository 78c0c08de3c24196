// cuBLASLt: matrix products.
#pragma once

#include <string>

#include "cublaslt_api.h"
#include "libraries.h"

namespace kindling {

class Blas {
 public:
  // Null where the library cannot be used.
  static std::unique_ptr<Blas> open(Device& device, const SearchPath& path);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  std::optional<Plan> plan(const MatmulOptions& options);
  void run(const MatmulCommand& command);
  void forget_plans();

 private:
  struct Product;

  Blas(Device& device, const cublaslt::Api& api, cublaslt::Handle handle);
  void check(cublaslt::Status status, const char* op) const;
  std::unique_ptr<Product> describe(const MatmulOptions& options) const;

  Device& device_;
  const cublaslt::Api api_;
  const cublaslt::Handle handle_;
  std::vector<std::unique_ptr<Product>> plans_;
};

}  // namespace kindling
