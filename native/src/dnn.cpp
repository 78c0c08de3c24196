#include "dnn.h"

#include "device.h"

namespace kindling {

static LibraryNames names() {
  return {"libcudnn", {"libcudnn.so.9", "libcudnn.so.8"}, {}, true, {},
          "pip install nvidia-cudnn-cu12"};
}

LibraryProbe probe_dnn(const SearchPath& path, int) { return probe_of(*Library::open(names(), path)); }

std::unique_ptr<Dnn> Dnn::open(Device&, const SearchPath&) { return nullptr; }
std::optional<Plan> Dnn::plan(const ConvOptions&) { return std::nullopt; }
void Dnn::run(const ConvCommand&) { invalid("there is no such plan"); }

}  // namespace kindling
