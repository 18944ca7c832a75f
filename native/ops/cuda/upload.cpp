#include "upload.h"

#include <algorithm>

#include "kernels/parameters.h"

namespace longformer::cuda {

Tensor upload(Launcher& launcher, const std::vector<int64_t>& values, const Tensor& like, const char* name) {
  const Tensor to = empty({static_cast<int64_t>(values.size())}, like.options().dtype(kInt));
  int* const memory = launcher.writes<int>(to, name);
  for (size_t first = 0; first < values.size(); first += IntegerParameters::most) {
    IntegerParameters p;
    p.to = memory + first;
    p.count = static_cast<int>(std::min<size_t>(values.size() - first, IntegerParameters::most));
    for (int i = 0; i < p.count; ++i) p.values[i] = static_cast<int>(values[first + i]);
    launcher.launch({"store_integers.cu", {}}, {1, 1, 256, 0}, p);
  }
  return to;
}

}  // namespace longformer::cuda
