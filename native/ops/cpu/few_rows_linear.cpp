#include "few_rows_linear.h"

#include <ATen/ops/constant_pad_nd.h>

#include <algorithm>

#include "driver.h"

namespace longformer::cpu {
namespace {

// Weights of one unit of work: enough that handing out units costs nothing, little enough that a thread that
// is held up does not hold up the step.
constexpr int64_t kUnitBytes = int64_t(1) << 18;

}  // namespace

bool has_few_rows(const at::Tensor& input, const at::Tensor& weight) {
  const auto type = input.scalar_type();
  return (type == at::kFloat || type == at::kBFloat16 || type == at::kHalf) && weight.dim() == 2 &&
         input.dim() >= 1 && weight.size(1) > 0 && input.numel() <= kFewRows * weight.size(1);
}

void few_rows_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias,
                     Activation activation, const at::Tensor& residual, const at::Tensor& out) {
  FewRowsProblem p;
  p.element = element_of(weight);
  p.inputs = weight.size(1);
  p.outputs = weight.size(0);
  p.padded_inputs = (p.inputs + 15) / 16 * 16;
  p.rows = out.numel() / p.outputs;
  at::Tensor x = input.reshape({p.rows, p.inputs}).to(at::kFloat).contiguous();
  if (p.padded_inputs != p.inputs) x = at::constant_pad_nd(x, {0, p.padded_inputs - p.inputs});
  const at::Tensor w = weight.stride(1) == 1 || p.inputs == 1 ? weight : weight.contiguous(),
                   b = bias.defined() ? bias.contiguous() : bias;
  p.input = x.data_ptr();
  p.weight = w.data_ptr();
  p.weight_stride = w.stride(0);
  p.bias = b.defined() ? b.data_ptr() : nullptr;
  p.activation = activation;
  p.residual = residual.defined() ? residual.data_ptr() : nullptr;
  p.output = out.data_ptr();
  const auto kernel = few_rows_kernels(active_isa())->few_rows;
  const int64_t row_bytes = p.inputs * static_cast<int64_t>(w.element_size());
  const int64_t unit = std::max<int64_t>(kUnitBytes / row_bytes / 16, 1) * 16;
  for_each_unit((p.outputs + unit - 1) / unit, [&](int64_t i) {
    kernel(p, i * unit, std::min(p.outputs, (i + 1) * unit),
           thread_scratch(few_rows_scratch(p) * sizeof(float)));
  });
}

}  // namespace longformer::cpu
