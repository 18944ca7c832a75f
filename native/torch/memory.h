// Tensors over memory that libtorch did not allocate.
#pragma once
#include "../base/tensor.h"

namespace longformer::torch {

// Returns an uninitialised row-major tensor on the CPU in a block of the cache. Undefined where it is too
// small, or where the loaded libtorch cannot give memory back to its owner.
Tensor empty_from_cache(IntList sizes, ScalarType type);

// Returns a tensor over the caller's memory. release(context) runs once: when libtorch frees the storage, or
// before an exception leaves this function. It may be null. Throws NotImplementedError where the loaded
// libtorch cannot call it.
Tensor from_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device,
                   void (*release)(void* context), void* context);

}  // namespace longformer::torch
