#include "libraries.h"

#include "blas.h"
#include "dnn.h"

namespace kindling {

std::unique_ptr<Libraries> Libraries::open(Device& device, const SearchPath& path) {
  std::unique_ptr<Blas> blas = Blas::open(device, path);
  std::unique_ptr<Dnn> dnn = Dnn::open(device, path);
  if (!blas && !dnn) return nullptr;
  return std::unique_ptr<Libraries>(new Libraries(std::move(blas), std::move(dnn)));
}

Libraries::Libraries(std::unique_ptr<Blas> blas, std::unique_ptr<Dnn> dnn) : blas_(std::move(blas)), dnn_(std::move(dnn)) {}
Libraries::~Libraries() = default;

std::optional<Plan> Libraries::matmul_plan(const MatmulOptions& options) {
  return blas_ ? blas_->plan(options) : std::nullopt;
}

std::optional<Plan> Libraries::conv_plan(const ConvOptions& options) { return dnn_ ? dnn_->plan(options) : std::nullopt; }

void Libraries::forget_plans() {
  if (blas_) blas_->forget_plans();
  if (dnn_) dnn_->forget_plans();
}

void Libraries::matmul(const MatmulCommand& command) {
  if (!blas_) invalid("MATMUL needs cuBLASLt, which is not there");
  blas_->run(command);
}

void Libraries::conv(const ConvCommand& command) {
  if (!dnn_) invalid("CONV needs cuDNN, which is not there");
  dnn_->run(command);
}

}  // namespace kindling
