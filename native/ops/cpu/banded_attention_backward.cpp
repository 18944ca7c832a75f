// longformer::banded_attention_backward on a CPU. First every segment of queries, then the keys that several
// segments touched, then the global keys; each pass in parallel, each sum in one fixed order.

#include <algorithm>

#include "driver.h"

namespace longformer {

using namespace cpu;

namespace {

// Ranges of `units` that belong together.
struct Group {
  int64_t first, count;
};

struct Plan {
  std::vector<BandUnit> units;
  std::vector<Group> classes;        // of one (sequence, head, residue), with more than one unit
  std::vector<Group> heads;          // of one (sequence, head) with global keys and more than one unit
  int64_t touched = 0, globals = 0;  // the most of any unit
  int64_t relative_tiles = 0;        // the most of any unit, where there are relative positions
};

int64_t globals_of(const BandProblem& p, int64_t sequence) {
  return p.global_start == nullptr ? 0 : p.global_start[sequence + 1] - p.global_start[sequence];
}

// Segments are at least as long as the window and as the list of global keys, so that what they keep for the
// later passes is linear in the length. Their length depends on nothing else: results do not depend on the
// threads.
Plan make_plan(const BandProblem& p, int64_t sequences) {
  Plan plan;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t length = p.offsets[s + 1] - p.offsets[s], globals = globals_of(p, s);
    const int64_t reach = std::max(p.window_left + p.window_right, globals);
    const int64_t segment = std::max(kSegmentBlocks, (reach + kBlock - 1) / kBlock);
    for (int64_t h = 0; h < p.heads; ++h) {
      const int64_t d = p.dilation[h], first_of_head = static_cast<int64_t>(plan.units.size());
      for (int64_t r = 0; r < std::min(d, length); ++r) {
        const int64_t in_class = (length - r + d - 1) / d, blocks = (in_class + kBlock - 1) / kBlock;
        const int64_t first_of_class = static_cast<int64_t>(plan.units.size());
        for (int64_t b = 0; b < blocks; b += segment) {
          const int64_t count = std::min(segment, blocks - b);
          const int64_t begin = std::max<int64_t>(0, b * kBlock - p.window_left);
          const int64_t end =
              p.only_global ? begin : std::min(in_class, (b + count) * kBlock + p.window_right);
          plan.units.push_back({s, h, r, d, in_class, b, count, begin, end, nullptr, nullptr});
          plan.touched = std::max(plan.touched, end - begin);
          if (p.relative_columns != nullptr) {
            // No two tokens of the class are further apart than its length.
            BandUnit& u = plan.units.back();
            const int64_t first = std::max<int64_t>(0, p.window_left - (in_class - 1)),
                          last = p.window_left + std::min(p.window_right, in_class - 1);
            u.relative_begin = first / kBlock;
            u.relative_count = last / kBlock + 1 - u.relative_begin;
            plan.relative_tiles = std::max(plan.relative_tiles, u.relative_count);
          }
        }
        const int64_t count = static_cast<int64_t>(plan.units.size()) - first_of_class;
        if (count > 1) plan.classes.push_back({first_of_class, count});
      }
      const int64_t count = static_cast<int64_t>(plan.units.size()) - first_of_head;
      if (globals > 0 && count > 1) plan.heads.push_back({first_of_head, count});
    }
    plan.globals = std::max(plan.globals, globals);
  }
  return plan;
}

// Room for what the units leave to the merging passes. Only the rows that are shared are ever written, so
// most of the pages of `shared` are never touched.
Tensor allocate_shared(const BandProblem& p, Plan& plan, const TensorOptions& options) {
  int64_t total = 0;
  const auto take = [&](int64_t rows) {
    const int64_t at = total;
    total += 2 * rows * p.padded_dim;
    return at;
  };
  std::vector<int64_t> local(plan.units.size(), -1), global(plan.units.size(), -1);
  for (const Group& g : plan.classes) {
    for (int64_t i = g.first; i < g.first + g.count; ++i)
      local[i] = take(plan.units[i].key_end - plan.units[i].key_begin);
  }
  for (const Group& g : plan.heads) {
    for (int64_t i = g.first; i < g.first + g.count; ++i)
      global[i] = take(globals_of(p, plan.units[i].sequence));
  }
  std::vector<int64_t> relative(plan.units.size(), -1);
  for (size_t i = 0; p.relative_columns != nullptr && i < plan.units.size(); ++i) {
    relative[i] = total;
    total += (2 + plan.units[i].relative_count * kBlock) * p.padded_dim;
  }
  const Tensor memory = empty({total}, options);
  char* base = static_cast<char*>(memory.data_ptr());
  const int64_t size = static_cast<int64_t>(compute_size(p.element));
  for (size_t i = 0; i < plan.units.size(); ++i) {
    if (local[i] >= 0) plan.units[i].shared = base + local[i] * size;
    if (global[i] >= 0) plan.units[i].shared_global = base + global[i] * size;
    if (relative[i] >= 0) plan.units[i].shared_relative = base + relative[i] * size;
  }
  return memory;
}

// Cuts [0, length) of every group into pieces and runs work(group, first, last).
template <class Length, class Work>
void for_each_piece(const std::vector<Group>& groups, int64_t piece, const Length& length, const Work& work) {
  struct Piece {
    const Group* group;
    int64_t first, last;
  };
  std::vector<Piece> pieces;
  for (const Group& g : groups) {
    const int64_t n = length(g);
    for (int64_t first = 0; first < n; first += piece)
      pieces.push_back({&g, first, std::min(first + piece, n)});
  }
  for_each_unit(static_cast<int64_t>(pieces.size()),
                [&](int64_t i) { work(*pieces[i].group, pieces[i].first, pieces[i].last); });
}

// The gradients of relative positions: the sums of all units, by head and by pieces of the window.
void merge_relative(BandBackwardProblem& p, const BandKernels* kernels, const std::vector<BandUnit>& units,
                    const BandedBackward& to) {
  p.grad_relative = to.grad_relative.data_ptr();
  p.grad_content_bias = to.grad_content_bias.data_ptr();
  p.grad_position_bias = to.grad_position_bias.data_ptr();
  const int type = compute_index(p.element);
  const int64_t slots = p.window_left + 1 + p.window_right, pieces = p.relative_tiles;
  const BandMerge all = {units.data(), static_cast<int64_t>(units.size())};
  const size_t bytes = p.padded_dim * compute_size(p.element);
  for_each_unit(p.heads * (pieces + 1), [&](int64_t i) {
    const int64_t head = i / (pieces + 1), first = i % (pieces + 1) * kBlock;
    if (first >= slots)
      kernels->merge_biases[type](p, all, head, thread_scratch(bytes));
    else
      kernels->merge_relative[type](p, all, head, first, std::min(first + kBlock, slots),
                                    thread_scratch(bytes));
  });
}

}  // namespace

