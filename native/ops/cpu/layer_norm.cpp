// longformer::add_layer_norm on a CPU: LayerNorm(input + residual) over the last dimension in one pass
// through memory. The sum and the statistics are float32 (float64 for float64), also where the tensors are
// bfloat16 or float16.

#include "../operators.h"
#include "driver.h"
#include "norm_backward.h"
#include "norm_problem.h"

namespace longformer {

using namespace cpu;

namespace {

constexpr int64_t kRowsAtOnce = 32;

}  // namespace

// Weights of another dtype than the input, residuals that broadcast: operators of libtorch.
bool cpu::has_norm(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias) {
  const auto type = input.scalar_type();
  const bool known = type == kFloat || type == kDouble || type == kBFloat16 || type == kHalf;
  return known && weight.scalar_type() == type && bias.scalar_type() == type &&
         (!residual.defined() || (residual.scalar_type() == type && residual.sizes() == input.sizes()));
}

// out: contiguous, like the input. Each row is read whole before it is written, so that out may be the input
// or the residual.
void cpu::norm_into(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
                    double eps, const Tensor& out, const HiddenDrop& drop, const Tensor& sum) {
  if (out.numel() == 0) return;
  NormProblem p;
  if (sum.defined()) p.sum = sum.data_ptr();
  p.drop = drop;
  p.element = element_of(input);
  p.columns = input.size(-1);
  p.padded_columns = (p.columns + 15) / 16 * 16;
  p.eps = eps;
  const Tensor x = input.contiguous(), r = residual.defined() ? residual.contiguous() : Tensor(),
               w = weight.contiguous(), b = bias.contiguous();
  p.input = x.data_ptr();
  p.residual = r.defined() ? r.data_ptr() : nullptr;
  p.input_stride = p.residual_stride = p.columns;
  p.weight = w.data_ptr();
  p.bias = b.data_ptr();
  p.output = out.data_ptr();
  const auto kernel = norm_kernels(active_isa())->rows[compute_index(p.element)];
  const size_t bytes = 4 * static_cast<size_t>(p.padded_columns) * compute_size(p.element);
  const int64_t rows = out.numel() / p.columns;
  for_each_unit((rows + kRowsAtOnce - 1) / kRowsAtOnce, [&](int64_t i) {
    kernel(p, i * kRowsAtOnce, std::min(rows, (i + 1) * kRowsAtOnce), thread_scratch(bytes));
  });
}

Tensor cpu::norm(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
                 double eps, const HiddenDrop& drop) {
  Tensor out = empty(input.sizes(), input.options());
  norm_into(input, residual, weight, bias, eps, out, drop);
  return out;
}

namespace {

Tensor add_layer_norm(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps) {
  check_layer_norm("add_layer_norm", input, residual, weight, bias);
  const Tensor& r = or_none(residual);
  if (!has_norm(input, r, weight, bias)) return add_layer_norm_by_aten(input, r, weight, bias, eps);
  return cpu::norm(input, r, weight, bias, eps);
}

// Into a tensor like the input.
void add_layer_norm_into(const Tensor& input, const OptionalTensor& residual, const Tensor& weight,
                         const Tensor& bias, double eps, const Tensor& out) {
  check_layer_norm("_add_layer_norm_into", input, residual, weight, bias);
  check_out("_add_layer_norm_into", out, input.sizes(), Tensor());
  const Tensor& r = or_none(residual);
  if (has_norm(input, r, weight, bias) && out.is_contiguous() && out.scalar_type() == input.scalar_type())
    norm_into(input, r, weight, bias, eps, out);
  else
    out.copy_(add_layer_norm(input, residual, weight, bias, eps));
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<add_layer_norm>(torch::Key::cpu, "add_layer_norm");
  r.impl<add_layer_norm_into>(torch::Key::cpu, "_add_layer_norm_into");
}

}  // namespace longformer
