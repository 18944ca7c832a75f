#include "hidden_dropout.h"

#include <algorithm>

#include "driver.h"
#include "isa.h"

namespace longformer::cpu {
namespace {

constexpr int64_t kElementsAtOnce = int64_t(1) << 14;

const DropKernels* kernels_of(Isa isa) {
  return isa == Isa::avx512 ? drop_kernels_avx512()
         : isa == Isa::avx2 ? drop_kernels_avx2()
                            : drop_kernels_portable();
}

}  // namespace

bool has_hidden_dropout(ScalarType type) {
  return type == kFloat || type == kDouble || type == kBFloat16 || type == kHalf;
}

Tensor hidden_dropout(const Tensor& input, const HiddenDrop& drop) {
  const Tensor x = input.contiguous(), out = empty(input.sizes(), input.options());
  const void* from = x.data_ptr();
  void* to = out.data_ptr();
  const int64_t count = out.numel();
  const auto kernel = kernels_of(active_isa())->elements[static_cast<int>(element_of(x))];
  for_each_unit((count + kElementsAtOnce - 1) / kElementsAtOnce, [&](int64_t unit) {
    kernel(from, to, drop, unit * kElementsAtOnce, std::min(count, (unit + 1) * kElementsAtOnce));
  });
  return out;
}

}  // namespace longformer::cpu
