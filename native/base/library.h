// How operators are registered and called. A kernel is a plain function of the types below; a template reads
// its arguments either from the dispatcher's stack (Python's torch.ops, register_autograd) or from the direct
// call of api.h (C#), and writes its results.
//
// Arguments:  const Tensor&, const OptionalTensor&, const TensorList&, int64_t, double, bool,
//             std::string_view, IntList, OptionalIntList, std::optional<double>
// Results:    Tensor, std::tuple<Tensor, ...>, TensorList, int64_t, double, void (undefined tensor: None)
#pragma once
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "api.h"
#include "tensor.h"

namespace longformer::torch {

// A kernel in both forms.
struct Kernel {
  BoxedKernel boxed;
  void (*direct)(const longformer_value* arguments, longformer_value* results);
  int arguments, results;
};

template <auto function>
Kernel kernel();

enum class Key { cpu, cuda, meta };

// Collects schemas and kernels while the library is loaded; torch::register_all() hands them to libtorch.
class Registry {
 public:
  // "name(Tensor x, int n=0) -> Tensor", or "name.overload(...)".
  void def(std::string schema);
  void impl(Key key, const char* name, Kernel kernel);
  template <auto function>
  void impl(Key key, const char* name) {
    impl(key, name, kernel<function>());
  }
  // The same function for the CPU and for CUDA.
  template <auto function>
  void impl(const char* name) {
    impl(Key::cpu, name, kernel<function>());
    impl(Key::cuda, name, kernel<function>());
  }
};

// Runs before other constructors of the library, so that the library can register everything when it is
// loaded.
// LONGFORMER_REGISTER(r) { r.def("..."); r.impl<forward>("banded_attention"); } once in a file, in namespace
// longformer.
struct Registration {
  explicit Registration(void (*fill)(Registry&));
};
#define LONGFORMER_REGISTER(r)                                                                              \
  static void register_operators_of_file(::longformer::torch::Registry& r);                                 \
  __attribute__((init_priority(1000))) static const ::longformer::torch::Registration registration_of_file( \
      register_operators_of_file);                                                                          \
  static void register_operators_of_file(::longformer::torch::Registry& r)

// Calls an operator of libtorch by name. Only the typed wrappers of tensor.cpp and aten.cpp use it, since an
// argument of a wrong kind is a crash. All arguments are passed, also those with defaults. Arguments as in
// the list above, and ScalarType, std::nullopt.
template <class Result = Tensor, class... Arguments>
Result call(const char* name, const char* overload, const Arguments&... arguments);

}  // namespace longformer::torch

#include "library_inline.h"
