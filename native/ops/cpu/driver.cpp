#include "driver.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#if defined(_WIN32)
#include <malloc.h>
#endif

namespace longformer::cpu {

Element element_of(const Tensor& t) {
  switch (t.scalar_type()) {
    case kFloat:
      return Element::float32;
    case kDouble:
      return Element::float64;
    case kBFloat16:
      return Element::bfloat16;
    case kHalf:
      return Element::float16;
    default:
      LONGFORMER_CHECK(false, "banded_attention: expected float32, float64, bfloat16 or float16, given ",
                       t.scalar_type());
  }
}

const BandKernels* kernels_of(const BandedAttention& a) {
  return kernels_of(a.q.scalar_type(), a.bfloat16_products, a.relative.defined());
}

const BandKernels* kernels_of(ScalarType type, bool bfloat16_products, bool relative) {
  if (type != kBFloat16 || !bfloat16_products || !multiplies_bfloat16()) return band_kernels(active_isa());
  if (!multiplies_tiles()) return band_kernels_bfloat16();
  // Processors with tiles multiply pairs half as fast as they do float32 (decision 125).
  return relative ? band_kernels(active_isa()) : band_kernels_tiles();
}

Tensor empty_lse(const Tensor& query) {
  return empty({query.size(0), query.size(1)},
               query.options().dtype(query.scalar_type() == kDouble ? kDouble : kFloat));
}

Rows rows_of(const Tensor& t) {
  return {t.data_ptr(), t.stride(0), t.stride(1)};
}

void fill_tensors(BandProblem& p, const Tensor& q, const Tensor& k, const Tensor& v) {
  p.element = element_of(q);
  p.q = rows_of(q);
  p.k = rows_of(k);
  p.v = rows_of(v);
  p.heads = q.size(1);
  p.dim = q.size(2);
  p.padded_dim = (p.dim + 15) / 16 * 16;
}

void fill_scale_and_dropout(BandProblem& p, double scale, double dropout, int64_t seed) {
  p.scale = scale;
  p.dropout = dropout > 0;
  p.drop_below = static_cast<uint64_t>(std::ceil(dropout * 0x1p53));
  p.keep_scale = dropout < 1 ? 1 / (1 - dropout) : 0;
  p.seed = static_cast<uint64_t>(seed);
}

void fill_problem(BandProblem& p, BandTables& tables, const BandedAttention& a) {
  const int64_t tokens = a.q.size(0), sequences = static_cast<int64_t>(a.offsets.size()) - 1;
  fill_tensors(p, a.q, a.k, a.v);
  fill_scale_and_dropout(p, a.scale, a.dropout, a.seed);
  p.offsets = a.offsets.data();
  p.visible = a.visible.defined() ? static_cast<const uint8_t*>(a.visible.data_ptr()) : nullptr;
  p.local_key = p.visible;
  // No window is wider than the longest document: keeps sums of positions and windows small.
  p.window_left = std::min(a.window_left, tokens);
  p.window_right = std::min(a.window_right, tokens);
  p.dilation = a.dilation.data();
  p.cached_tiles = tiles_to_cache(p);

  if (!a.global_index.defined() || a.global_index.numel() == 0) return;
  const int64_t* index = static_cast<const int64_t*>(a.global_index.data_ptr());
  const int64_t columns = a.global_index.size(1);
  tables.global_start.assign(1, 0);
  tables.global_token.clear();
  for (int64_t s = 0; s < sequences; ++s) {
    for (int64_t g = 0; g < columns; ++g) {
      const int64_t position = index[s * columns + g];
      if (position < 0) break;
      const int64_t token = a.offsets[s] + position;
      if (p.visible == nullptr || p.visible[token] != 0) tables.global_token.push_back(token);
    }
    tables.global_start.push_back(static_cast<int64_t>(tables.global_token.size()));
  }
  if (tables.global_token.empty()) return;
  if (p.visible == nullptr) {
    tables.local_key.assign(tokens, 1);
  } else {
    tables.local_key.assign(p.visible, p.visible + tokens);
  }
  for (int64_t token : tables.global_token) tables.local_key[token] = 0;
  p.local_key = tables.local_key.data();
  p.global_start = tables.global_start.data();
  p.global_token = tables.global_token.data();
}

namespace {

constexpr size_t kPage = 4096;

// Memory at a multiple of a page; null where there is none.
void* allocate_pages(size_t bytes) {
#if defined(_WIN32)
  return _aligned_malloc(bytes, kPage);
#else
  return std::aligned_alloc(kPage, bytes);
#endif
}

void free_pages(void* memory) {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}

struct Scratch {
  void* memory = nullptr;
  size_t bytes = 0;
  ~Scratch() { free_pages(memory); }
  void release() {
    free_pages(memory);
    memory = nullptr;
    bytes = 0;
  }
};
thread_local Scratch scratch;
constexpr size_t kKeptBytes = size_t(8) << 20;

}  // namespace

void* thread_scratch(size_t bytes) {
  if (bytes > scratch.bytes) {
    scratch.release();
    const size_t rounded = (bytes + kPage - 1) / kPage * kPage;
    scratch.memory = allocate_pages(rounded);
    if (scratch.memory == nullptr) throw std::bad_alloc();
    scratch.bytes = rounded;
  }
  return scratch.memory;
}

void trim_thread_scratch() {
  if (scratch.bytes > kKeptBytes) scratch.release();
}

}  // namespace longformer::cpu
