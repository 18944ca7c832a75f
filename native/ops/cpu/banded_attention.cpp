// longformer::banded_attention on a CPU: units of query blocks handed to the kernels of the active
// instruction set.

#include <algorithm>

#include "driver.h"

namespace longformer {

using namespace cpu;

namespace {

// Query blocks of a unit. The keys of a window are read once more for every unit, so many is better, as long
// as there are units enough for all threads.
constexpr int64_t kMostBlocks = 32, kFewestBlocks = 8, kUnitsPerThread = 4;

// Outputs from this size on are not in a cache anyway when they are next read.
constexpr int64_t kStreamedBytes = int64_t(4) << 20;
constexpr int64_t kCacheLine = 64;

// All heads of some tokens before the next tokens: the rows of neighboring heads are behind each other, so
// that what the processor fetches along with one head's row is what the next head needs.
std::vector<BandUnit> forward_units(const BandProblem& p, int64_t sequences) {
  const int64_t all_blocks = p.offsets[sequences] / kBlock * p.heads;
  const int64_t most =
      std::clamp(all_blocks / (kUnitsPerThread * get_num_threads()), kFewestBlocks, kMostBlocks);
  std::vector<BandUnit> units;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t length = p.offsets[s + 1] - p.offsets[s];
    for (int64_t b = 0; b * kBlock < length; b += most) {
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t d = p.dilation[h];
        for (int64_t r = 0; r < std::min(d, length); ++r) {
          const int64_t in_class = (length - r + d - 1) / d, blocks = (in_class + kBlock - 1) / kBlock;
          if (b >= blocks) break;  // later classes are no longer
          units.push_back({s, h, r, d, in_class, b, std::min(most, blocks - b), 0, 0, nullptr, nullptr});
        }
      }
    }
  }
  return units;
}

}  // namespace

void cpu::run_forward(BandForwardProblem& p, const BandKernels* kernels, int64_t sequences, const Tensor& out,
                      const Tensor& lse) {
  p.out = out.data_ptr();
  p.lse = lse.data_ptr();
  const int type = compute_index(p.element);
  const int64_t row_bytes = p.dim * static_cast<int64_t>(out.element_size());
  p.stream_out = static_cast<int64_t>(out.element_size()) == static_cast<int64_t>(compute_size(p.element)) &&
                 row_bytes % kCacheLine == 0 && reinterpret_cast<uintptr_t>(p.out) % kCacheLine == 0 &&
                 static_cast<int64_t>(out.nbytes()) >= kStreamedBytes;
  const auto kernel = kernels->forward[type];
  const size_t bytes = forward_scratch(p) * compute_size(p.element);
  const std::vector<BandUnit> units = forward_units(p, sequences);
  for_each_unit(static_cast<int64_t>(units.size()),
                [&](int64_t i) { kernel(p, units[i], thread_scratch(bytes)); });
}

BandedForward banded_attention_fused_cpu(const BandedAttention& a) {
  BandForwardProblem p;
  BandTables tables;
  fill_problem(p, tables, a);
  RelativeTables relative;
  fill_relative(p, relative, a, false);
  const Tensor out = empty(a.q.sizes(), a.q.options()), lse = empty_lse(a.q);
  run_forward(p, kernels_of(a), static_cast<int64_t>(a.offsets.size()) - 1, out, lse);
  return {out, lse};
}

}  // namespace longformer
