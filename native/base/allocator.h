// The allocator of libtorch's own new and delete, for what it is to free and what it leaves to us: on Windows
// another C runtime's than ours.
#pragma once
#include <cstddef>

namespace longformer::torch {

void* libtorch_allocate(size_t bytes);  // throws std::bad_alloc
void libtorch_free(void* memory);

}  // namespace longformer::torch
