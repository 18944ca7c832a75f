# CUDA graphs need a libtorch with CUDA, its library c10_cuda, and the headers of CUDA's runtime: those of an installed toolkit
# (CUDA_HOME), or those that pip installs beside PyTorch. Where anything is missing or does not compile, the library is built
# without graphs, and says so at run time.
find_library(torch_cuda_library torch_cuda PATHS ${torch_libs} NO_DEFAULT_PATH NO_CACHE)
find_library(c10_cuda_library c10_cuda PATHS ${torch_libs} NO_DEFAULT_PATH NO_CACHE)
if(torch_cuda_library AND c10_cuda_library)
  file(GLOB pip_cuda_includes ${LIBTORCH}/../nvidia/cu*/include ${LIBTORCH}/../nvidia/cuda_runtime/include)
  find_path(cuda_includes cuda_runtime_api.h
    PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda ${pip_cuda_includes} PATH_SUFFIXES include "" NO_CACHE)
  if(cuda_includes)
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    try_compile(longformer_cuda_graphs ${CMAKE_CURRENT_BINARY_DIR}/cuda_graphs
      SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/cuda_graph.cpp
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${torch_includes};${cuda_includes};${CMAKE_CURRENT_SOURCE_DIR}"
      COMPILE_DEFINITIONS -DLONGFORMER_CUDA_GRAPHS=1
      CXX_STANDARD ${CMAKE_CXX_STANDARD} CXX_STANDARD_REQUIRED ON
      OUTPUT_VARIABLE cuda_graphs_log)
    unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
    if(longformer_cuda_graphs)
      message(STATUS "CUDA graphs: with the headers in ${cuda_includes}")
      set_source_files_properties(cuda_graph.cpp PROPERTIES
        COMPILE_DEFINITIONS LONGFORMER_CUDA_GRAPHS=1
        INCLUDE_DIRECTORIES ${cuda_includes})
      target_link_libraries(longformer_shim PRIVATE ${torch_cuda_library} ${c10_cuda_library})
      # Should another version's headers call CUDA's runtime after all, it is there at run time: libtorch_cuda needs it.
      target_link_options(longformer_shim PRIVATE -Wl,--warn-unresolved-symbols)
    else()
      string(REGEX MATCH "error: [^\n]*" cuda_graphs_error "${cuda_graphs_log}")
      message(STATUS "CUDA graphs: none, since cuda_graph.cpp does not compile here (${cuda_graphs_error})")
    endif()
  else()
    message(STATUS "CUDA graphs: none, since cuda_runtime_api.h is not found (CUDA_HOME names a toolkit)")
  endif()
else()
  message(STATUS "CUDA graphs: none, since this libtorch has no CUDA")
endif()
