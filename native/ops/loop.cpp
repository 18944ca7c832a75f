// loop: the dense oracle, which the other implementations are tested against. One sequence and one head at a
// time, an n x n matrix of scores, one softmax per row. Read it beside the definition in banded_attention.h.

#include <algorithm>
#include <limits>

#include "operators.h"

namespace longformer {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// The part that one n x n matrix covers: one head, so that a long sequence needs a few matrices and not a few
// for each head.
struct Part {
  int64_t begin, length, sequence, head;
};

template <typename Visit>
void for_each_part(const BandedAttention& a, Visit visit) {
  for (size_t s = 0; s + 1 < a.offsets.size(); ++s) {
    const int64_t begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    for (int64_t h = 0; length > 0 && h < a.q.size(1); ++h)
      visit(Part{begin, length, static_cast<int64_t>(s), h});
  }
}

// A part's rows of a tensor [N, H, ...], as a view.
Tensor rows(const Tensor& t, const Part& part) {
  return t.narrow(0, part.begin, part.length).select(1, part.head);
}

// Returns the tokens of a part of [N, H, D] as [length, D] in the compute type. Invisible tokens become
// zeros: padding may hold NaN, and a probability of 0 times it must be 0.
Tensor tokens(const BandedAttention& a, const Tensor& t, const Part& part) {
  const Tensor of_head = rows(t, part).to(compute_type(t));
  if (!a.visible.defined()) return of_head;
  return of_head.masked_fill(a.visible.narrow(0, part.begin, part.length).eq(0).unsqueeze(-1), 0.0);
}

// bool [length, length]: may query i see key j?
Tensor allowed_keys(const BandedAttention& a, const Part& part) {
  const Tensor position = arange(part.length, a.q.device());
  const Tensor distance = position.unsqueeze(0) - position.unsqueeze(1);  // j - i
  const int64_t d = a.dilation[part.head];
  Tensor allowed = distance.ge(-a.window_left * d).logical_and_(distance.le(a.window_right * d));
  if (d > 1) allowed.logical_and_(distance.remainder(d).eq(0));
  if (a.global_index.defined()) {
    const Tensor index = a.global_index[part.sequence];
    allowed.logical_or_(position.unsqueeze(1).eq(index.unsqueeze(0)).any(1));
  }
  if (a.visible.defined()) {
    const Tensor visible = a.visible.narrow(0, part.begin, part.length).to(kBool);
    allowed.logical_and_(visible.unsqueeze(0)).logical_and_(visible.unsqueeze(1));
  }
  return allowed;
}

// [length, length]: 0 where the probability is dropped, else 1/(1-p); undefined without dropout.
Tensor dropout_factor(const BandedAttention& a, const Part& part) {
  if (a.dropout == 0.0) return {};
  const Tensor factor = empty({part.length, part.length}, TensorOptions(kDouble));
  double* f = factor.data_ptr<double>();
  for (int64_t i = 0; i < part.length; ++i)
    for (int64_t j = 0; j < part.length; ++j)
      *f++ = dropout_keeps(a.seed, part.head, part.begin + i, part.begin + j, a.dropout)
                 ? 1.0 / (1.0 - a.dropout)
                 : 0.0;
  return factor.to(a.q.device(), compute_type(a.q));
}

// The part's queries with the bias of its head, where there is one.
Tensor queries(const BandedAttention& a, const Part& part, const Tensor& bias) {
  const Tensor q = tokens(a, a.q, part);
  return bias.defined() ? q + bias[part.head].to(compute_type(a.q)) : q;
}

// The head's rows of the table of distances from -(length - 1) to length - 1, zeros where it has none.
struct Distances {
  Tensor rows;           // [2 * length - 1, D]
  int64_t first, count;  // those of the table
  int64_t before;        // zeros in front of them
};
Distances distances(const BandedAttention& a, const Part& part) {
  const int64_t first = a.relative_zero - (part.length - 1), end = a.relative_zero + part.length;
  Distances d;
  d.first = std::max<int64_t>(first, 0);
  d.count = std::min(end, a.relative.size(0)) - d.first;
  d.before = d.first - first;
  const Tensor rows =
      a.relative.select(1, part.head).narrow(0, d.first, d.count).to(compute_type(a.q)).contiguous();
  d.rows = pad(rows, {0, 0, d.before, end - d.first - d.count});
  return d;
}

// Where [length, length] of query i and key j has its elements in [length, 2 * length - 1] of query i and
// distance i - j, both flat.
Tensor places(const Part& part, Device device) {
  const Tensor position = arange(part.length, device);
  return ((position * (2 * part.length)).unsqueeze(1) - position.unsqueeze(0) + (part.length - 1))
      .reshape({-1});
}

// scale * q.k, and what the distance adds to it; -inf where the key is not seen.
Tensor scores(const BandedAttention& a, const Part& part) {
  const Tensor score = matmul(queries(a, part, a.content_bias), tokens(a, a.k, part).t());
  if (a.relative.defined()) {
    const Tensor of_distance = matmul(queries(a, part, a.position_bias), distances(a, part).rows.t());
    score.add_(of_distance.reshape({-1})
                   .index_select(0, places(part, a.q.device()))
                   .view({part.length, part.length}));
  }
  return score.mul_(a.scale).masked_fill_(allowed_keys(a, part).logical_not_(), -infinity);
}

// Adds the part's share of the gradients of relative positions, and returns that of the queries.
Tensor add_relative_gradients(const BandedAttention& a, const Part& part, const Tensor& grad_score,
                              const BandedBackward& grad) {
  const Distances d = distances(a, part);
  const Tensor of_distance = zeros({part.length * (2 * part.length - 1)}, grad_score.options())
                                 .index_copy_(0, places(part, a.q.device()), grad_score.reshape({-1}))
                                 .view({part.length, 2 * part.length - 1});
  const Tensor rows = matmul(of_distance.t(), queries(a, part, a.position_bias));
  grad.grad_relative.select(1, part.head).narrow(0, d.first, d.count).add_(rows.narrow(0, d.before, d.count));
  const Tensor grad_q = matmul(of_distance, d.rows);
  grad.grad_position_bias[part.head].add_(grad_q.sum(0));
  return grad_q;
}

// Replaces the scores by exp(scores - lse). An empty row, whose lse is -inf, becomes zeros.
Tensor probabilities(Tensor scores, const Tensor& lse) {
  return scores.sub_(lse.masked_fill(lse.eq(-infinity), infinity).unsqueeze(-1)).exp_();
}

}  // namespace

