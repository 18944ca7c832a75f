// The entries of BandKernels that a vector type of floats has; those of float64 stay empty.
#pragma once
#include "band_backward.h"
#include "band_forward.h"

namespace {

template <class V>
const longformer::cpu::BandKernels* float_kernels() {
  static constexpr longformer::cpu::BandKernels kernels = {
      {forward_unit<V>, nullptr},   {backward_unit<V>, nullptr},    {merge_local<V>, nullptr},
      {merge_global<V>, nullptr},   {prepare_relative<V>, nullptr}, {prepare_bias<V>, nullptr},
      {merge_relative<V>, nullptr}, {merge_biases<V>, nullptr}};
  return &kernels;
}

}  // namespace
