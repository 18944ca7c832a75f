#pragma once
#include "emulated_attention.h"
// Behind the emulated device.
#include "../../ops/cuda/kernels/relative_backward.cuh"
#include "../../ops/cuda/kernels/relative_forward.cuh"

namespace longformer::test {

template <cuda::AttentionKernel kernel, class C>
void call_relative(const void* parameters) {
  using cuda::AttentionKernel;
  const auto& p = *static_cast<const cuda::BandedParameters*>(parameters);
  if constexpr (kernel == AttentionKernel::relative_forward)
    cuda::relative_forward<C>(p);
  else if constexpr (kernel == AttentionKernel::relative_query)
    cuda::relative_backward_query<C>(p);
  else if constexpr (kernel == AttentionKernel::relative_key)
    cuda::relative_backward_key<C>(p);
  else if constexpr (kernel == AttentionKernel::relative_sums)
    cuda::relative_table_sums<C>(p);
  else
    cuda::relative_table_merge<C>(p);
}

template <cuda::AttentionKernel kernel, int type, int dim, Variant variant>
void add_relative_kernel() {
  constexpr bool aligned = variant != Variant::unaligned;
  constexpr cuda::Configuration c = cuda::choose(
      kernel, {type, dim, variant != Variant::bare, variant == Variant::dropout || !aligned, aligned, false});
  using C = cuda::Config<c.type, c.dim, c.warps, c.row_tiles, c.tile, c.global_tile, c.stages, c.flags,
                         c.dropout, c.aligned, c.keep>;
  emulated_kernels()[cuda::text_of(kernel, c).describe()] = &call_relative<kernel, C>;
}

template <int type, int dim, Variant variant>
void add_relative_variant() {
  using cuda::AttentionKernel;
  add_relative_kernel<AttentionKernel::relative_forward, type, dim, variant>();
  add_relative_kernel<AttentionKernel::relative_query, type, dim, variant>();
  add_relative_kernel<AttentionKernel::relative_key, type, dim, variant>();
  add_relative_kernel<AttentionKernel::relative_sums, type, dim, variant>();
  add_relative_kernel<AttentionKernel::relative_merge, type, dim, variant>();
}

// The kernels of a type and a padded dimension.
template <int type, int dim, Variant... variants>
bool add_relative_kernels() {
  (add_relative_variant<type, dim, variants>(), ...);
  return true;
}

}  // namespace longformer::test
