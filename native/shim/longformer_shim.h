/* longformer_shim.h: libtorch's dispatcher behind a few C functions.
 *
 * No operator is known here by name. An operator of ATen, of this project or of any loaded library is looked
 * up by name and overload, called with tagged values, and its results come back as tagged values:
 *
 *     lf_shim_operator add;
 *     lf_shim_value args[2] = {{LF_SHIM_TENSOR, 0, {.pointer = a}}, {LF_SHIM_TENSOR, 0, {.pointer = b}}};
 *     lf_shim_value sum;
 *     int32_t count;
 *     if (lf_shim_initialize(LF_SHIM_ABI_VERSION, 0) ||
 *         lf_shim_operator_find("aten::add", "Tensor", &add) ||
 *         lf_shim_call(add, args, 2, &sum, 1, &count))      // alpha takes the schema's default
 *       puts(lf_shim_last_error());
 *     else
 *       lf_shim_tensor_release((lf_shim_tensor)sum.data.pointer);
 *
 * Status and messages. Every function that can fail returns an lf_shim_status; on anything but LF_SHIM_OK
 * lf_shim_last_error() gives a UTF-8 message. No C++ exception leaves the library.
 *
 * Threads. Every function may be called from any thread at any time; messages, grad mode and inference mode
 * belong to the calling thread. A tensor may be used by several threads at once as long as none of them
 * changes or releases it.
 *
 * Ownership. An lf_shim_tensor that a function hands out is one reference, owned by the caller, given back
 * exactly once to lf_shim_tensor_release. Tensors handed in are borrowed for the length of the call. Strings
 * and lists that a function hands out belong to the library; each says how long it lives.
 */
#ifndef LONGFORMER_SHIM_H
#define LONGFORMER_SHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LF_SHIM_API __attribute__((visibility("default")))
#else
#define LF_SHIM_API
#endif

/* Raised at every change of this header that breaks a caller. lf_shim_initialize refuses any other. */
#define LF_SHIM_ABI_VERSION 1

typedef enum lf_shim_status {
  LF_SHIM_OK = 0,
  LF_SHIM_TORCH_ERROR = 1,   /* libtorch refused or failed: its message, after the operator's name */
  LF_SHIM_ARGUMENT = 2,      /* wrong number, kind or value of an argument, found before libtorch was asked */
  LF_SHIM_DEVICE = 3,        /* the named device does not exist here */
  LF_SHIM_NOT_FOUND = 4,     /* no such operator, overload or file */
  LF_SHIM_VERSION = 5,       /* the libtorch loaded is not the one that this library was built against */
  LF_SHIM_OUT_OF_MEMORY = 6, /* the machine, not the device, ran out of memory */
  LF_SHIM_DEVICE_MEMORY = 7  /* the device's allocator found too little memory: its message */
} lf_shim_status;

/* A tensor: the address of libtorch's own c10::TensorImpl, holding one reference. The same number is what
 * at::Tensor keeps inside, so a tensor passes between languages without a copy wherever one libtorch is
 * shared. Never null unless said. */
typedef struct lf_shim_tensor_opaque* lf_shim_tensor;

/* An operator that was looked up once. It lives as long as the process. */
typedef struct lf_shim_operator_opaque* lf_shim_operator;

