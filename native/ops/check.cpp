#include "check.h"

namespace longformer {
namespace {

void check_dense(const char* op, const char* name, const Tensor& t) {
  LONGFORMER_CHECK_VALUE(t.is_strided(), "longformer::", op, ": ", name, " must be dense (strided)");
}

void check_defined(const char* op, const char* name, const Tensor& t) {
  LONGFORMER_CHECK_VALUE(t.defined(), "longformer::", op, ": ", name, " must be a tensor, given none");
}

}  // namespace

void check_floating(const char* op, const char* name, const Tensor& t) {
  check_defined(op, name, t);
  LONGFORMER_CHECK_VALUE(is_floating(t.scalar_type()), "longformer::", op, ": ", name,
                         " must be float32, float64, bfloat16 or float16, given ", t.scalar_type());
  check_dense(op, name, t);
}

void check_same_kind(const char* op, const char* name, const Tensor& t, const char* reference_name,
                     const Tensor& reference) {
  check_defined(op, name, t);
  LONGFORMER_CHECK_VALUE(t.scalar_type() == reference.scalar_type(), "longformer::", op, ": ", name,
                         " must have the dtype of ", reference_name, ", ", reference.scalar_type(),
                         ", given ", t.scalar_type());
  LONGFORMER_CHECK_VALUE(t.device() == reference.device(), "longformer::", op, ": ", name,
                         " must be on the device of ", reference_name, ", ", reference.device(), ", given ",
                         t.device());
  check_dense(op, name, t);
}

void check_same_shape(const char* op, const char* name, const Tensor& t, const char* reference_name,
                      const Tensor& reference) {
  check_same_kind(op, name, t, reference_name, reference);
  LONGFORMER_CHECK_VALUE(t.sizes() == reference.sizes(), "longformer::", op, ": ", name,
                         " must have the shape of ", reference_name, ", ", reference.sizes(), ", given ",
                         t.sizes());
}

}  // namespace longformer
