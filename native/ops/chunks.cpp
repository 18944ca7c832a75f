// chunks: overlapping blocks of keys, multiplied by operators of libtorch, so that it runs on any device. The
// paper's own way, without its padding to a multiple of the window, and with every option.
//
// A head of dilation d sees a sequence as d interleaved ones (positions r, r+d, r+2d ...), each with an
// undilated band. The queries are cut into blocks of `block` rows; block b needs the keys b*block - left ..
// b*block + block - 1 + right, a window of `span` = left + block + right keys. Scores of a few blocks at a
// time are in memory, so the memory is linear in T. Global keys are columns in front of the span, and hidden
// in the span, so that each key counts once:
//
//              globals |  left    block    right
//   query 0    g g g g |  x x x x x
//   query 1    g g g g |    x x x x x
//   query 2    g g g g |      x x x x x
//
// Layout of a group of sequences of equal length: [S, h, d, M, E], h heads of one dilation d, M positions of
// a residue.

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "chunks_relative.h"

namespace longformer {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
// Scores computed at a time: 16 MiB in float32.
constexpr int64_t scores_at_once = int64_t{1} << 22;

int64_t divide_up(int64_t x, int64_t y) {
  return (x + y - 1) / y;
}

// Consecutive sequences of equal length, and the heads of one dilation.
struct Group {
  int64_t begin, sequences, first_sequence, length;
  std::vector<int64_t> heads;
  Tensor head_index;                 // int64 [h] on the device
  int64_t dilation, left, right;     // of the interleaved sequences
  int64_t positions, block, blocks;  // M = blocks * block positions of a residue
  int64_t span;                      // keys of a block
};

// Brings tensors into the layout of a group and back.
struct Arrangement {
  const BandedAttention& a;
  const Group& g;

  // [N, h', E] -> [S, h', d, before + M + after, E]; `fill` where there is no token.
  Tensor arrange(const Tensor& t, int64_t before, int64_t after, double fill) const {
    const int64_t d = g.dilation, tokens = d * g.positions, heads = t.size(1), width = t.size(2);
    Tensor x = t.narrow(0, g.begin, g.sequences * g.length).reshape({g.sequences, g.length, heads, width});
    x = pad(x, {0, 0, 0, 0, d * before, tokens - g.length + d * after}, fill);
    return x.reshape({g.sequences, before + g.positions + after, d, heads, width})
        .permute({0, 3, 2, 1, 4})
        .contiguous();
  }

  // [N, H, E] -> the same of this group's heads, in the type that is computed with.
  Tensor tokens(const Tensor& t, int64_t before = 0, int64_t after = 0, double fill = 0.0) const {
    const bool all = static_cast<int64_t>(g.heads.size()) == t.size(1);
    return arrange((all ? t : t.index_select(1, g.head_index)).to(compute_type(a.q)), before, after, fill);
  }