/* What an lf_shim_value holds. dtype, layout and memory format are LF_SHIM_INT, as in libtorch's schemas. */
typedef enum lf_shim_tag {
  LF_SHIM_NONE = 0,         /* None of an optional argument; a result that is absent or an undefined tensor */
  LF_SHIM_DEFAULT = 1,      /* argument only: the schema's default */
  LF_SHIM_TENSOR = 2,       /* data.pointer: lf_shim_tensor. Of a result n holds the MiB that it alone owns */
  LF_SHIM_INT = 3,          /* data.integer */
  LF_SHIM_DOUBLE = 4,       /* data.real */
  LF_SHIM_BOOL = 5,         /* data.integer: 0 or 1 */
  LF_SHIM_STRING = 6,       /* data.pointer: n bytes of UTF-8, not terminated */
  LF_SHIM_DEVICE_VALUE = 7, /* data.integer: c10::DeviceType; n: index, -1 for the current one */
  LF_SHIM_INT_LIST = 8,     /* data.pointer: n int64_t */
  LF_SHIM_DOUBLE_LIST = 9,  /* data.pointer: n double */
  LF_SHIM_BOOL_LIST = 10,   /* data.pointer: n uint8_t, 0 or 1 */
  LF_SHIM_TENSOR_LIST = 11  /* data.pointer: n lf_shim_tensor; null is None in a list of optional tensors */
} lf_shim_tag;

/* 16 bytes, passed by pointer only. */
typedef struct lf_shim_value {
  int32_t tag; /* lf_shim_tag */
  int32_t n;
  union {
    int64_t integer;
    double real;
    const void* pointer;
  } data;
} lf_shim_value;

/* The message of the last call on this thread that failed: UTF-8, terminated, empty if none did. Owned by the
 * library; valid until the next call on this thread. */
LF_SHIM_API const char* lf_shim_last_error(void);

/* Called once before anything else (again is harmless). Refuses another abi_version than LF_SHIM_ABI_VERSION
 * and a libtorch whose major and minor version differ from those built against. Loads libtorch_cuda where it
 * lies beside libtorch_cpu. threads: how many threads an operator may use; 0 for the number of cores this
 * process may run on (libtorch 1.13 would start with one). Sets a cache of big blocks in front of the memory
 * of tensors, see memory.cpp, and turns off the C++ stack traces inside libtorch's exceptions unless the
 * environment has TORCH_SHOW_CPP_STACKTRACES. */
LF_SHIM_API lf_shim_status lf_shim_initialize(int32_t abi_version, int32_t threads);

/* libtorch's version as built against and as loaded, such as "1.13.0". Static strings; works before
 * lf_shim_initialize. */
LF_SHIM_API lf_shim_status lf_shim_version(const char** built, const char** loaded);

/* Loads a library that registers operators, by absolute path. A library already loaded from that path is left
 * alone. One of the same file name loaded from elsewhere is refused, since registering the same operators
 * twice ends the process. */
LF_SHIM_API lf_shim_status lf_shim_load_library(const char* path);

/* Looks up an operator. name: "aten::add"; overload: "Tensor", or "" or null for the unnamed one. Cached: the
 * same pointer each time. LF_SHIM_NOT_FOUND lists the overloads that exist. */
LF_SHIM_API lf_shim_status lf_shim_operator_find(const char* name, const char* overload,
                                                 lf_shim_operator* result);

/* The operator's schema as text, its number of arguments and of results. The string lives as long as the
 * process. Each of the three outputs may be null. */
LF_SHIM_API lf_shim_status lf_shim_operator_schema(lf_shim_operator op, const char** schema,
                                                   int32_t* arguments, int32_t* results);

/* Calls an operator. arguments: n values in the order of the schema; the missing trailing ones take the
 * schema's defaults. Coerced to what the schema asks: int to float, numbers to Scalar, a number or a list to
 * a list, anything to optional. What cannot be is LF_SHIM_ARGUMENT, naming operator, argument, expected and
 * given. results: room for capacity values, at least the operator's number of results; *count receives how
 * many were written. Tensors among the results (also those in a list) are owned by the caller. Strings and
 * lists in results point into memory of this thread, valid until its next lf_shim_call. In-place and out=
 * operators return a new reference to the same tensor. */
LF_SHIM_API lf_shim_status lf_shim_call(lf_shim_operator op, const lf_shim_value* arguments, int32_t n,
                                        lf_shim_value* results, int32_t capacity, int32_t* count);

/* Takes a tensor that came from elsewhere (another language, TorchSharp, longformer::_to_handle) into the
 * count of live tensors. retain nonzero: adds a reference, the giver keeps its own; zero: takes over the
 * giver's reference. */
