#include "allocator.h"

#include <new>

#if defined(_WIN32)
#include <windows.h>
#endif

namespace longformer::torch {

#if defined(_WIN32)
template <class Function>
Function of_c_runtime(const char* name) {
  return reinterpret_cast<Function>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleA("ucrtbase.dll"), name)));
}
void* libtorch_allocate(size_t bytes) {
  static const auto allocate = of_c_runtime<void* (*)(size_t)>("malloc");
  if (void* memory = allocate(bytes)) return memory;
  throw std::bad_alloc();
}
void libtorch_free(void* memory) {
  static const auto release = of_c_runtime<void (*)(void*)>("free");
  release(memory);
}
#else
void* libtorch_allocate(size_t bytes) {
  return ::operator new(bytes);
}
void libtorch_free(void* memory) {
  ::operator delete(memory);
}
#endif

}  // namespace longformer::torch