BandedForward banded_attention_loop(const BandedAttention& a) {
  const Tensor out = empty(a.q.sizes(), a.q.options());
  const Tensor lse = empty(a.q.sizes().slice(0, 2), a.q.options().dtype(compute_type(a.q)));
  for_each_part(a, [&](const Part& part) {
    const Tensor score = scores(a, part);
    const Tensor row_lse = score.logsumexp(-1);
    const Tensor p = probabilities(score, row_lse);
    if (a.dropout > 0.0) p.mul_(dropout_factor(a, part));
    rows(out, part).copy_(matmul(p, tokens(a, a.v, part)));
    rows(lse, part).copy_(row_lse);
  });
  return {out, lse};
}

BandedBackward banded_attention_loop_backward(const BandedAttention& a, const Tensor& grad_out,
                                              const Tensor& out, const Tensor& lse) {
  const auto like = [&](const Tensor& t) { return zeros(t.sizes(), t.options()); };
  BandedBackward grad{like(a.q), like(a.k), like(a.v), {}, {}, {}};
  if (a.relative.defined()) {
    const TensorOptions wide = a.q.options().dtype(compute_type(a.q));
    grad.grad_relative = zeros(a.relative.sizes(), wide);
    grad.grad_content_bias = zeros(a.q.sizes().slice(1), wide);
    grad.grad_position_bias = zeros(a.q.sizes().slice(1), wide);
  }
  for_each_part(a, [&](const Part& part) {
    const Tensor g = tokens(a, grad_out, part);
    const Tensor p = probabilities(scores(a, part), rows(lse, part));

    Tensor dropped = p, grad_p = matmul(g, tokens(a, a.v, part).t());
    if (a.dropout > 0.0) {
      const Tensor factor = dropout_factor(a, part);
      dropped = p * factor;
      grad_p = grad_p * factor;
    }
    // d softmax: p * (dp - sum over the row of p * dp)
    const Tensor grad_score = p * (grad_p - (p * grad_p).sum(-1, /*keepdim=*/true)) * a.scale;
    Tensor grad_q = matmul(grad_score, tokens(a, a.k, part));
    if (a.relative.defined()) {
      grad.grad_content_bias[part.head].add_(grad_q.sum(0));
      grad_q = grad_q + add_relative_gradients(a, part, grad_score, grad);
    }
    rows(grad.grad_q, part).copy_(grad_q);
    rows(grad.grad_k, part).copy_(matmul(grad_score.t(), queries(a, part, a.content_bias)));
    rows(grad.grad_v, part).copy_(matmul(dropped.t(), g));
  });
  for (Tensor* t : {&grad.grad_relative, &grad.grad_content_bias, &grad.grad_position_bias})
    if (t->defined()) *t = t->to(a.q.scalar_type());
  return grad;
}

}  // namespace longformer