LF_SHIM_API lf_shim_status lf_shim_tensor_adopt(lf_shim_tensor tensor, int32_t retain);

/* Gives one reference back. Null is allowed. May run the release callback of lf_shim_tensor_from_blob. */
LF_SHIM_API lf_shim_status lf_shim_tensor_release(lf_shim_tensor tensor);

/* How many references handed out by this library were not given back yet. */
LF_SHIM_API lf_shim_status lf_shim_tensor_count(int64_t* count);

enum { LF_SHIM_CONTIGUOUS = 1, LF_SHIM_REQUIRES_GRAD = 2, LF_SHIM_LEAF = 4, LF_SHIM_INFERENCE = 8 };

typedef struct lf_shim_tensor_info {
  void* data;           /* first element; null if there is none or it is not in memory */
  int64_t elements;     /* number of elements */
  int32_t element_size; /* bytes */
  int32_t dtype;        /* c10::ScalarType */
  int32_t device_type;  /* c10::DeviceType */
  int32_t device_index; /* -1 where devices have no number */
  int32_t rank;         /* number of dimensions */
  int32_t flags;        /* LF_SHIM_CONTIGUOUS | LF_SHIM_REQUIRES_GRAD | LF_SHIM_LEAF | LF_SHIM_INFERENCE */
} lf_shim_tensor_info;

/* What a tensor is. The data pointer stays valid as long as the caller's reference, unless the tensor is
 * resized. */
LF_SHIM_API lf_shim_status lf_shim_tensor_describe(lf_shim_tensor tensor, lf_shim_tensor_info* info);

/* Sizes and strides (in elements) of the first min(rank, capacity) dimensions. Either output may be null. */
LF_SHIM_API lf_shim_status lf_shim_tensor_shape(lf_shim_tensor tensor, int64_t* sizes, int64_t* strides,
                                                int32_t capacity);

/* A tensor over memory of the caller, without a copy. strides in elements, or null for row-major. The device
 * tells where the memory lies. release(context) is called exactly once: when libtorch frees the storage (on
 * whatever thread drops the last reference), or before this function returns if it fails. release may be
 * null. */
LF_SHIM_API lf_shim_status lf_shim_tensor_from_blob(void* data, const int64_t* sizes, const int64_t* strides,
                                                    int32_t rank, int32_t dtype, int32_t device_type,
                                                    int32_t device_index, void (*release)(void* context),
                                                    void* context, lf_shim_tensor* result);

/* Whether gradients are to be gathered for this leaf. */
LF_SHIM_API lf_shim_status lf_shim_tensor_set_requires_grad(lf_shim_tensor tensor, int32_t requires_grad);

/* The gradient that backward left on a leaf: *grad owned by the caller, null if there is none. */
LF_SHIM_API lf_shim_status lf_shim_tensor_grad(lf_shim_tensor tensor, lf_shim_tensor* grad);

/* Sets the gradient of a leaf, or clears it with null. */
LF_SHIM_API lf_shim_status lf_shim_tensor_set_grad(lf_shim_tensor tensor, lf_shim_tensor grad);

enum { LF_SHIM_RETAIN_GRAPH = 1, LF_SHIM_CREATE_GRAPH = 2, LF_SHIM_ALLOW_UNUSED = 4 };

/* Reverse-mode differentiation of n outputs. gradients: n tensors shaped like the outputs, each null where
 * the output has one element; or null for all. With n_inputs 0 gradients are added to the leaves (backward);
 * otherwise inputs_gradients receives n_inputs tensors owned by the caller (null for an unused input, with
 * LF_SHIM_ALLOW_UNUSED). */
LF_SHIM_API lf_shim_status lf_shim_autograd(const lf_shim_tensor* outputs, const lf_shim_tensor* gradients,
                                            int32_t n, const lf_shim_tensor* inputs, int32_t n_inputs,
                                            int32_t flags, lf_shim_tensor* inputs_gradients);

