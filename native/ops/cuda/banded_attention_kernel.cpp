#include "banded_attention_kernel.h"

#include <algorithm>
#include <cmath>

#include "configuration.h"
#include "kernels/parameters.h"
#include "upload.h"

namespace longformer::cuda {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 30;  // positions and sums of two are ints in the kernels
constexpr int64_t kMostStride = int64_t{1} << 31;

bool small_strides(const Tensor& t) {
  return t.stride(0) < kMostStride && t.stride(1) < kMostStride && (t.stride(2) == 1 || t.size(2) == 1);
}

bool aligned(const Tensor& t) {
  const auto fits = [&](int64_t elements) { return elements * t.element_size() % 16 == 0; };
  return reinterpret_cast<uintptr_t>(t.data_ptr()) % 16 == 0 && fits(t.stride(0)) && fits(t.size(2)) &&
         (t.size(1) == 1 || fits(t.stride(1)));
}

Rows rows_of(Launcher& launcher, const Tensor& t, const char* name) {
  return {launcher.reads(t, name), static_cast<int>(t.stride(0)), static_cast<int>(t.stride(1))};
}

// A launch in the making: the parameters, and the tensors that they point to.
class Problem {
 public:
  Problem(const BandedAttention& a, Launcher& launcher, std::vector<Tensor> further = {})
      : a_(a), launcher_(launcher) {
    q_ = fitting(a.q);
    k_ = fitting(a.k);
    v_ = fitting(a.v);
    shape_.type = type_of(a.q);
    shape_.dim = static_cast<int>(a.q.size(2));
    shape_.aligned = aligned(q_) && aligned(k_) && aligned(v_);
    for (const Tensor& t : further) shape_.aligned = shape_.aligned && aligned(t);
    shape_.dropout = a.dropout > 0;
    shape_.flags = a.visible.defined() || a.global_index.defined();
    // As many blocks of 128 rows as two for each multiprocessor, or the smaller blocks spread better.
    const int64_t rows = a.q.size(0) * a.q.size(1);
    shape_.few_rows = rows < int64_t{128} * 2 * launcher.multiprocessors();
    p.q = rows_of(launcher, q_, "query");
    p.k = rows_of(launcher, k_, "key");
    p.v = rows_of(launcher, v_, "value");
    p.sequences = static_cast<int>(a.offsets.size()) - 1;
    p.heads = static_cast<int>(a.q.size(1));
    p.dim = shape_.dim;
    p.window_left = static_cast<int>(a.window_left);
    p.window_right = static_cast<int>(a.window_right);
    p.scale = static_cast<float>(a.scale);
    p.seed = static_cast<uint64_t>(a.seed);
    p.drop_below = static_cast<uint64_t>(std::ceil(a.dropout * 0x1p53));
    p.keep_scale = static_cast<float>(1.0 / (1.0 - a.dropout));
    set_sequences();
    set_dilation();
    set_flags();
  }

  static Tensor fitting(const Tensor& t) { return small_strides(t) ? t : t.contiguous(); }

  Configuration configuration(AttentionKernel kernel) const { return choose(kernel, shape_); }

  // The kernel on a grid of `x` blocks for each head.
  void launch(AttentionKernel kernel, const Configuration& c, int64_t x) {
    if (x == 0) return;
    LONGFORMER_CHECK(x < kMostStride && p.heads < 65536, "longformer::banded_attention: the grid of ",
                     name_of(kernel), " would be ", x, " x ", p.heads,
                     " blocks, more than CUDA's 2147483647 x 65535");
    launcher_.launch(text_of(kernel, c),
                     {static_cast<unsigned>(x), static_cast<unsigned>(p.heads),
                      static_cast<unsigned>(c.threads()), shared_bytes(kernel, c)},
                     p);
  }
  // The same with a block for each tile of rows of each residue class.
  void launch_tiles(AttentionKernel kernel) {
    const Configuration c = configuration(kernel);
    p.tiles = static_cast<int>(tiles(c.rows()));
    launch(kernel, c, int64_t{p.tiles} * p.sequences);
  }
  // How many tiles of so many rows a sequence and head has at most.
  int64_t tiles(int64_t rows) const {
    int64_t most = 0;
    for (int64_t length : lengths_)
      for (int64_t d : dilations_)
        most = std::max(most, std::min(d, length) * ((length + d * rows - 1) / (d * rows)));
    return most;
  }

