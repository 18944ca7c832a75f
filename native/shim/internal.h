// What the shim's files share: the error boundary, tensor references, and the thread count.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "longformer_shim.h"

namespace lf_shim {

// An error of the shim's own: the status to return and a message that is complete as it stands.
struct Error : std::runtime_error {
  lf_shim_status status;
  Error(lf_shim_status status, const std::string& message) : std::runtime_error(message), status(status) {}
};

// Keeps the message for lf_shim_last_error. Never throws; where even the message finds no memory a fixed one
// stands in.
lf_shim_status fail(lf_shim_status status, const char* message) noexcept;

// Runs the body of an exported function and turns whatever it throws into a status and a message.
template <class Body>
lf_shim_status guarded(Body&& body) noexcept {
  try {
    body();
    return LF_SHIM_OK;
  } catch (const Error& e) {
    return fail(e.status, e.what());
  } catch (const c10::OutOfMemoryError& e) {
    return fail(LF_SHIM_DEVICE_MEMORY, e.what_without_backtrace());
  } catch (const c10::Error& e) {
    return fail(LF_SHIM_TORCH_ERROR, e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return fail(LF_SHIM_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(LF_SHIM_TORCH_ERROR, e.what());
  } catch (...) {
    return fail(LF_SHIM_TORCH_ERROR, "unknown C++ exception");
  }
}

template <class T>
T* required(T* pointer, const char* what) {
  if (!pointer) throw Error(LF_SHIM_ARGUMENT, std::string(what) + " must not be null");
  return pointer;
}

// Hands a tensor out: one counted reference that lf_shim_tensor_release gives back. Null for an undefined
// tensor.
lf_shim_tensor hand_out(at::Tensor tensor) noexcept;

// The caller's tensor, with a reference of our own for the length of the call.
inline at::Tensor borrow(lf_shim_tensor tensor, const char* what = "tensor") {
  auto* impl = reinterpret_cast<c10::TensorImpl*>(required(tensor, what));
  return at::Tensor(c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(impl));
}

// Throws LF_SHIM_DEVICE where the device does not exist here, LF_SHIM_ARGUMENT where there is no such kind.
c10::Device checked_device(int64_t type, int64_t index);
int device_count(int64_t type);

// Throws LF_SHIM_ARGUMENT where this libtorch has no such dtype.
c10::ScalarType checked_dtype(int64_t dtype);

// The versions, and a refusal where they differ.
const char* built_version();
const char* loaded_version();
void check_version();

// The last part of a path; the path without links, empty where there is no such file; and the path of a
// library in this process that has the file name asked for, empty if there is none.
std::string file_name(const std::string& path);
std::string real_path(const std::string& path);
std::string loaded_path(const std::string& name);

void set_up_memory();
void load_cuda_libraries();
void skip_stack_traces();

// Applies the wanted thread count to the calling thread: OpenMP keeps its own count for every thread.
void apply_thread_count();
void set_thread_count(int threads);

}  // namespace lf_shim
