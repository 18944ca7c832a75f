// The CUDA driver and NVRTC, loaded by name when first asked for: the library itself is linked with neither,
// and is built without a CUDA header. Only what is used is declared, after the documentation of both.
#pragma once
#include <string>
#include <vector>

namespace longformer::cuda {

struct Driver {  // libcuda.so.1, nvcuda.dll; results are CUresult, 0: success
  int (*init)(unsigned flags);
  int (*driver_version)(int* version);  // 12040: CUDA 12.4
  int (*device_get)(int* device, int ordinal);
  int (*device_attribute)(int* value, int attribute, int device);
  int (*primary_context)(void** context, int device);
  int (*context_current)(void** context);
  int (*context_push)(void* context);
  int (*context_pop)(void** context);
  int (*module_load)(void** module, const void* image);
  int (*module_function)(void** function, void* module, const char* name);
  int (*function_attribute)(void* function, int attribute, int value);
  int (*launch)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** parameters,
                void** extra);
  int (*error_name)(int error, const char** name);
  int (*error_string)(int error, const char** text);

  // Throws std::runtime_error where there is no driver (no NVIDIA GPU in the machine, or a container without
  // it).
  static const Driver& get();
  // Throws std::runtime_error with CUDA's own words.
  void check(int result, const char* what) const;
};

struct Nvrtc {  // results are nvrtcResult, 0: success
  int (*version)(int* major, int* minor);
  int (*create)(void** program, const char* source, const char* name, int headers,
                const char* const* header_sources, const char* const* header_names);
  int (*destroy)(void** program);
  int (*compile)(void* program, int options, const char* const* option);
  int (*log_size)(void* program, size_t* size);
  int (*log)(void* program, char* log);
  int (*cubin_size)(void* program, size_t* size);
  int (*cubin)(void* program, char* cubin);
  int (*ptx_size)(void* program, size_t* size);
  int (*ptx)(void* program, char* ptx);
  int (*architecture_count)(int* count);
  int (*architectures)(int* architectures);  // 80, 90, ...

  std::string path;  // as it was found
  int major = 0, minor = 0;
  std::vector<int> known;  // architectures

  // Throws std::runtime_error that says where it was looked for. LONGFORMER_NVRTC names a file to be taken
  // instead.
  static const Nvrtc& get();
};

// Where NVRTC is looked for, in this order: a copy that is loaded already (PyTorch's), files beside libtorch
// and in the nvidia/*/lib folders of its Python, names for the dynamic linker.
std::vector<std::string> nvrtc_candidates(const std::string& torch_folder);

}  // namespace longformer::cuda