  BandedParameters p = {};

 private:
  void set_sequences() {
    lengths_ = {a_.offsets[1] - a_.offsets[0]};
    bool equal = true;
    for (size_t s = 1; s + 1 < a_.offsets.size(); ++s) {
      const int64_t length = a_.offsets[s + 1] - a_.offsets[s];
      equal = equal && length == lengths_[0];
      lengths_.push_back(length);
    }
    std::sort(lengths_.begin(), lengths_.end());
    lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
    p.length = static_cast<int>(lengths_.back());
    if (equal) return;
    offsets_ = upload(launcher_, a_.offsets, a_.q, "offsets");
    p.offsets = launcher_.reads<int>(offsets_, "offsets");
  }

  void set_dilation() {
    dilations_ = a_.dilation;
    std::sort(dilations_.begin(), dilations_.end());
    dilations_.erase(std::unique(dilations_.begin(), dilations_.end()), dilations_.end());
    p.dilation = static_cast<int>(dilations_[0]);
    if (dilations_.size() == 1) return;
    dilation_ = upload(launcher_, a_.dilation, a_.q, "dilation");
    p.dilations = launcher_.reads<int>(dilation_, "dilation");
  }

  void set_flags() {
    if (!configuration(AttentionKernel::forward).flags) return;
    const auto bytes = a_.q.options().dtype(kByte);
    flags_ = a_.visible.defined() ? a_.visible.to(kByte) : full({a_.q.size(0)}, 1, bytes);
    if (a_.global_index.defined()) {
      // The caller's own mask must not get the globals' flags.
      if (flags_.is_same(a_.visible)) flags_ = flags_.clone();
      const int64_t sequences = a_.global_index.size(0), globals = a_.global_index.size(1);
      global_token_ = empty({sequences, globals}, bytes.dtype(kInt));
      global_count_ = empty({sequences}, bytes.dtype(kInt));
      GlobalsParameters g = {};
      g.index = reinterpret_cast<const long long*>(launcher_.reads<int64_t>(a_.global_index, "global_index"));
      g.sequences = static_cast<int>(sequences);
      g.globals = static_cast<int>(globals);
      g.length = p.length;
      g.offsets = p.offsets;
      g.flags = launcher_.writes<uint8_t>(flags_, "flags");
      g.token = launcher_.writes<int>(global_token_, "global_token");
      g.count = launcher_.writes<int>(global_count_, "global_count");
      launcher_.launch({"list_globals.cu", {}}, {static_cast<unsigned>(sequences), 1, 32, 0}, g);
      p.globals = g.globals;
      p.global_token = g.token;
      p.global_count = g.count;
    }
    p.flags = launcher_.reads<uint8_t>(flags_, "flags");
  }

  const BandedAttention& a_;
  Launcher& launcher_;
  Shape shape_;
  std::vector<int64_t> lengths_, dilations_;  // the different ones
  Tensor q_, k_, v_, offsets_, dilation_, flags_, global_token_, global_count_;
};

constexpr double log2_e = 1.4426950408889634;

Tensor empty_rows(const Tensor& like) {
  return empty(like.sizes(), like.options());
}

// The queries of the two terms of relative positions: with the content bias, in the place of the
// query, and with the position bias.
struct RelativeQueries {
  explicit RelativeQueries(const BandedAttention& a) : problem(a) {
    problem.q = a.content_bias.defined() ? a.q + a.content_bias : a.q;
    position = Problem::fitting(a.position_bias.defined() ? a.q + a.position_bias : a.q);
    table = Problem::fitting(a.relative);
  }
  void pass(BandedParameters& p, Launcher& launcher) const {
    p.q_position = rows_of(launcher, position, "position query");
    p.relative = rows_of(launcher, table, "relative");
    p.relative_rows = static_cast<int>(table.size(0));
    p.relative_zero = static_cast<int>(problem.relative_zero);
  }
  BandedAttention problem;
  Tensor position, table;
};

// The sum over all tokens [N, H, D], which needs more digits than its terms have.
Tensor sum_of_tokens(const Tensor& t) {
  return t.to(kFloat).sum(0).to(t.scalar_type());
}

}  // namespace

