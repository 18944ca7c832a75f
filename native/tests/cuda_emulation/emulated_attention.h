#pragma once
#define LONGFORMER_EMULATION
#include "../../ops/cuda/kernels/banded_backward.cuh"
#include "../../ops/cuda/kernels/banded_forward.cuh"
#include "emulated_kernels.h"

namespace longformer::test {

template <cuda::AttentionKernel kernel, class C>
void call_attention(const void* parameters) {
  using cuda::AttentionKernel;
  const auto& p = *static_cast<const cuda::BandedParameters*>(parameters);
  if constexpr (kernel == AttentionKernel::forward)
    cuda::banded_forward<C>(p);
  else if constexpr (kernel == AttentionKernel::backward_query)
    cuda::banded_backward_query<C>(p);
  else if constexpr (kernel == AttentionKernel::backward_key)
    cuda::banded_backward_key<C>(p);
  else if constexpr (kernel == AttentionKernel::global_key_sums)
    cuda::global_key_sums<C>(p);
  else
    cuda::global_key_merge<C>(p);
}

template <cuda::AttentionKernel kernel, int type, int dim, bool flags, bool dropout, bool aligned, bool few>
void add_attention_kernel() {
  constexpr cuda::Configuration c = cuda::choose(kernel, {type, dim, flags, dropout, aligned, few});
  using C = cuda::Config<c.type, c.dim, c.warps, c.row_tiles, c.tile, c.global_tile, c.stages, c.flags,
                         c.dropout, c.aligned, c.keep>;
  emulated_kernels()[cuda::text_of(kernel, c).describe()] = &call_attention<kernel, C>;
}

// The four variants of configuration.h.
enum class Variant { bare, flags, dropout, unaligned };

template <int type, int dim, Variant variant>
void add_attention_variant() {
  using cuda::AttentionKernel;
  constexpr bool flags = variant != Variant::bare, aligned = variant != Variant::unaligned,
                 dropout = variant == Variant::dropout || !aligned;
  add_attention_kernel<AttentionKernel::forward, type, dim, flags, dropout, aligned, false>();
  add_attention_kernel<AttentionKernel::forward, type, dim, flags, dropout, aligned, true>();
  add_attention_kernel<AttentionKernel::backward_query, type, dim, flags, dropout, aligned, false>();
  add_attention_kernel<AttentionKernel::backward_key, type, dim, flags, dropout, aligned, false>();
  add_attention_kernel<AttentionKernel::global_key_sums, type, dim, flags, dropout, aligned, false>();
  add_attention_kernel<AttentionKernel::global_key_merge, type, dim, flags, dropout, aligned, false>();
}

// The kernels of a type and a padded dimension.
template <int type, int dim, Variant... variants>
bool add_attention_kernels() {
  (add_attention_variant<type, dim, variants>(), ...);
  return true;
}

}  // namespace longformer::test
