// A line in the library's file that says which libtorch it was built for, so that a program can refuse it before
// loading it: loading brings that libtorch into the process, and a second one would end it.
#include <torch/version.h>

#define LONGFORMER_TEXT(x) #x
#define LONGFORMER_VERSION(major, minor) LONGFORMER_TEXT(major) "." LONGFORMER_TEXT(minor)

extern "C" __attribute__((visibility("default"), used)) const char longformer_ops_built_for[] =
    "longformer operators for libtorch " LONGFORMER_VERSION(TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR);
