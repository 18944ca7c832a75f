// The allocator of libtorch's own new and delete, for memory that one side allocates and the other frees. On
// Windows libtorch uses another C runtime than this library.
#pragma once
#include <cstddef>

namespace longformer::torch {

void* libtorch_allocate(size_t bytes);  // throws std::bad_alloc
void libtorch_free(void* memory);

}  // namespace longformer::torch
