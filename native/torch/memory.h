// The memory of big tensors on the CPU: a cache of blocks.
#pragma once
#include "../base/tensor.h"

namespace longformer::torch {

// An uninitialised row-major tensor on the CPU in a block of the cache; undefined where it is too small for that, or where the loaded
// libtorch has no way to give memory back to its owner.
Tensor empty_from_cache(IntList sizes, ScalarType type);

// A tensor over memory of somebody else. release(context) is called once, when libtorch frees the storage, or before an exception
// leaves this function; it may be null. Throws NotImplementedError where the loaded libtorch cannot call it.
Tensor from_memory(void* data, IntList sizes, IntList strides, ScalarType type, Device device, void (*release)(void* context),
                   void* context);

}  // namespace longformer::torch
