#include "cuda.h"

#include "../base/library.h"

namespace longformer::torch {

bool has_cuda() {
  return find_cuda_function("aoti_torch_get_current_cuda_stream") != nullptr;
}

void* current_cuda_stream(int32_t device) {
  using Function = Error (*)(int32_t device, void** stream);
  static const auto function =
      reinterpret_cast<Function>(find_cuda_function("aoti_torch_get_current_cuda_stream"));
  LONGFORMER_CHECK_IMPLEMENTED(
      function != nullptr,
      "longformer: the CUDA kernels need a libtorch with CUDA; the one of this process, ", version() / 100,
      ".", version() % 100, ", was built without it or has not loaded that part (libtorch_cuda)");
  void* stream = nullptr;
  check(function(device, &stream), "aoti_torch_get_current_cuda_stream");
  return stream;
}

Tensor cuda_linear_gelu(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  using Function = Error (*)(TensorHandle bias, TensorHandle input, TensorHandle weight, double beta,
                             double alpha, int32_t use_gelu, TensorHandle*);
  static const auto function =
      reinterpret_cast<Function>(find_cuda_function("aoti_torch_cuda__addmm_activation"));
  if (function == nullptr) return {};
  const Tensor transposed = weight.t();
  TensorHandle result = nullptr;
  check(function(bias.handle(), input.handle(), transposed.handle(), 1, 1, 1, &result),
        "aoti_torch_cuda__addmm_activation");
  return Tensor::own(result);
}

void linear_into(const Tensor& out, const Tensor& input, const Tensor& weight, const Tensor& bias) {
  call("aten::linear", "out", input, weight, bias.defined() ? OptionalTensor(bias) : std::nullopt, out);
}

}  // namespace longformer::torch