  // Adds [S, h, d, M, E] (behind `before` positions more) to the rows of this group in [N, H, E].
  void store(const Tensor& to, const Tensor& from, int64_t before = 0) const {
    const int64_t width = from.size(4), heads = from.size(1);
    const Tensor x = from.narrow(3, before, g.positions)
                         .permute({0, 3, 2, 1, 4})
                         .reshape({g.sequences, g.positions * g.dilation, heads, width})
                         .narrow(1, 0, g.length)
                         .reshape({g.sequences * g.length, heads, width});
    const Tensor rows = to.narrow(0, g.begin, g.sequences * g.length);
    if (heads == to.size(1))
      rows.copy_(x);
    else
      rows.index_copy_(1, g.head_index, x.to(to.scalar_type()));
  }
};

// Calls work for every group: heads by dilation, sequences of equal length together as long as the scores of
// one block of all of them stay small.
void for_each_group(const BandedAttention& a, const std::function<void(const Group&)>& work) {
  std::map<int64_t, std::vector<int64_t>> heads_of;
  for (size_t h = 0; h < a.dilation.size(); ++h) heads_of[a.dilation[h]].push_back(static_cast<int64_t>(h));
  const int64_t globals = a.global_index.defined() ? a.global_index.size(1) : 0;
  const int64_t sequences = static_cast<int64_t>(a.offsets.size()) - 1;
  for (const auto& [dilation, heads] : heads_of) {
    const Tensor head_index = from_values(heads, a.q.device());
    for (int64_t s = 0; s < sequences;) {
      Group g;
      g.begin = a.offsets[s];
      g.first_sequence = s;
      g.length = a.offsets[s + 1] - g.begin;
      g.heads = heads;
      g.head_index = head_index;
      // Where the dilation passes the length, a query sees of its window only itself: no need for that many
      // residues.
      g.dilation = dilation < g.length ? dilation : 1;
      const int64_t residue = divide_up(std::max<int64_t>(g.length, 1), g.dilation);
      const int64_t reach = dilation < g.length ? residue - 1 : 0;
      g.left = std::min(a.window_left, reach);
      g.right = std::min(a.window_right, reach);
      g.block = std::min(std::clamp<int64_t>(divide_up(g.left + g.right + 1, 2), 32, 256), residue);
      g.blocks = divide_up(residue, g.block);
      g.positions = g.blocks * g.block;
      g.span = g.left + g.block + g.right;
      const int64_t scores = static_cast<int64_t>(heads.size()) * g.dilation * g.block * (globals + g.span);
      const int64_t most = std::max<int64_t>(scores_at_once / std::max<int64_t>(scores, 1), 1);
      g.sequences = 1;
      while (s + g.sequences < sequences && g.sequences < most &&
             a.offsets[s + g.sequences + 1] - a.offsets[s + g.sequences] == g.length)
        ++g.sequences;
      s += g.sequences;
      if (g.length > 0) work(g);
    }
  }
}

// Everything that a group's blocks share, and the steps that forward, backward and the probabilities are made
// of.
class Blocks {
 public:
  Blocks(const BandedAttention& a, const Group& g) : a_(a), g_(g), layout_{a, g} {
    const Device on_device = a.q.device();
    q_ = layout_.tokens(a.q);
    if (a.relative.defined()) relative_.emplace(a, g.head_index, g.dilation, g.left, g.right);
    k_ = layout_.tokens(a.k, g.left, g.right);

    const Tensor row = arange(g.block, on_device).unsqueeze(1),
                 column = arange(g.span, on_device).unsqueeze(0);
    const Tensor from_left = column - row;  // 0 at the left end of the row's window
    band_ = from_left.ge(0) & from_left.le(g.left + g.right);

    const int64_t count = g.sequences * g.length;
    Tensor local = a.visible.defined() ? a.visible.narrow(0, g.begin, count).to(kBool)
                                       : ones({count}, {kBool, on_device});
    if (a.global_index.defined()) {
      globals_ = a.global_index.size(1);
      const Tensor index = a.global_index.narrow(0, g.first_sequence, g.sequences);
      const Tensor start = (arange(g.sequences, on_device) * g.length).unsqueeze(1);
      global_token_ =
          (index.clamp_min(0) + start).reshape({-1});  // inside the group, [S * G]; row 0 for a -1
      global_seen_ = index.ge(0).reshape({-1});
      if (a.visible.defined()) global_seen_ = global_seen_ & local.index_select(0, global_token_);
      // Scattered into one slot more, where the -1 go.
      const Tensor slot = global_token_.masked_fill(index.reshape({-1}).lt(0), count);
      const Tensor is_global =
          zeros({count + 1}, local.options()).index_fill_(0, slot, true).narrow(0, 0, count);
      local = local & is_global.logical_not();
      kg_ = global_rows(a.k);
      global_seen_ = global_seen_.view({g.sequences, 1, 1, 1, 1, globals_});
    }
    // The group's own tokens, placed where `arrange` looks for them.
    local_seen_ = arrange_group(local.to(kByte), g.left, g.right, 0).to(kBool);
    if (a.dropout > 0.0) {
      const Tensor token = arange(g.begin, g.begin + count, on_device);
      query_token_ = arrange_group(token, 0, 0, 0);
      key_token_ = arrange_group(token, g.left, g.right, 0);
    }
  }

