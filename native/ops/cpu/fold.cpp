#include "fold.h"

#include "driver.h"
#include "few_rows_problem.h"
#include "product_problem.h"

namespace longformer::cpu {
namespace {

// Channels of which no vector has a part.
constexpr int64_t kWholeVectors = 16;

}  // namespace

bool folds(const Tensor& query, const Tensor& weight) {
  const ScalarType type = query.scalar_type();
  return query.is_cpu() && (type == kFloat || type == kBFloat16 || type == kHalf) &&
         weight.scalar_type() == type && weight.stride(1) == 1 && weight.size(1) % kWholeVectors == 0;
}

Tensor fold_query(const Tensor& query, double scale, const Tensor& weight) {
  const int64_t sequences = query.size(0), globals = query.size(1), heads = query.size(2),
                dim = query.size(3);
  // Rows of all sequences together, head by head: a head's part of the weight is read once.
  const Tensor rows = (query.to(kFloat) * scale).permute({2, 0, 1, 3}).contiguous();
  const Tensor folded = empty({heads, sequences, globals, weight.size(1)}, kFloat);
  const auto kernel = product_kernels(active_isa())->fold;
  for_each_unit(heads, [&](int64_t head) {
    FoldProblem p;
    p.rows = sequences * globals;
    p.inputs = dim;
    p.channels = weight.size(1);
    p.input = rows.data_ptr<float>() + head * p.rows * dim;
    p.element = element_of(weight);
    p.weight_stride = weight.stride(0);
    p.weight =
        static_cast<const char*>(weight.data_ptr()) + head * dim * p.weight_stride * weight.element_size();
    p.output = folded.data_ptr<float>() + head * p.rows * p.channels;
    kernel(p);
  });
  return folded.permute({1, 0, 2, 3}).contiguous();
}

Tensor unfold_pooled(const Tensor& pooled, const Tensor& weight, const Tensor& bias) {
  const int64_t sequences = pooled.size(0), heads = pooled.size(1), globals = pooled.size(2),
                channels = pooled.size(3), dim = weight.size(0) / heads, size = weight.element_size();
  const Tensor rows = pooled.permute({1, 0, 2, 3}).contiguous(),
               b = bias.defined() ? bias.contiguous() : bias;
  const Tensor out = empty({heads, sequences, globals, dim}, weight.options());
  const auto kernel = few_rows_kernels(active_isa())->few_rows;
  for_each_unit(heads, [&](int64_t head) {
    FewRowsProblem p;
    p.element = element_of(weight);
    p.rows = sequences * globals;
    p.inputs = p.padded_inputs = channels;
    p.outputs = dim;
    p.input = rows.data_ptr<float>() + head * p.rows * channels;
    p.weight_stride = weight.stride(0);
    p.weight = static_cast<const char*>(weight.data_ptr()) + head * dim * p.weight_stride * size;
    if (b.defined()) p.bias = static_cast<const char*>(b.data_ptr()) + head * dim * size;
    p.output = static_cast<char*>(out.data_ptr()) + head * p.rows * dim * size;
    kernel(p, 0, dim, thread_scratch(few_rows_scratch(p) * sizeof(float)));
  });
  return out.permute({1, 2, 0, 3});
}

}  // namespace longformer::cpu
