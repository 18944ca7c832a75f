// Declares by hand what this project uses of libtorch's C interface. No header of libtorch is included and no
// library of it is linked: the functions are looked up in the libtorch_cpu that the process has loaded. One
// binary serves every libtorch from 2.10 on. Only the files of this folder name functions of libtorch.
#pragma once
#include <cstdint>
#include <string>

namespace longformer::torch {

using Value = uint64_t;                       // StableIValue: one argument or result of an operator
using TensorHandle = struct TensorOpaque*;    // AtenTensorHandle, an at::Tensor*
using LibraryHandle = struct LibraryOpaque*;  // TorchLibraryHandle
using ListHandle = struct ListOpaque*;        // StableListHandle
using StringHandle = struct StringOpaque*;
using BoxedKernel = void (*)(Value* stack, uint64_t arguments, uint64_t results);
using Error = int32_t;  // 0: done

// The version of libtorch that the calls are written for.
constexpr uint64_t kInterface = (uint64_t{2} << 56) | (uint64_t{10} << 48);

// (result, name, arguments) of the functions that every libtorch from 2.10 on has.
#define LONGFORMER_TORCH_FUNCTIONS(X)                                                                       \
  X(uint64_t, aoti_torch_abi_version, ())                                                                   \
  X(Error, aoti_torch_library_init_def, (const char* ns, const char* file, uint32_t line, LibraryHandle*))  \
  X(Error, aoti_torch_library_init_impl,                                                                    \
    (const char* ns, const char* key, const char* file, uint32_t line, LibraryHandle*))                     \
  X(Error, aoti_torch_library_def, (LibraryHandle, const char* schema))                                     \
  X(Error, torch_library_impl, (LibraryHandle, const char* name, BoxedKernel, uint64_t written_for))        \
  X(Error, torch_call_dispatcher,                                                                           \
    (const char* name, const char* overload, Value* stack, uint64_t written_for))                           \
  X(Error, aoti_torch_new_tensor_handle, (TensorHandle, TensorHandle*))                                     \
  X(Error, aoti_torch_delete_tensor_object, (TensorHandle))                                                 \
  X(Error, aoti_torch_new_uninitialized_tensor, (TensorHandle*))                                            \
  X(Error, aoti_torch_empty_strided,                                                                        \
    (int64_t rank, const int64_t* sizes, const int64_t* strides, int32_t dtype, int32_t device,             \
     int32_t index, TensorHandle*))                                                                         \
  X(Error, aoti_torch_create_tensor_from_blob,                                                              \
    (void* data, int64_t rank, const int64_t* sizes, const int64_t* strides, int64_t offset, int32_t dtype, \
     int32_t device, int32_t index, TensorHandle*))                                                         \
  X(Error, aoti_torch__reinterpret_tensor,                                                                  \
    (TensorHandle, int64_t rank, const int64_t* sizes, const int64_t* strides, int64_t offset,              \
     TensorHandle*))                                                                                        \
  X(Error, aoti_torch_get_data_ptr, (TensorHandle, void**))                                                 \
  X(Error, aoti_torch_get_storage_offset, (TensorHandle, int64_t*))                                         \
  X(Error, aoti_torch_get_dim, (TensorHandle, int64_t*))                                                    \
  X(Error, aoti_torch_get_numel, (TensorHandle, int64_t*))                                                  \
  X(Error, aoti_torch_get_sizes, (TensorHandle, int64_t**))                                                 \
  X(Error, aoti_torch_get_strides, (TensorHandle, int64_t**))                                               \
  X(Error, aoti_torch_get_dtype, (TensorHandle, int32_t*))                                                  \
  X(Error, aoti_torch_get_layout, (TensorHandle, int32_t*))                                                 \
  X(Error, aoti_torch_get_device_type, (TensorHandle, int32_t*))                                            \
  X(Error, aoti_torch_get_device_index, (TensorHandle, int32_t*))                                           \
  X(Error, aoti_torch_is_contiguous, (TensorHandle, bool*))                                                 \
  X(Error, aoti_torch_is_defined, (TensorHandle, bool*))                                                    \
  X(Error, aoti_torch_clone, (TensorHandle, TensorHandle*))                                                 \
  X(Error, aoti_torch_copy_, (TensorHandle self, TensorHandle source, int32_t non_blocking))                \
  X(Error, aoti_torch_zero_, (TensorHandle))                                                                \
  X(Error, aoti_torch_aten_fill__Scalar, (TensorHandle, double))                                            \
  X(Error, aoti_torch_aten_subtract_Tensor, (TensorHandle, TensorHandle, double alpha, TensorHandle*))      \
  X(Error, aoti_torch_aten_pad,                                                                             \
    (TensorHandle, const int64_t* pad, int64_t count, const char* mode, double* value, TensorHandle*))      \
  X(Error, aoti_torch_scalar_to_tensor_float64, (double, TensorHandle*))                                    \
  X(Error, aoti_torch_scalar_to_tensor_int64, (int64_t, TensorHandle*))                                     \
  X(Error, torch_new_list_reserve_size, (size_t, ListHandle*))                                              \
  X(Error, torch_list_push_back, (ListHandle, Value))                                                       \
  X(Error, torch_list_size, (ListHandle, size_t*))                                                          \
  X(Error, torch_list_get_item, (ListHandle, size_t, Value*))                                               \
  X(Error, torch_delete_list, (ListHandle))                                                                 \
  X(Error, torch_new_string_handle, (const char*, size_t, StringHandle*))                                   \
  X(Error, torch_delete_string, (StringHandle))                                                             \
  X(Error, torch_string_length, (StringHandle, size_t*))                                                    \
  X(Error, torch_string_c_str, (StringHandle, const char**))                                                \
  X(int32_t, aoti_torch_layout_strided, ())                                                                 \
  X(bool, aoti_torch_grad_mode_is_enabled, ())                                                              \
  X(void, aoti_torch_grad_mode_set_enabled, (bool))                                                         \
  X(Error, torch_get_num_threads, (uint32_t*))                                                              \
  X(Error, torch_parallel_for,                                                                              \
    (int64_t begin, int64_t end, int64_t grain, void (*)(int64_t, int64_t, void*), void* context))

// Functions of some libtorch only, null elsewhere.
#define LONGFORMER_TORCH_OPTIONAL_FUNCTIONS(X)                              \
  X(const char*, torch_exception_get_what, ())                   /* 2.13 */ \
  X(const char*, torch_exception_get_what_without_backtrace, ()) /* 2.13 */

#define LONGFORMER_TORCH_DECLARE(result, name, arguments) extern result(*name) arguments;
LONGFORMER_TORCH_FUNCTIONS(LONGFORMER_TORCH_DECLARE)
LONGFORMER_TORCH_OPTIONAL_FUNCTIONS(LONGFORMER_TORCH_DECLARE)
#undef LONGFORMER_TORCH_DECLARE

// Fills the pointers from the libtorch that this process has loaded; again after success is free. Throws
// torch::LoadError (error.h) naming what it found: no libtorch, one older than 2.10, one without a function.
void load();
bool is_loaded();
// 2.10 as 210, 2.14 as 214.
int version();
// An address inside the loaded libtorch_cpu, which leads to its file. Null before load().
void* address_in_libtorch();
// Looks up a function that is not in the lists above in the loaded libtorch_cpu or libtorch_cuda; null: none.
void* find_function(const char* name);
void* find_cuda_function(const char* name);

}  // namespace longformer::torch
