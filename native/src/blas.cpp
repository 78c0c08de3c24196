#include "blas.h"

#include "device.h"

namespace kindling {

static LibraryNames names() {
  return {"libcublasLt", {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"}, {}, true, {},
          "pip install nvidia-cublas-cu12, or install a CUDA toolkit"};
}

LibraryProbe probe_blas(const SearchPath& path, int) { return probe_of(*Library::open(names(), path)); }

std::unique_ptr<Blas> Blas::open(Device&, const SearchPath&) { return nullptr; }
std::optional<Plan> Blas::plan(const MatmulOptions&) { return std::nullopt; }
void Blas::run(const MatmulCommand&) { invalid("there is no such plan"); }

}  // namespace kindling