  // Blocks that are computed at once.
  int64_t step() const {
    const int64_t scores = q_.size(0) * q_.size(1) * q_.size(2) * g_.block * (globals_ + g_.span);
    return std::clamp<int64_t>(scores_at_once / std::max<int64_t>(scores, 1), 1, g_.blocks);
  }

  const Arrangement& layout() const { return layout_; }
  int64_t globals() const { return globals_; }
  const Tensor& global_keys() const { return kg_; }

  // The rows of the global tokens: [N, H, D] -> [S, h, 1, 1, G, D].
  Tensor global_rows(const Tensor& t) const {
    return t.narrow(0, g_.begin, g_.sequences * g_.length)
        .index_select(0, global_token_)
        .index_select(1, g_.head_index)
        .to(compute_type(a_.q))
        .view({g_.sequences, globals_, -1, t.size(2)})
        .transpose(1, 2)
        .unsqueeze(2)
        .unsqueeze(2);
  }

  // Adds [S, h, G, D] to the rows of the global tokens in [N, H, D].
  void add_global_rows(const Tensor& to, const Tensor& from) const {
    const Tensor rows = to.narrow(0, g_.begin, g_.sequences * g_.length);
    const Tensor x = from.transpose(1, 2).reshape({g_.sequences * globals_, from.size(1), from.size(3)});
    const Tensor all =
        zeros({x.size(0), to.size(1), to.size(2)}, x.options()).index_copy_(1, g_.head_index, x);
    rows.index_add_rows_(global_token_, all.to(to.scalar_type()));
  }

  // Queries of n blocks from block b on: [S, h, d, M, E] -> [S, h, d, n, block, E].
  Tensor rows(const Tensor& t, int64_t b, int64_t n) const {
    auto shape = t.sizes().vec();
    shape[3] = n;
    shape.insert(shape.begin() + 4, g_.block);
    return t.narrow(3, b * g_.block, n * g_.block).view(shape);
  }

  // Their keys: [S, h, d, left + M + right, E] -> [S, h, d, n, span, E], a view whose blocks overlap.
  Tensor columns(const Tensor& t, int64_t b, int64_t n) const {
    return t.narrow(3, b * g_.block, (n - 1) * g_.block + g_.span)
        .unfold(3, g_.span, g_.block)
        .transpose(4, 5);
  }

  // The scores of n blocks, globals first, -inf where the key is not seen: [S, h, d, n, block, G + span].
  Tensor scores(int64_t b, int64_t n) const {
    const Tensor q = query_rows(b, n) * a_.scale;
    const Tensor hidden = (band_ & columns(local_seen_, b, n).transpose(4, 5)).logical_not_();
    Tensor score = matmul(q, columns(k_, b, n).transpose(4, 5));
    if (relative_) score.add_(relative_->scores(rows(q_, b, n)).mul(a_.scale));
    score.masked_fill_(hidden, -infinity);
    if (globals_ == 0) return score;
    const Tensor global = matmul(q, kg_.transpose(4, 5)).masked_fill_(global_seen_.logical_not(), -infinity);
    return cat({global, score}, -1);
  }

  // 0 or 1/(1-p) for those scores; undefined without dropout.
  Tensor dropout_factor(int64_t b, int64_t n) const {
    if (a_.dropout == 0.0) return {};
    Tensor key = columns(key_token_, b, n).transpose(4, 5);  // [S, 1, d, n, 1, span]
    if (globals_ > 0) {
      auto shape = key.sizes().vec();
      shape.back() = globals_;
      const Tensor global = (global_token_ + g_.begin).view({g_.sequences, 1, 1, 1, 1, globals_});
      key = cat({global.expand(shape), key}, -1);
    }
    const Tensor keeps = dropout_mask(a_.seed, g_.head_index.view({-1, 1, 1, 1, 1}), rows(query_token_, b, n),
                                      key, a_.dropout);
    return keeps.to(compute_type(a_.q)).div_(1.0 - a_.dropout);
  }

