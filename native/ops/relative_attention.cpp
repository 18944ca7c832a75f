// relative_banded_attention and its backward pass: banded attention whose scores know how far a key is from
// its query (Transformer-XL). The implementations are those of banded_attention, which see the further
// tensors of its struct.
#include "cuda/banded_attention.h"
#include "operators.h"

namespace longformer {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Six = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

constexpr const char* kForward = "relative_banded_attention";
constexpr const char* kBackward = "relative_banded_attention_backward";

Two forward(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& relative,
            const OptionalTensor& content_bias, const OptionalTensor& position_bias, int64_t relative_zero,
            const RelativeOptions& options) {
  const Implementation implementation = check_implementation(kForward, options.implementation);
  const BandedAttention a = check_relative_attention(kForward, query, key, value, relative, content_bias,
                                                     position_bias, relative_zero, options);
  const BandedForward result = implementation == Implementation::loop     ? banded_attention_loop(a)
                               : implementation == Implementation::chunks ? banded_attention_chunks(a)
                               : a.q.is_cpu()                             ? banded_attention_fused_cpu(a)
                               : a.q.is_cuda()                            ? banded_attention_fused_cuda(a)
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
  const auto run = implementation == Implementation::loop     ? banded_attention_loop_backward
                   : implementation == Implementation::chunks ? banded_attention_chunks_backward
                   : a.q.is_cpu()                             ? banded_attention_fused_cpu_backward
                   : a.q.is_cuda()                            ? banded_attention_fused_cuda_backward
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

LONGFORMER_REGISTER(r) {
  r.impl<forward>(kForward);
  r.impl<backward>(kBackward);
  r.impl<forward_shape>(torch::Key::meta, kForward);
  r.impl<backward_shape>(torch::Key::meta, kBackward);
}

}  // namespace longformer
