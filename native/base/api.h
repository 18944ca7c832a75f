/* The C functions of liblongformer_ops, which src/Torch (C#) and the Python package call. No C++ exception
 * leaves the library.
 *
 * Every function that can fail returns a longformer_status. After anything but LONGFORMER_OK
 * longformer_ops_last_error() returns a UTF-8 message, owned by the library, valid until the next failing
 * call on this thread.
 *
 * Tensors are handles of libtorch's C interface (AtenTensorHandle, an at::Tensor*). The library borrows those
 * that it is passed. The caller owns those that it gets; aoti_torch_delete_tensor_object frees them. */
#ifndef LONGFORMER_OPS_API_H
#define LONGFORMER_OPS_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define LONGFORMER_OPS_API __declspec(dllexport)
#else
#define LONGFORMER_OPS_API __attribute__((visibility("default")))
#endif

/* Raised at every change that breaks a caller. */
#define LONGFORMER_OPS_ABI 2

typedef enum longformer_status {
  LONGFORMER_OK = 0,
  LONGFORMER_TORCH_ERROR = 1, /* libtorch refused or failed: its message */
  LONGFORMER_ARGUMENT = 2,    /* an argument is wrong */
  LONGFORMER_DEVICE = 3,      /* the device does not exist, or cannot do this */
  LONGFORMER_NOT_FOUND = 4,   /* no such operator, or no usable libtorch */
  LONGFORMER_VERSION = 5,     /* the libtorch of this process is older than 2.10 */
  LONGFORMER_OUT_OF_MEMORY = 6,
  LONGFORMER_DEVICE_MEMORY = 7
} longformer_status;

typedef enum longformer_tag {
  LONGFORMER_NONE = 0,        /* None of an optional argument; an undefined tensor */
  LONGFORMER_TENSOR = 2,      /* data.pointer: AtenTensorHandle */
  LONGFORMER_INT = 3,         /* data.integer */
  LONGFORMER_DOUBLE = 4,      /* data.real */
  LONGFORMER_BOOL = 5,        /* data.integer: 0 or 1 */
  LONGFORMER_STRING = 6,      /* data.pointer: n bytes of UTF-8 */
  LONGFORMER_INT_LIST = 8,    /* data.pointer: n int64_t */
  LONGFORMER_TENSOR_LIST = 11 /* data.pointer: n AtenTensorHandle, null is an undefined tensor */
} longformer_tag;

/* 16 bytes. */
typedef struct longformer_value {
  int32_t tag;
  int32_t n;
  union {
    int64_t integer;
    double real;
    const void* pointer;
  } data;
} longformer_value;

typedef struct longformer_operator_opaque* longformer_operator;

LONGFORMER_OPS_API int32_t longformer_ops_abi(void);
LONGFORMER_OPS_API const char* longformer_ops_last_error(void);

/* Finds the libtorch of this process (which must be loaded already), refuses one older than 2.10, and
 * registers the operators with its dispatcher, once. Called by the library itself when it is loaded, where
 * libtorch is there by then. */
LONGFORMER_OPS_API longformer_status longformer_ops_initialize(void);

/* libtorch's version as loaded, 2.10 as 210; 0 before longformer_ops_initialize. */
LONGFORMER_OPS_API int32_t longformer_ops_torch_version(void);

/* Finds an operator by name and overload, such as "linear" or "linear.out". It lives as long as the process.
 * arguments and results (either may be null) receive how many it has. */
LONGFORMER_OPS_API longformer_status longformer_ops_find(const char* name, longformer_operator* op,
                                                         int32_t* arguments, int32_t* results);

/* Calls the kernel of the first tensor's device directly, without the dispatcher. All arguments are passed in
 * the schema's order, also those with defaults. results has room for all results; the caller owns the tensors
 * in them. For a list of tensors data.pointer is memory of this thread, valid until its next call. */
LONGFORMER_OPS_API longformer_status longformer_ops_call(longformer_operator op,
                                                         const longformer_value* arguments, int32_t n,
                                                         longformer_value* results);

/* Makes a tensor over the caller's memory, without a copy. strides count elements; null is row-major.
 * release(context) runs exactly once: when libtorch frees the storage, on any thread, or before this function
 * returns if it fails. It may be null. */
LONGFORMER_OPS_API longformer_status longformer_ops_from_memory(
    void* data, const int64_t* sizes, const int64_t* strides, int32_t rank, int32_t dtype,
    int32_t device_type, int32_t device_index, void (*release)(void* context), void* context, void** tensor);

/* Makes an uninitialised row-major tensor. Big ones on the CPU come from the cache of blocks. */
LONGFORMER_OPS_API longformer_status longformer_ops_empty(const int64_t* sizes, int32_t rank, int32_t dtype,
                                                          int32_t device_type, int32_t device_index,
                                                          void** tensor);

/* Begins (1) and ends (0) a time of work that repeats itself: the cache then keeps the blocks that work
 * uses, and no more beside those in use than were in use at its peak; where the work is one pass (1), whose
 * layers repeat themselves, at least the usual limit is kept. Such times nest. */
LONGFORMER_OPS_API longformer_status longformer_ops_hold_memory(int32_t begins, int32_t one_pass);
/* Gives the memory that no tensor has back to the system. */
LONGFORMER_OPS_API longformer_status longformer_ops_release_memory(void);
/* Gives the memory that malloc holds unused back to the system. */
LONGFORMER_OPS_API longformer_status longformer_ops_trim_malloc(void);

/* Returns libtorch's message of the call of its C interface that failed last on this thread: UTF-8, memory of
 * this thread, empty where there was none. libtorch before 2.13 prints it to standard error, where this
 * library takes it away. */
LONGFORMER_OPS_API const char* longformer_ops_torch_error(void);

/* How many threads one operator may use, on any thread that calls it. 0: libtorch's own number. */
LONGFORMER_OPS_API longformer_status longformer_ops_set_threads(int32_t threads);
LONGFORMER_OPS_API int32_t longformer_ops_get_threads(void);
/* Sets that number on this thread; cheap where it is set already. longformer_ops_call does so by itself. */
LONGFORMER_OPS_API void longformer_ops_apply_threads(void);

/* Returns 1 in a process that was forked after longformer_ops_initialize. Its threads did not come along, so
 * every call fails with LONGFORMER_DEVICE and a message that names spawn and forkserver, but for this one and
 * those that free something. */
LONGFORMER_OPS_API int32_t longformer_ops_forked(void);

#ifdef __cplusplus
}
#endif

#endif
