// longformer::_dense_attention on a CPU: every query of a sequence over all visible keys of its sequence, by
// the kernels of banded_attention. To those, the keys are global ones, and there is no window.

#include "../dense_attention.h"

#include <algorithm>

#include "driver.h"

namespace longformer {

using namespace cpu;

namespace {

void fill_dense(BandProblem& p, BandTables& tables, std::vector<int64_t>& dilation, const DenseAttention& a) {
  fill_tensors(p, a.q, a.k, a.v);
  fill_scale_and_dropout(p, a.scale, a.dropout, a.seed);
  p.offsets = a.query_offsets.data();
  p.only_global = true;
  dilation.assign(p.heads, 1);
  p.dilation = dilation.data();

  const auto* visible = a.visible.defined() ? static_cast<const uint8_t*>(a.visible.data_ptr()) : nullptr;
  tables.global_start.assign(1, 0);
  int64_t most = 0;
  for (size_t s = 0; s + 1 < a.key_offsets.size(); ++s) {
    for (int64_t token = a.key_offsets[s]; token < a.key_offsets[s + 1]; ++token)
      if (visible == nullptr || visible[token] != 0) tables.global_token.push_back(token);
    tables.global_start.push_back(static_cast<int64_t>(tables.global_token.size()));
    most = std::max(most, tables.global_start[s + 1] - tables.global_start[s]);
  }
  p.global_start = tables.global_start.data();
  p.global_token = tables.global_token.data();
  p.cached_tiles = std::clamp<int64_t>((most + kBlock - 1) / kBlock, 2, kMostCachedTiles);
}

// Whether the gradients of some keys are written by nobody: hidden ones, and those of a sequence without
// queries.
bool has_unseen_keys(const DenseAttention& a) {
  if (a.visible.defined()) return true;
  for (size_t s = 0; s + 1 < a.query_offsets.size(); ++s)
    if (a.query_offsets[s] == a.query_offsets[s + 1]) return true;
  return false;
}

std::tuple<Tensor, Tensor> dense_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                           const OptionalTensor& mask, IntList query_offsets,
                                           IntList key_offsets, double scale, double dropout, int64_t seed) {
  const DenseAttention a = check_dense_attention("_dense_attention", query, key, value, mask, query_offsets,
                                                 key_offsets, scale, dropout, seed);
  BandForwardProblem p;
  BandTables tables;
  std::vector<int64_t> dilation;
  fill_dense(p, tables, dilation, a);
  const Tensor out = empty(query.sizes(), query.options()), lse = empty_lse(query);
  run_forward(p, kernels_of(query.scalar_type(), true, false),
              static_cast<int64_t>(a.query_offsets.size()) - 1, out, lse);
  return {out, lse};
}

std::tuple<Tensor, Tensor, Tensor> dense_attention_backward(const Tensor& grad_output, const Tensor& query,
                                                            const Tensor& key, const Tensor& value,
                                                            const Tensor& output, const Tensor& logsumexp,
                                                            const OptionalTensor& mask, IntList query_offsets,
                                                            IntList key_offsets, double scale, double dropout,
                                                            int64_t seed) {
  constexpr const char* op = "_dense_attention_backward";
  const DenseAttention a =
      check_dense_attention(op, query, key, value, mask, query_offsets, key_offsets, scale, dropout, seed);
  check_dense_gradient(op, grad_output, output, logsumexp, a);
  BandBackwardProblem p;
  BandTables tables;
  std::vector<int64_t> dilation;
  fill_dense(p, tables, dilation, a);
  BandedBackward to{empty(query.sizes(), query.options()), empty(key.sizes(), key.options()),
                    empty(key.sizes(), key.options())};
  if (has_unseen_keys(a)) {
    to.grad_k.zero_();
    to.grad_v.zero_();
  }
  run_backward(p, kernels_of(query.scalar_type(), true, false),
               static_cast<int64_t>(a.query_offsets.size()) - 1, grad_output, output, logsumexp, to);
  return {to.grad_q, to.grad_k, to.grad_v};
}

}  // namespace

LONGFORMER_REGISTER(r) {
  r.impl<dense_attention>(torch::Key::cpu, "_dense_attention");
  r.impl<dense_attention_backward>(torch::Key::cpu, "_dense_attention_backward");
}

}  // namespace longformer