  // The queries of n blocks as the keys meet them: with the bias of relative positions, where there is one.
  Tensor query_rows(int64_t b, int64_t n) const {
    const Tensor q = rows(q_, b, n);
    return relative_ ? relative_->for_keys(q) : q;
  }
  const std::optional<RelativeSlots>& relative() const { return relative_; }

  const Tensor& queries() const { return q_; }
  const Tensor& keys() const { return k_; }

 private:
  // A value per token of the group: [S * length] -> [S, 1, d, before + M + after, 1].
  Tensor arrange_group(const Tensor& t, int64_t before, int64_t after, double fill) const {
    Group here = g_;
    here.begin = 0;
    return Arrangement{a_, here}.arrange(t.view({-1, 1, 1}), before, after, fill);
  }

  const BandedAttention& a_;
  const Group& g_;
  Arrangement layout_;
  int64_t globals_ = 0;
  std::optional<RelativeSlots> relative_;
  Tensor q_, k_;                       // [S, h, d, M, D], [S, h, d, left + M + right, D]
  Tensor band_;                        // bool [block, span]
  Tensor local_seen_;                  // bool [S, 1, d, left + M + right, 1]: visible and not global
  Tensor global_token_, global_seen_;  // int64 [S * G], bool [S, 1, 1, 1, 1, G]
  Tensor kg_;                          // [S, h, 1, 1, G, D]
  Tensor query_token_, key_token_;     // int64 positions in N, with dropout
};

// exp(scores - lse) in place; lse +inf makes a row of zeros.
Tensor probabilities_(const Tensor& scores, const Tensor& lse) {
  return scores.sub_(lse).exp_();
}

Tensor finite_or_infinity(const Tensor& lse) {
  return lse.masked_fill(lse.eq(-infinity), infinity);
}

// The row of an invisible query is empty.
void empty_invisible_rows(const BandedAttention& a, const Tensor& t, double value) {
  if (!a.visible.defined()) return;
  auto shape = std::vector<int64_t>(t.dim(), 1);
  shape[0] = -1;
  t.masked_fill_(a.visible.to(kBool).logical_not().view(shape), value);
}

// [N, H, D] with zeros in the rows of the tokens that are not visible: whatever they hold (padding may hold
// NaN), a probability of 0 times it must be 0.
Tensor visible_rows(const BandedAttention& a, const Tensor& t) {
  return a.visible.defined() ? t.masked_fill(a.visible.eq(0).view({-1, 1, 1}), 0.0) : t;
}

BandedAttention visible_tokens(const BandedAttention& a) {
  BandedAttention result = a;
  result.q = visible_rows(a, a.q);
  result.k = visible_rows(a, a.k);
  result.v = visible_rows(a, a.v);
  return result;
}

// probabilities [.., block, G + span] times values: the global columns and the span apart.
Tensor times(const Blocks& blocks, const Tensor& p, const Tensor& globals, const Tensor& span) {
  const int64_t G = blocks.globals();
  Tensor product = matmul(p.narrow(-1, G, p.size(-1) - G), span);
  if (G > 0) product += matmul(p.narrow(-1, 0, G), globals);
  return product;
}

}  // namespace

