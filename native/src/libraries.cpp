#include "libraries.h"

#include "blas.h"
#include "device.h"
#include "dnn.h"

namespace kindling {

std::unique_ptr<Libraries> Libraries::open(Device& device, const SearchPath& path) {
  const int version = device.driver().version;
  if (!probe_blas(path, version).error.empty() && !probe_dnn(path, version).error.empty()) return nullptr;
  return std::unique_ptr<Libraries>(new Libraries(device, path));
}

Libraries::Libraries(Device& device, const SearchPath& path) : device_(device), path_(path) {}
Libraries::~Libraries() = default;

Blas* Libraries::blas() {
  if (!blas_opened_) {
    blas_opened_ = true;
    blas_ = Blas::open(device_, path_);
  }
  return blas_.get();
}

Dnn* Libraries::dnn() {
  if (!dnn_opened_) {
    dnn_opened_ = true;
    dnn_ = Dnn::open(device_, path_);
  }
  return dnn_.get();
}

std::optional<Plan> Libraries::matmul_plan(const MatmulOptions& options) {
  return blas() ? blas()->plan(options) : std::nullopt;
}

std::optional<Plan> Libraries::conv_plan(const ConvOptions& options) { return dnn() ? dnn()->plan(options) : std::nullopt; }

void Libraries::forget_plans() {
  if (blas_) blas_->forget_plans();
  if (dnn_) dnn_->forget_plans();
}

void Libraries::matmul(const MatmulCommand& command) {
  if (!blas()) invalid("MATMUL needs cuBLASLt, which is not there");
  blas_->run(command);
}

void Libraries::conv(const ConvCommand& command) {
  if (!dnn()) invalid("CONV needs cuDNN, which is not there");
  dnn_->run(command);
}

}  // namespace kindling
