// banded_attention and its backward pass: checks the arguments, calls one of the implementations, and brings
// the result into the shape of the arguments.

#include "cuda/banded_attention.h"
#include "operators.h"

namespace longformer {
namespace {

void check_fused_device(const char* op, const Tensor& query) {
  LONGFORMER_CHECK_IMPLEMENTED(query.is_cuda(), "longformer::", op,
                               ": implementation \"fused\" runs on cpu and cuda, given ", query.device(),
                               "; \"chunks\" runs on every device");
}

// The fused kernels of the device. CUDA's serve no float64 and no heads of more than 128 dimensions: those go
// through chunks, as do GPUs before compute capability 8.0.
BandedForward fused(const char* op, const BandedAttention& a) {
  if (a.q.is_cpu()) return banded_attention_fused_cpu(a);
  check_fused_device(op, a.q);
  return banded_attention_fused_cuda(a);
}
BandedBackward fused_backward(const char* op, const BandedAttention& a, const BandedGradients& g) {
  if (a.q.is_cpu()) return banded_attention_fused_cpu_backward(a, g.grad_output, g.output, g.logsumexp);
  check_fused_device(op, a.q);
  return banded_attention_fused_cuda_backward(a, g.grad_output, g.output, g.logsumexp);
}

std::tuple<Tensor, Tensor> forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                   const BandedOptions& options) {
  const char* op = "banded_attention";
  const Implementation implementation = check_implementation(op, options.implementation);
  const BandedAttention a = check_banded_attention(op, query, key, value, options);
  BandedForward result;
  switch (implementation) {
    case Implementation::loop:
      result = banded_attention_loop(a);
      break;
    case Implementation::chunks:
      result = banded_attention_chunks(a);
      break;
    case Implementation::fused:
      result = fused(op, a);
      break;
  }
  return {result.out.reshape(query.sizes()), result.lse.reshape(query.sizes().slice(0, query.dim() - 1))};
}

std::tuple<Tensor, Tensor, Tensor> backward(const Tensor& grad_output, const Tensor& query, const Tensor& key,
                                            const Tensor& value, const Tensor& output,
                                            const Tensor& logsumexp, const BandedOptions& options) {
  const char* op = "banded_attention_backward";
  const Implementation implementation = check_implementation(op, options.implementation);
  const BandedAttention a = check_banded_attention(op, query, key, value, options);
  const BandedGradients g = check_banded_gradients(a, query, grad_output, output, logsumexp);
  BandedBackward result;
  switch (implementation) {
    case Implementation::loop:
      result = banded_attention_loop_backward(a, g.grad_output, g.output, g.logsumexp);
      break;
    case Implementation::chunks:
      result = banded_attention_chunks_backward(a, g.grad_output, g.output, g.logsumexp);
      break;
    case Implementation::fused:
      result = fused_backward(op, a, g);
      break;
  }
  const auto shaped = [&](const Tensor& t) { return t.reshape(query.sizes()); };
  return {shaped(result.grad_q), shaped(result.grad_k), shaped(result.grad_v)};
}

Tensor probabilities(const Tensor& query, const Tensor& key, const BandedProbabilityOptions& options) {
  // There is no value, so the checks get the key in its place.
  const BandedAttention a =
      check_banded_attention("banded_attention_probabilities", query, key, key, options);
  const Tensor p = banded_probabilities(a, options.window_left, options.window_right);
  auto shape = query.sizes().vec();
  shape.back() = p.size(-1);
  return p.reshape(shape);
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<forward>("banded_attention");
  r.impl<backward>("banded_attention_backward");
  r.impl<probabilities>("banded_attention_probabilities");
}

}  // namespace longformer
