// The library under test and the libtorch that it runs on. Neither is linked to the test programs: both are
// opened when the tests start, as a user's program has them, so that one build serves every libtorch.
#pragma once
#include <string>

#include "../base/api.h"

namespace longformer::test {

#define LONGFORMER_TEST_FUNCTIONS(X) \
  X(abi)                             \
  X(last_error)                      \
  X(initialize)                      \
  X(torch_version)                   \
  X(find)                            \
  X(call)                            \
  X(from_memory)                     \
  X(empty)                           \
  X(torch_error)                     \
  X(set_threads)                     \
  X(get_threads)                     \
  X(apply_threads)                   \
  X(forked)

// The functions of api.h: of the library as it is shipped, or of the objects that this program is linked
// with.
struct Api {
#define LONGFORMER_TEST_MEMBER(name) decltype(&longformer_ops_##name) name;
  LONGFORMER_TEST_FUNCTIONS(LONGFORMER_TEST_MEMBER)
#undef LONGFORMER_TEST_MEMBER
};
const Api& api();

// The file that open_libtorch opens: in the folder LIBTORCH of the environment, or in its lib/, whatever its
// version is; without LIBTORCH in the folder that CMake was given. Throws std::runtime_error naming the
// folders where there is none.
std::string libtorch_file();
void open_libtorch();

// liblongformer_ops.so: in LONGFORMER_NATIVE_DIR of the environment, else where the build put it.
std::string library_file();

// All of it: libtorch, the library, its operators, and the pointers of this program's own Tensor. Called by
// main.cpp before the first test.
void open_everything();

}  // namespace longformer::test