/* Modes of the calling thread. */
enum { LF_SHIM_NO_GRAD = 0, LF_SHIM_ENABLE_GRAD = 1, LF_SHIM_INFERENCE_MODE = 2 };

/* Enters a mode; *guard goes to lf_shim_mode_exit, on the same thread, innermost first. */
LF_SHIM_API lf_shim_status lf_shim_mode_enter(int32_t mode, void** guard);
LF_SHIM_API lf_shim_status lf_shim_mode_exit(void* guard);

/* 1 or 0 each: does this thread record gradients; is it in inference mode. */
LF_SHIM_API lf_shim_status lf_shim_mode_query(int32_t* grad, int32_t* inference);

/* Seeds the default generator of every device. */
LF_SHIM_API lf_shim_status lf_shim_manual_seed(int64_t seed);

/* How many threads one operator may use, on whatever thread it is called. */
LF_SHIM_API lf_shim_status lf_shim_set_threads(int32_t threads);
LF_SHIM_API lf_shim_status lf_shim_get_threads(int32_t* threads);

/* How many devices of a c10::DeviceType there are: 1 for the CPU, 0 where this libtorch lacks that kind. */
LF_SHIM_API lf_shim_status lf_shim_device_count(int32_t device_type, int32_t* count);

/* Bytes of a device's memory that no process has taken, and all of them; 0 and 0 where nobody says. */
LF_SHIM_API lf_shim_status lf_shim_device_memory(int32_t device_type, int32_t device_index, int64_t* free,
                                                 int64_t* total);

/* Waits until a device has done everything that any thread asked of it. Nothing to do on the CPU. */
LF_SHIM_API lf_shim_status lf_shim_device_synchronize(int32_t device_type, int32_t device_index);

/* Whether CUDA may round the factors of float32 matrix products to TF32 (10 bits of fraction), for the whole
 * process. Off at the start. */
LF_SHIM_API lf_shim_status lf_shim_set_tf32(int32_t allowed);
LF_SHIM_API lf_shim_status lf_shim_get_tf32(int32_t* allowed);

/* CUDA graphs: the kernels that one piece of work launches, recorded once and launched together ever after.
 * *reason is null where this build can record them, else the reason why not, a static string. */
LF_SHIM_API lf_shim_status lf_shim_graph_support(const char** reason);

typedef struct lf_shim_graph_opaque* lf_shim_graph;

/* A graph to be recorded on a CUDA device; freed by lf_shim_graph_free. */
LF_SHIM_API lf_shim_status lf_shim_graph_create(int32_t device_index, lf_shim_graph* graph);

/* Moves the calling thread to the stream on which graphs are recorded, and back. Both wait for the stream
 * that is left. The work to be recorded is to run between them once before, so that what is done only the
 * first time (compiling kernels, taking workspaces) is not part of the graph. One thread at a time. */
LF_SHIM_API lf_shim_status lf_shim_graph_enter(lf_shim_graph graph);
LF_SHIM_API lf_shim_status lf_shim_graph_leave(lf_shim_graph graph);

/* Between enter and leave: from begin to end the calling thread's kernels are recorded and not run. Tensors
 * that they read or write must live as long as the graph. end fails, and the graph is useless, where
 * something in between cannot be recorded, such as waiting for the device. */
LF_SHIM_API lf_shim_status lf_shim_graph_begin(lf_shim_graph graph);
LF_SHIM_API lf_shim_status lf_shim_graph_end(lf_shim_graph graph);

/* Launches the recorded kernels on the calling thread's stream, with what their tensors hold by then. */
LF_SHIM_API lf_shim_status lf_shim_graph_replay(lf_shim_graph graph);

LF_SHIM_API lf_shim_status lf_shim_graph_free(lf_shim_graph graph);

#ifdef __cplusplus
}
#endif

#endif
