# find_package(longformer CONFIG): the imported target longformer::longformer. Works from any place of the folder: from artifacts/ of a
# build (libraries at its root) and from an installed prefix (libraries in lib/).
get_filename_component(longformer_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(longformer_libdir "${longformer_prefix}/lib")
if(NOT EXISTS "${longformer_libdir}/liblongformer.so.1")
  set(longformer_libdir "${longformer_prefix}")
endif()
if(NOT EXISTS "${longformer_libdir}/liblongformer.so.1")
  set(longformer_FOUND FALSE)
  set(longformer_NOT_FOUND_MESSAGE "liblongformer.so.1 is neither in ${longformer_prefix}/lib nor in ${longformer_prefix}")
  return()
endif()
if(NOT TARGET longformer::longformer)
  add_library(longformer::longformer SHARED IMPORTED)
  set_target_properties(longformer::longformer PROPERTIES
    IMPORTED_LOCATION "${longformer_libdir}/liblongformer.so.1"
    IMPORTED_SONAME "liblongformer.so.1"
    INTERFACE_INCLUDE_DIRECTORIES "${longformer_prefix}/include")
endif()
