#include "onednn.h"

#include "../base/library.h"

namespace longformer::torch {

bool has_onednn() {
  return aoti_torch_cpu__linear_pointwise != nullptr;
}

Tensor onednn_pack(const Tensor& weight) {
  if (!has_onednn()) return {};
  return call<Tensor>("mkldnn::_reorder_linear_weight", "", weight, std::nullopt);
}

Tensor onednn_linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  TensorHandle bias_handle = bias.handle(), result = nullptr;
  LONGFORMER_TORCH(aoti_torch_cpu__linear_pointwise(input.handle(), weight.handle(),
                                                    bias.defined() ? &bias_handle : nullptr, "none", nullptr,
                                                    0, nullptr, &result));
  return Tensor::own(result);
}

}  // namespace longformer::torch
