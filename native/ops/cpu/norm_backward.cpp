#include "norm_backward.h"

#include <algorithm>

#include "driver.h"
#include "norm_problem.h"

namespace longformer::cpu {
namespace {

// Parts of the rows, each with sums of its own: few, since they are added up at the end.
constexpr int64_t kMostParts = 64, kLeastRows = 32;

template <class S>
Tensor sums_of_parts(const Tensor& all, int64_t first, int64_t parts, const Tensor& weight) {
  const int64_t columns = weight.size(0), stride = all.size(2);
  const Tensor out = zeros({columns}, all.options());
  S* const to = out.data_ptr<S>();
  for (int64_t part = 0; part < parts; ++part) {
    const S* from = all.data_ptr<S>() + (part * 2 + first) * stride;
    for (int64_t c = 0; c < columns; ++c) to[c] += from[c];
  }
  return out.to(weight.scalar_type());
}

}  // namespace

bool has_norm_backward(ScalarType type) {
  return type == kFloat || type == kDouble || type == kBFloat16 || type == kHalf;
}

NormGradients norm_backward(const Tensor& grad_output, const Tensor& input, const Tensor& residual,
                            const Tensor& weight, double eps, const HiddenDrop& drop, bool of_sum) {
  const Tensor g = grad_output.contiguous(), x = input.contiguous(),
               r = residual.defined() ? residual.contiguous() : residual, w = weight.contiguous(),
               out = empty(input.sizes(), input.options()),
               dropped = drop.kept != 0 ? empty(input.sizes(), input.options()) : Tensor();
  NormBackwardProblem p;
  p.element = element_of(x);
  p.columns = p.input_stride = p.residual_stride = w.size(0);
  p.padded_columns = (p.columns + 15) / 16 * 16;
  p.eps = eps;
  p.input = x.data_ptr();
  p.residual = r.defined() ? r.data_ptr() : nullptr;
  p.weight = w.data_ptr();
  p.gradient = g.data_ptr();
  p.output = out.data_ptr();
  p.drop = drop;
  p.of_sum = of_sum;
  p.input_output = dropped.defined() ? dropped.data_ptr() : nullptr;
  const int64_t rows = x.numel() / p.columns,
                of_a_part = std::max(kLeastRows, (rows + kMostParts - 1) / kMostParts),
                parts = (rows + of_a_part - 1) / of_a_part;
  const bool wide = p.element == Element::float64;
  const Tensor sums = zeros({parts, 2, p.padded_columns}, wide ? kDouble : kFloat);
  const auto kernel = norm_kernels(active_isa())->backward[compute_index(p.element)];
  const size_t row_bytes = static_cast<size_t>(p.padded_columns) * compute_size(p.element);
  for_each_unit(parts, [&](int64_t i) {
    char* const of_weight = sums.data_ptr<char>() + static_cast<size_t>(i) * 2 * row_bytes;
    kernel(p, i * of_a_part, std::min(rows, (i + 1) * of_a_part), of_weight, of_weight + row_bytes,
           thread_scratch(4 * row_bytes));
  });
  const auto of = [&](int64_t first) {
    return wide ? sums_of_parts<double>(sums, first, parts, w) : sums_of_parts<float>(sums, first, parts, w);
  };
  return {out, of(0), of(1), dropped};
}

}  // namespace longformer::cpu
