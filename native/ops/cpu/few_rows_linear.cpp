#include "few_rows_linear.h"

#include <algorithm>

#include "driver.h"
#include "shares.h"

namespace longformer::cpu {
namespace {

// Weights of one unit of work: enough that handing out units costs nothing, little enough that a thread that
// is held up does not hold up the step.
constexpr int64_t kUnitBytes = int64_t(1) << 16, kUnitOutputs = 16;

}  // namespace

bool has_few_rows(const Tensor& input, const Tensor& weight) {
  const auto type = input.scalar_type();
  return (type == kFloat || type == kBFloat16 || type == kHalf) && weight.dim() == 2 && input.dim() >= 1 &&
         weight.size(1) > 0 && input.numel() <= kFewRows * weight.size(1);
}

void few_rows_linear(const Tensor& input, const Tensor& weight, const Tensor& bias, Activation activation,
                     const Tensor& residual, const Tensor& out, const Tensor& weight_scale) {
  FewRowsProblem p;
  p.element = element_of(out);
  p.inputs = weight.size(1);
  p.outputs = weight.size(0);
  p.padded_inputs = (p.inputs + 15) / 16 * 16;
  p.rows = out.numel() / p.outputs;
  Tensor x = input.reshape({p.rows, p.inputs}).to(kFloat).contiguous();
  if (p.padded_inputs != p.inputs) x = pad(x, {0, p.padded_inputs - p.inputs});
  const Tensor w = weight.stride(1) == 1 || p.inputs == 1 ? weight : weight.contiguous(),
               b = bias.defined() ? bias.contiguous() : bias;
  p.input = x.data_ptr();
  p.weight = w.data_ptr();
  p.weight_stride = w.stride(0);
  p.weight_scale = weight_scale.defined() ? weight_scale.data_ptr<float>() : nullptr;
  p.bias = b.defined() ? b.data_ptr() : nullptr;
  p.activation = activation;
  p.residual = residual.defined() ? residual.data_ptr() : nullptr;
  p.output = out.data_ptr();
  const auto kernel = few_rows_kernels(active_isa())->few_rows;
  const int64_t row_bytes = p.inputs * static_cast<int64_t>(w.element_size());
  const int64_t unit = std::max<int64_t>(kUnitBytes / row_bytes / kUnitOutputs, 1) * kUnitOutputs;
  for_each_in_shares((p.outputs + unit - 1) / unit, [&](int64_t i) {
    kernel(p, i * unit, std::min(p.outputs, (i + 1) * unit),
           thread_scratch(few_rows_scratch(p) * sizeof(float)));
  });
}

}  // namespace longformer::cpu