BandedForward banded_attention_chunks(const BandedAttention& given) {
  const BandedAttention a = visible_tokens(given);
  const Tensor out = empty(a.q.sizes(), a.q.options());
  const Tensor lse = empty(a.q.sizes().slice(0, 2), a.q.options().dtype(compute_type(a.q)));
  for_each_group(a, [&](const Group& g) {
    const Blocks blocks(a, g);
    const Tensor v = blocks.layout().tokens(a.v, g.left, g.right);
    const Tensor vg = blocks.globals() > 0 ? blocks.global_rows(a.v) : Tensor();
    const Tensor group_out = empty_like(blocks.queries());
    const Tensor group_lse = empty_like(blocks.queries().narrow(-1, 0, 1));
    for (int64_t b = 0, n; b < g.blocks; b += n) {
      n = std::min(blocks.step(), g.blocks - b);
      const Tensor score = blocks.scores(b, n);
      const Tensor row_lse = score.logsumexp(-1, /*keepdim=*/true);
      Tensor p = probabilities_(score, finite_or_infinity(row_lse));
      if (a.dropout > 0.0) p.mul_(blocks.dropout_factor(b, n));
      blocks.rows(group_out, b, n).copy_(times(blocks, p, vg, blocks.columns(v, b, n)));
      blocks.rows(group_lse, b, n).copy_(row_lse);
    }
    blocks.layout().store(out, group_out);
    blocks.layout().store(lse.unsqueeze(-1), group_lse);
  });
  empty_invisible_rows(a, out, 0.0);
  empty_invisible_rows(a, lse, -infinity);
  return {out, lse};
}

BandedBackward banded_attention_chunks_backward(const BandedAttention& given, const Tensor& grad_out,
                                                const Tensor& out, const Tensor& lse) {
  const BandedAttention a = visible_tokens(given);
  const Tensor visible_grad = visible_rows(a, grad_out);
  const auto like = [&](const Tensor& t) { return empty(t.sizes(), t.options()); };
  BandedBackward grad{like(a.q), like(a.k), like(a.v), {}, {}, {}};
  if (a.relative.defined()) {
    const TensorOptions wide = a.q.options().dtype(compute_type(a.q));
    grad.grad_relative = zeros(a.relative.sizes(), wide);
    grad.grad_content_bias = zeros(a.q.sizes().slice(1), wide);
    grad.grad_position_bias = zeros(a.q.sizes().slice(1), wide);
  }
  const Tensor row_lse = finite_or_infinity(lse).unsqueeze(-1);
  for_each_group(a, [&](const Group& g) {
    const Blocks blocks(a, g);
    const int64_t G = blocks.globals();
    const Tensor v = blocks.layout().tokens(a.v, g.left, g.right);
    const Tensor vg = G > 0 ? blocks.global_rows(a.v) : Tensor();
    const Tensor go = blocks.layout().tokens(visible_grad);
    const Tensor group_lse = blocks.layout().tokens(row_lse, 0, 0, infinity);
    const Tensor gq = empty_like(blocks.queries());
    const Tensor gk = zeros_like(blocks.keys()), gv = zeros_like(v);
    Tensor gkg, gvg;  // [S, h, G, D]
    if (G > 0) {
      gkg = zeros_like(blocks.global_keys().squeeze(3).squeeze(2));
      gvg = zeros_like(gkg);
    }
    for (int64_t b = 0, n; b < g.blocks; b += n) {
      n = std::min(blocks.step(), g.blocks - b);
      const Tensor p = probabilities_(blocks.scores(b, n), blocks.rows(group_lse, b, n));
      const Tensor g_rows = blocks.rows(go, b, n), v_columns = blocks.columns(v, b, n);
      Tensor grad_p = matmul(g_rows, v_columns.transpose(4, 5));
      if (G > 0) grad_p = cat({matmul(g_rows, vg.transpose(4, 5)), grad_p}, -1);
      Tensor dropped = p;
      if (a.dropout > 0.0) {
        const Tensor factor = blocks.dropout_factor(b, n);
        dropped = p * factor;
        grad_p.mul_(factor);
      }
      // d softmax: p * (dp - sum over the row of p * dp). The sum is made of p, not of output . grad_output,
      // which in 16 bits would bring the rounding of the output in.
      const Tensor weighted = grad_p.mul_(p);
      const Tensor grad_score = weighted.sub_(p * weighted.sum(-1, /*keepdim=*/true)).mul_(a.scale);
      Tensor grad_q = times(blocks, grad_score, blocks.global_keys(), blocks.columns(blocks.keys(), b, n));
      if (blocks.relative()) {
        blocks.relative()->add_bias_gradient(grad.grad_content_bias, grad_q);
        grad_q += blocks.relative()->add_gradients(grad_score, blocks.rows(blocks.queries(), b, n), grad);
      }
      blocks.rows(gq, b, n).copy_(grad_q);

      // Neighbouring blocks share keys, so their parts are added one block after the other.
      const Tensor q_rows = blocks.query_rows(b, n);
      const auto add = [&](const Tensor& weights, const Tensor& from, const Tensor& local,
                           const Tensor& global) {
        const Tensor part = matmul(weights.narrow(-1, G, g.span).transpose(4, 5), from);
        for (int64_t i = 0; i < n; ++i) local.narrow(3, (b + i) * g.block, g.span).add_(part.select(3, i));
        if (G > 0) global.add_(matmul(weights.narrow(-1, 0, G).transpose(4, 5), from).sum(IntList({2, 3})));
      };
      add(grad_score, q_rows, gk, gkg);
      add(dropped, g_rows, gv, gvg);
    }
    blocks.layout().store(grad.grad_q, gq);
    blocks.layout().store(grad.grad_k, gk, g.left);
    blocks.layout().store(grad.grad_v, gv, g.left);
    if (G > 0) {
      blocks.add_global_rows(grad.grad_k, gkg);
      blocks.add_global_rows(grad.grad_v, gvg);
    }
  });
  for (Tensor* t : {&grad.grad_relative, &grad.grad_content_bias, &grad.grad_position_bias})
    if (t->defined()) *t = t->to(a.q.scalar_type());
  return grad;
}

