// loop: the dense oracle. One sequence at a time, an n x n matrix of scores per head, one softmax per row;
// what the other implementations are tested against. Read it beside the definition in banded_attention.h.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <limits>

#include "operators.h"

namespace longformer {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The tokens of a sequence in [N, H, D] as [H, length, D] in the type that is computed with. Those that are
// not visible become zeros: whatever they hold (padding may hold NaN), a probability of 0 times it must be 0.
at::Tensor heads_first(const BandedAttention& a, const at::Tensor& t, size_t sequence) {
  const int64_t begin = a.offsets[sequence], length = a.offsets[sequence + 1] - begin;
  const at::Tensor tokens = t.narrow(0, begin, length).transpose(0, 1).to(compute_type(t));
  if (!a.visible.defined()) return tokens;
  return tokens.masked_fill(a.visible.narrow(0, begin, length).eq(0).unsqueeze(-1), 0.0);
}

// bool [H, length, length]: may query i see key j?
at::Tensor allowed_keys(const BandedAttention& a, size_t sequence) {
  const int64_t begin = a.offsets[sequence], length = a.offsets[sequence + 1] - begin;
  const at::Tensor position = at::arange(length, at::TensorOptions(at::kLong).device(a.q.device()));
  const at::Tensor distance = position.unsqueeze(0) - position.unsqueeze(1);  // j - i
  std::vector<at::Tensor> window;
  for (int64_t d : a.dilation)
    window.push_back(distance.remainder(d).eq(0) & distance.ge(-a.window_left * d) &
                     distance.le(a.window_right * d));
  at::Tensor allowed = at::stack(window);
  if (a.global_index.defined()) {
    const at::Tensor index = a.global_index[static_cast<int64_t>(sequence)];
    const at::Tensor is_global = position.unsqueeze(1).eq(index.unsqueeze(0)).any(1);
    allowed = allowed | is_global;
  }
  if (a.visible.defined()) {
    const at::Tensor visible = a.visible.narrow(0, begin, length).to(at::kBool);
    allowed = allowed & visible.unsqueeze(0) & visible.unsqueeze(1);
  }
  return allowed;
}

// [H, length, length]: 0 where the probability is dropped, else 1/(1-p); undefined without dropout.
at::Tensor dropout_factor(const BandedAttention& a, size_t sequence) {
  if (a.dropout == 0.0) return {};
  const int64_t heads = a.q.size(1), begin = a.offsets[sequence], length = a.offsets[sequence + 1] - begin;
  const at::Tensor factor = at::empty({heads, length, length}, at::TensorOptions(at::kDouble));
  double* f = factor.data_ptr<double>();
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < length; ++i)
      for (int64_t j = 0; j < length; ++j)
        *f++ = dropout_keeps(a.seed, h, begin + i, begin + j, a.dropout) ? 1.0 / (1.0 - a.dropout) : 0.0;
  return factor.to(a.q.device(), compute_type(a.q));
}

// scale * q.k, -inf where the key is not seen.
at::Tensor scores(const BandedAttention& a, size_t sequence) {
  const at::Tensor q = heads_first(a, a.q, sequence), k = heads_first(a, a.k, sequence);
  return (at::matmul(q, k.transpose(1, 2)) * a.scale)
      .masked_fill(allowed_keys(a, sequence).logical_not(), -infinity);
}

// exp(scores - lse); zeros in an empty row, whose lse is -inf.
at::Tensor probabilities(const at::Tensor& scores, const at::Tensor& lse) {
  return (scores - lse.masked_fill(lse.eq(-infinity), infinity).unsqueeze(-1)).exp();
}

}  // namespace

BandedForward banded_attention_loop(const BandedAttention& a) {
  const at::Tensor out = at::empty(a.q.sizes(), a.q.options());
  const at::Tensor lse = at::empty(a.q.sizes().slice(0, 2), a.q.options().dtype(compute_type(a.q)));
  for (size_t s = 0; s + 1 < a.offsets.size(); ++s) {
    const int64_t begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    if (length == 0) continue;
    const at::Tensor score = scores(a, s);
    const at::Tensor row_lse = score.logsumexp(-1);
    at::Tensor p = probabilities(score, row_lse);
    if (a.dropout > 0.0) p = p * dropout_factor(a, s);
    const at::Tensor o = at::matmul(p, heads_first(a, a.v, s));
    out.narrow(0, begin, length).copy_(o.transpose(0, 1));
    lse.narrow(0, begin, length).copy_(row_lse.transpose(0, 1));
  }
  return {out, lse};
}

BandedBackward banded_attention_loop_backward(const BandedAttention& a, const at::Tensor& grad_out,
                                              const at::Tensor& out, const at::Tensor& lse) {
  const auto like = [&](const at::Tensor& t) { return at::zeros(t.sizes(), t.options()); };
  BandedBackward grad{like(a.q), like(a.k), like(a.v)};
  for (size_t s = 0; s + 1 < a.offsets.size(); ++s) {
    const int64_t begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    if (length == 0) continue;
    const at::Tensor q = heads_first(a, a.q, s), k = heads_first(a, a.k, s);
    const at::Tensor v = heads_first(a, a.v, s), g = heads_first(a, grad_out, s);
    const at::Tensor p = probabilities(scores(a, s), lse.narrow(0, begin, length).transpose(0, 1));

    at::Tensor dropped = p, grad_p = at::matmul(g, v.transpose(1, 2));
    if (a.dropout > 0.0) {
      const at::Tensor factor = dropout_factor(a, s);
      dropped = p * factor;
      grad_p = grad_p * factor;
    }
    // d softmax: p * (dp - sum over the row of p * dp)
    const at::Tensor grad_score = p * (grad_p - (p * grad_p).sum(-1, /*keepdim=*/true)) * a.scale;
    const auto store = [&](const at::Tensor& to, const at::Tensor& from) {
      to.narrow(0, begin, length).copy_(from.transpose(0, 1));
    };
    store(grad.grad_q, at::matmul(grad_score, k));
    store(grad.grad_k, at::matmul(grad_score.transpose(1, 2), q));
    store(grad.grad_v, at::matmul(dropped.transpose(1, 2), g));
  }
  return grad;
}

}  // namespace longformer