int type_of(const Tensor& t) {
  return t.scalar_type() == kFloat ? 0 : t.scalar_type() == kBFloat16 ? 1 : 2;
}

bool serves(const BandedAttention& a) {
  const auto type = a.q.scalar_type();
  const int64_t step = *std::max_element(a.dilation.begin(), a.dilation.end());
  const int largest = a.relative.defined() ? largest_relative_dim(type_of(a.q)) : kLargestDim;
  return (type == kFloat || type == kBFloat16 || type == kHalf) && a.q.size(2) <= largest &&
         a.q.size(0) + 192 * step < kMostTokens &&
         (!a.relative.defined() || a.relative.size(0) < kMostTokens);
}

namespace {

void set_forward(const BandedAttention& a, BandedParameters& p, const BandedForward& result,
                 Launcher& launcher) {
  // The maximum of the scores is looked for before they are scaled, so the queries take the scale's sign.
  // A scale of 0 becomes one that makes every score 0 all the same.
  const double magnitude = std::max(std::abs(a.scale), 1e-30);
  p.scale_log2 = static_cast<float>(magnitude * log2_e);
  if (a.scale < 0) p.flip = a.q.scalar_type() == kFloat ? 0x80000000u : 0x80008000u;
  p.out = launcher.writes(result.out, "out");
  p.lse = launcher.writes<float>(result.lse, "lse");
}

void set_backward(const BandedAttention& a, BandedParameters& p, const Tensor& grad_out, const Tensor& out,
                  const Tensor& lse, const Tensor& delta, Launcher& launcher) {
  p.scale_log2 = static_cast<float>(a.scale * log2_e);
  p.grad_out = rows_of(launcher, grad_out, "grad_out");
  p.saved_out = rows_of(launcher, out, "saved out");
  p.lse = const_cast<float*>(launcher.reads<float>(lse, "saved lse"));
  p.delta = launcher.writes<float>(delta, "delta");
}

// The gradients with relative positions: the query kernel, which writes delta, the key kernel, and the
// table's.
BandedBackward relative_backward(const BandedAttention& a, const Tensor& go, const Tensor& o, const Tensor& l,
                                 Launcher& launcher) {
  const Tensor grad_q = empty_rows(a.q), grad_position = empty_rows(a.q);
  BandedBackward grad{{}, empty_rows(a.k), empty_rows(a.v)};
  grad.grad_relative = zeros(a.relative.sizes(), a.relative.options());
  const RelativeQueries queries(a);
  Problem problem(queries.problem, launcher, {queries.position, queries.table, go, o});
  BandedParameters& p = problem.p;
  queries.pass(p, launcher);
  const Tensor delta = empty(l.sizes(), l.options());
  set_backward(a, p, go, o, l, delta, launcher);
  p.grad_q = launcher.writes(grad_q, "grad_q");
  p.grad_position = launcher.writes(grad_position, "grad_q_position");
  p.grad_k = launcher.writes(grad.grad_k, "grad_k");
  p.grad_v = launcher.writes(grad.grad_v, "grad_v");
  p.grad_relative = launcher.writes(grad.grad_relative, "grad_relative");
  problem.launch_tiles(AttentionKernel::relative_query);
  problem.launch_tiles(AttentionKernel::relative_key);

  // Distances that no sequence is long enough for have no gradient. Chunks of blocks of queries, so that
  // there are some blocks for every multiprocessor.
  const Configuration c = problem.configuration(AttentionKernel::relative_sums);
  const int64_t farthest = p.length - 1, group = 16 * c.row_tiles;
  p.lowest = static_cast<int>(-std::min<int64_t>(p.window_right, farthest));
  p.distances = static_cast<int>(std::min<int64_t>(p.window_left, farthest) - p.lowest + 1);
  p.tiles = static_cast<int>(problem.tiles(16 * c.warps));
  const int64_t groups = (p.distances + group - 1) / group, blocks = int64_t{p.tiles} * p.sequences;
  const int64_t wanted = int64_t{16} * launcher.multiprocessors(), heads = p.heads;
  const int64_t chunks = std::clamp<int64_t>((wanted + groups * heads - 1) / (groups * heads), 1, blocks);
  p.chunk_length = static_cast<int>((blocks + chunks - 1) / chunks);
  p.chunks = static_cast<int>((blocks + p.chunk_length - 1) / p.chunk_length);
  const Tensor partial = empty({p.chunks, p.distances, heads, c.dim}, l.options());
  p.partial = launcher.writes<float>(partial, "partial");
  problem.launch(AttentionKernel::relative_sums, c, groups * p.chunks);
  problem.launch(AttentionKernel::relative_merge, problem.configuration(AttentionKernel::relative_merge),
                 p.distances);
  grad.grad_q = grad_q + grad_position;
  grad.grad_content_bias = sum_of_tokens(grad_q);
  grad.grad_position_bias = sum_of_tokens(grad_position);
  return grad;
}

}  // namespace