Tensor banded_probabilities(const BandedAttention& given, int64_t window_left, int64_t window_right) {
  const BandedAttention a = visible_tokens(given);
  const int64_t globals = a.global_index.defined() ? a.global_index.size(1) : 0;
  const int64_t width = globals + window_left + 1 + window_right;
  const Tensor result = zeros({a.q.size(0), a.q.size(1), width}, a.q.options().dtype(compute_type(a.q)));
  for_each_group(a, [&](const Group& g) {
    const Blocks blocks(a, g);
    const int64_t window = g.left + 1 + g.right;
    auto shape = blocks.queries().sizes().vec();
    shape.back() = globals + window;
    const Tensor group = empty(shape, blocks.queries().options());
    for (int64_t b = 0, n; b < g.blocks; b += n) {
      n = std::min(blocks.step(), g.blocks - b);
      const Tensor score = blocks.scores(b, n);
      const Tensor p = probabilities_(score, finite_or_infinity(score.logsumexp(-1, /*keepdim=*/true)));
      // Row t of a block has its window in columns t .. t + left + right of the span: a diagonal band, seen
      // as a rectangle by a row stride that is one longer.
      const Tensor span = p.narrow(-1, globals, g.span).contiguous();
      auto sizes = span.sizes().vec(), strides = span.strides().vec();
      sizes.back() = window;
      strides[strides.size() - 2] += 1;
      const Tensor to = blocks.rows(group, b, n);
      to.narrow(-1, globals, window).copy_(span.as_strided(sizes, strides, 0));
      if (globals > 0) to.narrow(-1, 0, globals).copy_(p.narrow(-1, 0, globals));
    }
    const Tensor to = result.narrow(-1, globals + window_left - g.left, window);
    blocks.layout().store(to, group.narrow(-1, globals, window));
    if (globals > 0) blocks.layout().store(result.narrow(-1, 0, globals), group.narrow(-1, 0, globals));
  });
  empty_invisible_rows(a, result, 0.0);
  return result;
}

}  // namespace longformer
