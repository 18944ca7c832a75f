// relative_banded_attention and its backward pass: banded attention whose scores know how far a key is from
// its query (Transformer-XL). The implementations are those of banded_attention, which see the further
// tensors of its struct.
#include <algorithm>

#include "check.h"
#include "operators.h"

namespace longformer {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Six = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

constexpr const char* kForward = "relative_banded_attention";
constexpr const char* kBackward = "relative_banded_attention_backward";

Tensor check_bias(const char* op, const char* name, const OptionalTensor& bias, const Tensor& query) {
  if (!given(bias)) return {};
  check_same_kind(op, name, *bias, "query", query);
  const auto expected = query.sizes().slice(query.dim() - 2);
  LONGFORMER_CHECK_VALUE(bias->sizes() == expected, "longformer::", op, ": ", name,
                         " must be [H, D] = ", expected, ", given ", bias->sizes());
  return bias->contiguous();
}

// How many tokens away the farthest key of any head is, where nothing but the longest sequence ends it.
int64_t reach(int64_t window, const std::vector<int64_t>& dilation, int64_t longest) {
  int64_t most = 0;
  for (const int64_t d : dilation) most = std::max(most, std::min(window * d, longest - 1));
  return most;
}

Two forward(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& relative,
            const OptionalTensor& content_bias, const OptionalTensor& position_bias, int64_t relative_zero,
            const RelativeOptions& options) {
  const Implementation implementation = check_implementation(kForward, options.implementation);
  const BandedAttention a = check_relative_attention(kForward, query, key, value, relative, content_bias,
                                                     position_bias, relative_zero, options);
  const BandedForward result = implementation == Implementation::loop ? banded_attention_loop(a)
                               : implementation == Implementation::fused && a.q.is_cpu()
                                   ? banded_attention_fused_cpu(a)
                                   : banded_attention_chunks(a);
  return {result.out.reshape(query.sizes()), result.lse.reshape(query.sizes().slice(0, query.dim() - 1))};
}

Six backward(const Tensor& grad_output, const Tensor& query, const Tensor& key, const Tensor& value,
             const Tensor& relative, const OptionalTensor& content_bias, const OptionalTensor& position_bias,
             const Tensor& output, const Tensor& logsumexp, int64_t relative_zero,
             const RelativeOptions& options) {
  const Implementation implementation = check_implementation(kBackward, options.implementation);
  const BandedAttention a = check_relative_attention(kBackward, query, key, value, relative, content_bias,
                                                     position_bias, relative_zero, options);
  const BandedGradients g = check_banded_gradients(a, query, grad_output, output, logsumexp, kBackward);
  const auto run = implementation == Implementation::loop ? banded_attention_loop_backward
                   : implementation == Implementation::fused && a.q.is_cpu()
                       ? banded_attention_fused_cpu_backward
                       : banded_attention_chunks_backward;
  const BandedBackward r = run(a, g.grad_output, g.output, g.logsumexp);
  const auto shaped = [&](const Tensor& t) { return t.reshape(query.sizes()); };
  return {shaped(r.grad_q), shaped(r.grad_k),    shaped(r.grad_v),
          r.grad_relative,  r.grad_content_bias, r.grad_position_bias};
}

Two forward_shape(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& relative,
                  const OptionalTensor& content_bias, const OptionalTensor& position_bias,
                  int64_t relative_zero, const RelativeOptions& options) {
  check_implementation(kForward, options.implementation);
  check_relative_attention(kForward, query, key, value, relative, content_bias, position_bias, relative_zero,
                           options);
  const IntList sizes = query.sizes();
  return {empty_like(query),
          empty(sizes.slice(0, sizes.size() - 1), query.options().dtype(compute_type(query)))};
}

Six backward_shape(const Tensor& grad_output, const Tensor& query, const Tensor& key, const Tensor& value,
                   const Tensor& relative, const OptionalTensor& content_bias,
                   const OptionalTensor& position_bias, const Tensor& output, const Tensor& logsumexp,
                   int64_t relative_zero, const RelativeOptions& options) {
  check_implementation(kBackward, options.implementation);
  const BandedAttention a = check_relative_attention(kBackward, query, key, value, relative, content_bias,
                                                     position_bias, relative_zero, options);
  check_banded_gradients(a, query, grad_output, output, logsumexp, kBackward);
  const Tensor bias = empty(query.sizes().slice(query.dim() - 2), query.options());
  return {empty_like(query), empty_like(key), empty_like(value), empty_like(relative), bias,
          empty_like(bias)};
}

}  // namespace

BandedAttention check_relative_attention(const char* op, const Tensor& query, const Tensor& key,
                                         const Tensor& value, const Tensor& relative,
                                         const OptionalTensor& content_bias,
                                         const OptionalTensor& position_bias, int64_t relative_zero,
                                         const AttentionOptions& options) {
  BandedAttention a = check_banded_attention(op, query, key, value, options);
  check_same_kind(op, "relative", relative, "query", query);
  const auto heads = query.sizes().slice(query.dim() - 2);
  LONGFORMER_CHECK_VALUE(relative.dim() == 3 && relative.sizes().slice(1) == heads, "longformer::", op,
                         ": relative must be [P, H, D] with [H, D] = ", heads, ", given ", relative.sizes());
  int64_t longest = 1;
  for (size_t s = 1; s < a.offsets.size(); ++s) longest = std::max(longest, a.offsets[s] - a.offsets[s - 1]);
  const int64_t left = reach(a.window_left, a.dilation, longest),
                right = reach(a.window_right, a.dilation, longest);
  LONGFORMER_CHECK_VALUE(relative_zero >= right && relative.size(0) - relative_zero > left,
                         "longformer::", op, ": relative must have a row for every distance i - j from ",
                         -right, " to ", left, ", given ", relative.size(0), " rows with distance 0 in row ",
                         relative_zero);
  a.relative = relative.stride(-1) == 1 || relative.size(-1) == 1 ? relative : relative.contiguous();
  a.content_bias = check_bias(op, "content_bias", content_bias, query);
  a.position_bias = check_bias(op, "position_bias", position_bias, query);
  a.relative_zero = relative_zero;
  return a;
}

LONGFORMER_REGISTER(r) {
  r.impl<forward>(kForward);
  r.impl<backward>(kBackward);
  r.impl<forward_shape>(torch::Key::meta, kForward);
  r.impl<backward_shape>(torch::Key::meta, kBackward);
}

}  // namespace longformer
