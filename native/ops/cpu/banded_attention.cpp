// longformer::banded_attention on a CPU: units of query blocks handed to the kernels of the active
// instruction set.
#include <ATen/ops/empty.h>

#include <algorithm>

#include "driver.h"

namespace longformer {

using namespace cpu;

namespace {

constexpr int64_t kUnitBlocks = 16;  // long enough that a unit's keys are read from the second-level cache

std::vector<BandUnit> forward_units(const BandProblem& p, int64_t sequences) {
  std::vector<BandUnit> units;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t length = p.offsets[s + 1] - p.offsets[s];
    for (int64_t h = 0; h < p.heads; ++h) {
      const int64_t d = p.dilation[h];
      for (int64_t r = 0; r < std::min(d, length); ++r) {
        const int64_t in_class = (length - r + d - 1) / d, blocks = (in_class + kBlock - 1) / kBlock;
        for (int64_t b = 0; b < blocks; b += kUnitBlocks) {
          units.push_back(
              {s, h, r, d, in_class, b, std::min(kUnitBlocks, blocks - b), 0, 0, nullptr, nullptr});
        }
      }
    }
  }
  return units;
}

}  // namespace

BandedForward banded_attention_fused_cpu(const BandedAttention& a) {
  BandForwardProblem p;
  BandTables tables;
  fill_problem(p, tables, a);
  const at::Tensor out = at::empty(a.q.sizes(), a.q.options().memory_format(at::MemoryFormat::Contiguous));
  const at::Tensor lse = at::empty(
      {a.q.size(0), p.heads}, a.q.options().dtype(p.element == Element::float64 ? at::kDouble : at::kFloat));
  p.out = out.data_ptr();
  p.lse = lse.data_ptr();
  const int type = compute_index(p.element);
  const auto kernel = band_kernels(active_isa())->forward[type];
  const size_t bytes = forward_scratch(p) * compute_size(p.element);
  const std::vector<BandUnit> units = forward_units(p, static_cast<int64_t>(a.offsets.size()) - 1);
  for_each_unit(static_cast<int64_t>(units.size()),
                [&](int64_t i) { kernel(p, units[i], thread_scratch(bytes)); });
  return {out, lse};
}

}  // namespace longformer