BandedForward banded_forward(const BandedAttention& a, Launcher& launcher) {
  BandedForward result{empty_rows(a.q), empty(a.q.sizes().slice(0, 2), a.q.options().dtype(kFloat))};
  if (a.q.size(0) == 0) return result;
  if (a.relative.defined()) {
    const RelativeQueries queries(a);
    Problem problem(queries.problem, launcher, {queries.position, queries.table});
    queries.pass(problem.p, launcher);
    set_forward(a, problem.p, result, launcher);
    problem.launch_tiles(AttentionKernel::relative_forward);
    return result;
  }
  Problem problem(a, launcher);
  set_forward(a, problem.p, result, launcher);
  problem.launch_tiles(AttentionKernel::forward);
  return result;
}

BandedBackward banded_backward(const BandedAttention& a, const Tensor& grad_out, const Tensor& out,
                               const Tensor& lse, Launcher& launcher) {
  if (a.q.size(0) == 0) {
    BandedBackward none{empty_rows(a.q), empty_rows(a.k), empty_rows(a.v)};
    if (a.relative.defined()) {
      none.grad_relative = zeros(a.relative.sizes(), a.relative.options());
      none.grad_content_bias = none.grad_position_bias = zeros(a.q.sizes().slice(1), a.q.options());
    }
    return none;
  }
  const Tensor go = Problem::fitting(grad_out), o = Problem::fitting(out), l = lse.contiguous();
  if (a.relative.defined()) return relative_backward(a, go, o, l, launcher);
  BandedBackward grad{empty_rows(a.q), empty_rows(a.k), empty_rows(a.v)};
  Problem problem(a, launcher, {go, o});
  BandedParameters& p = problem.p;
  const Tensor delta = empty(l.sizes(), l.options());
  set_backward(a, p, go, o, l, delta, launcher);
  p.grad_q = launcher.writes(grad.grad_q, "grad_q");
  p.grad_k = launcher.writes(grad.grad_k, "grad_k");
  p.grad_v = launcher.writes(grad.grad_v, "grad_v");
  problem.launch_tiles(AttentionKernel::backward_query);
  problem.launch_tiles(AttentionKernel::backward_key);
  if (p.globals == 0) return grad;

  // Chunks of queries, at least 256, so that there are some blocks for every multiprocessor.
  const Configuration sums = problem.configuration(AttentionKernel::global_key_sums);
  const int64_t groups = (p.globals + sums.rows() - 1) / sums.rows();
  const int64_t blocks = groups * p.sequences * p.heads, wanted = int64_t{16} * launcher.multiprocessors();
  const int64_t chunks = std::clamp<int64_t>((wanted + blocks - 1) / blocks, 1, (p.length + 255) / 256);
  p.chunk_length = static_cast<int>((p.length + chunks - 1) / chunks);
  p.chunks = (p.length + p.chunk_length - 1) / p.chunk_length;
  const Tensor partial = empty({p.chunks, 2, p.sequences, p.globals, p.heads, sums.dim}, l.options());
  p.partial = launcher.writes<float>(partial, "partial");
  problem.launch(AttentionKernel::global_key_sums, sums, groups * p.sequences * p.chunks);
  problem.launch(AttentionKernel::global_key_merge, problem.configuration(AttentionKernel::global_key_merge),
                 int64_t{p.sequences} * p.globals);
  return grad;
}

}  // namespace longformer::cuda