void cpu::run_backward(BandBackwardProblem& p, const BandKernels* kernels, int64_t sequences,
                       const Tensor& grad_out, const Tensor& out, const Tensor& lse,
                       const BandedBackward& to) {
  const auto readable = [](const Tensor& t) { return t.stride(-1) == 1 ? t : t.contiguous(); };
  const Tensor grad = readable(grad_out), output = readable(out), log_sum = lse.contiguous();
  p.grad_out = rows_of(grad);
  p.out = rows_of(output);
  p.lse = log_sum.data_ptr();
  p.grad_q = to.grad_q.data_ptr();
  p.grad_k = to.grad_k.data_ptr();
  p.grad_v = to.grad_v.data_ptr();

  Plan plan = make_plan(p, sequences);
  const Tensor shared =
      allocate_shared(p, plan, out.options().dtype(p.element == Element::float64 ? kDouble : kFloat));
  const int type = compute_index(p.element);
  const size_t size = compute_size(p.element);
  const size_t bytes = backward_scratch(p, plan.touched, plan.globals, plan.relative_tiles) * size;
  for_each_unit(static_cast<int64_t>(plan.units.size()),
                [&](int64_t i) { kernels->backward[type](p, plan.units[i], thread_scratch(bytes)); });

  const size_t merge_bytes = 2 * p.padded_dim * size;
  const auto units_of = [&](const Group& g) { return BandMerge{plan.units.data() + g.first, g.count}; };
  for_each_piece(
      plan.classes, 4 * kBlock, [&](const Group& g) { return plan.units[g.first].length; },
      [&](const Group& g, int64_t first, int64_t last) {
        kernels->merge_local[type](p, units_of(g), first, last, thread_scratch(merge_bytes));
      });
  for_each_piece(
      plan.heads, kBlock, [&](const Group& g) { return globals_of(p, plan.units[g.first].sequence); },
      [&](const Group& g, int64_t first, int64_t last) {
        kernels->merge_global[type](p, units_of(g), first, last, thread_scratch(merge_bytes));
      });
  if (p.relative_columns != nullptr) merge_relative(p, kernels, plan.units, to);
}

BandedBackward banded_attention_fused_cpu_backward(const BandedAttention& a, const Tensor& grad_out,
                                                   const Tensor& out, const Tensor& lse) {
  BandBackwardProblem p;
  BandTables tables;
  fill_problem(p, tables, a);
  RelativeTables relative;
  fill_relative(p, relative, a, true);
  const auto options = a.q.options();
  BandedBackward result{empty(a.q.sizes(), options), empty(a.q.sizes(), options),
                        empty(a.q.sizes(), options)};
  if (p.relative_columns != nullptr) {
    result.grad_relative = zeros(a.relative.sizes(), options);
    result.grad_content_bias = zeros(a.q.sizes().slice(1), options);
    result.grad_position_bias = zeros(a.q.sizes().slice(1), options);
  }
  run_backward(p, kernels_of(a), static_cast<int64_t>(a.offsets.size()) - 1, grad_out, out, lse, result);
  return result;
}

}  // namespace longformer
