/* The shim used from C, as its header promises: the header compiles as C, the example in it works, and errors
 * are statuses. The rest of the shim is tested through the C# side, which is its user. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "longformer_shim.h"

static int checks = 0;

#define CHECK(condition)                                                                      \
  do {                                                                                        \
    ++checks;                                                                                 \
    if (!(condition)) {                                                                       \
      fprintf(stderr, "%s:%d: %s is false; last error: %s\n", __FILE__, __LINE__, #condition, \
              lf_shim_last_error());                                                          \
      exit(1);                                                                                \
    }                                                                                         \
  } while (0)

static int released = 0;
static void release(void* context) {
  released += *(int*)context;
}

static lf_shim_value tensor(lf_shim_tensor t) {
  lf_shim_value value = {LF_SHIM_TENSOR, 0, {0}};
  value.data.pointer = t;
  return value;
}

static lf_shim_value integer(int64_t i) {
  lf_shim_value value = {LF_SHIM_INT, 0, {0}};
  value.data.integer = i;
  return value;
}

static lf_shim_tensor view(float* data, int64_t rows, int64_t columns, int* context) {
  const int64_t sizes[2] = {rows, columns};
  lf_shim_tensor result = NULL;
  CHECK(lf_shim_tensor_from_blob(data, sizes, NULL, 2, 6, 0, -1, release, context, &result) == LF_SHIM_OK);
  return result;
}

static void versions(void) {
  const char *built, *loaded;
  CHECK(sizeof(lf_shim_value) == 16);
  CHECK(lf_shim_version(&built, &loaded) == LF_SHIM_OK);
  CHECK(strncmp(built, loaded, 4) == 0);
  CHECK(lf_shim_initialize(LF_SHIM_ABI_VERSION + 1, 0) == LF_SHIM_VERSION);
  CHECK(lf_shim_initialize(LF_SHIM_ABI_VERSION, 0) == LF_SHIM_OK);
  CHECK(lf_shim_initialize(LF_SHIM_ABI_VERSION, 0) == LF_SHIM_OK);
  printf("libtorch %s, built against %s\n", loaded, built);
}

static void calls(void) {
  float left[6] = {1, 2, 3, 4, 5, 6}, right[6] = {1, 0, 0, 1, 1, 1};
  int one = 1;
  lf_shim_tensor a = view(left, 2, 3, &one), b = view(right, 3, 2, &one);
  lf_shim_operator mm, add, sort, cat, softmax;
  lf_shim_value arguments[3], results[2];
  lf_shim_tensor_info info;
  lf_shim_tensor pair[2];
  const char* schema;
  int64_t sizes[2], live;
  int32_t count = -1, n_arguments, n_results;

  CHECK(lf_shim_operator_find("aten::mm", "", &mm) == LF_SHIM_OK);
  arguments[0] = tensor(a), arguments[1] = tensor(b);
  CHECK(lf_shim_call(mm, arguments, 2, results, 1, &count) == LF_SHIM_OK && count == 1 &&
        results[0].tag == LF_SHIM_TENSOR);
  lf_shim_tensor product = (lf_shim_tensor)results[0].data.pointer;
  CHECK(lf_shim_tensor_describe(product, &info) == LF_SHIM_OK);
  CHECK(info.elements == 4 && info.rank == 2 && info.dtype == 6 && (info.flags & LF_SHIM_CONTIGUOUS));
  CHECK(((float*)info.data)[0] == 4 && ((float*)info.data)[1] == 5 && ((float*)info.data)[2] == 10 &&
        ((float*)info.data)[3] == 11);
  CHECK(lf_shim_tensor_shape(a, sizes, NULL, 2) == LF_SHIM_OK && sizes[0] == 2 && sizes[1] == 3);

  /* A shape that does not fit, too many arguments, the wrong kind: statuses, and a message that names the
   * argument. */
  arguments[1] = tensor(a);
  CHECK(lf_shim_call(mm, arguments, 2, results, 1, &count) == LF_SHIM_TORCH_ERROR &&
        strstr(lf_shim_last_error(), "2x3"));
  CHECK(lf_shim_call(mm, arguments, 3, results, 1, &count) == LF_SHIM_ARGUMENT &&
        strstr(lf_shim_last_error(), "given 3"));
  arguments[1] = integer(7);
  CHECK(lf_shim_call(mm, arguments, 2, results, 1, &count) == LF_SHIM_ARGUMENT &&
        strstr(lf_shim_last_error(), "'mat2'"));
  CHECK(lf_shim_call(mm, arguments, 2, results, 0, &count) == LF_SHIM_ARGUMENT);
  CHECK(lf_shim_call(NULL, arguments, 2, results, 1, &count) == LF_SHIM_ARGUMENT);
  CHECK(lf_shim_operator_find("aten::no", "", &add) == LF_SHIM_NOT_FOUND &&
        strstr(lf_shim_last_error(), "aten::no"));

  /* The default of alpha; two results; a list in; a float that was given as an integer; a symbolic size (2.x)
   * as an integer. */
  CHECK(lf_shim_operator_find("aten::add", "Tensor", &add) == LF_SHIM_OK);
  CHECK(lf_shim_operator_schema(add, &schema, &n_arguments, &n_results) == LF_SHIM_OK && n_arguments == 3 &&
        n_results == 1);
  arguments[1] = tensor(a), arguments[2].tag = LF_SHIM_DEFAULT;
  CHECK(lf_shim_call(add, arguments, 3, results, 1, &count) == LF_SHIM_OK);
  CHECK(lf_shim_tensor_release((lf_shim_tensor)results[0].data.pointer) == LF_SHIM_OK);
  CHECK(lf_shim_operator_find("aten::sort", "", &sort) == LF_SHIM_OK);
  CHECK(lf_shim_call(sort, arguments, 1, results, 2, &count) == LF_SHIM_OK && count == 2);
  CHECK(!lf_shim_tensor_release((lf_shim_tensor)results[0].data.pointer) &&
        !lf_shim_tensor_release((lf_shim_tensor)results[1].data.pointer));
  CHECK(lf_shim_operator_find("aten::cat", NULL, &cat) == LF_SHIM_OK);
  pair[0] = a, pair[1] = a;
  arguments[0].tag = LF_SHIM_TENSOR_LIST, arguments[0].n = 2, arguments[0].data.pointer = pair;
  CHECK(lf_shim_call(cat, arguments, 1, results, 1, &count) == LF_SHIM_OK);
  CHECK(lf_shim_tensor_shape((lf_shim_tensor)results[0].data.pointer, sizes, NULL, 2) == LF_SHIM_OK &&
        sizes[0] == 4);
  CHECK(lf_shim_tensor_release((lf_shim_tensor)results[0].data.pointer) == LF_SHIM_OK);
  CHECK(lf_shim_operator_find("aten::softmax", "int", &softmax) == LF_SHIM_OK);
  arguments[0] = tensor(a), arguments[1] = integer(-1), arguments[2] = integer(7);
  CHECK(lf_shim_call(softmax, arguments, 3, results, 1, &count) == LF_SHIM_OK);
  CHECK(lf_shim_tensor_describe((lf_shim_tensor)results[0].data.pointer, &info) == LF_SHIM_OK &&
        info.dtype == 7);
  CHECK(fabs(((double*)info.data)[0] - 0.09003057317038046) < 1e-12);
  CHECK(lf_shim_tensor_release((lf_shim_tensor)results[0].data.pointer) == LF_SHIM_OK);

  CHECK(lf_shim_tensor_count(&live) == LF_SHIM_OK && live == 3);
  CHECK(!lf_shim_tensor_release(a) && !lf_shim_tensor_release(b) && !lf_shim_tensor_release(product) &&
        !lf_shim_tensor_release(NULL));
  CHECK(lf_shim_tensor_count(&live) == LF_SHIM_OK && live == 0);
  CHECK(released == 2);
}

static void gradients(void) {
  float data[2] = {3, 4}, *values;
  int one = 1;
  lf_shim_tensor x = view(data, 1, 2, &one), grad;
  lf_shim_operator norm;
  lf_shim_value argument = tensor(x), result;
  lf_shim_tensor_info info;
  void* guard;
  int32_t count, recording, inference;
  CHECK(lf_shim_mode_enter(LF_SHIM_NO_GRAD, &guard) == LF_SHIM_OK);
  CHECK(!lf_shim_mode_query(&recording, &inference) && !recording && !inference);
  CHECK(lf_shim_mode_exit(guard) == LF_SHIM_OK && !lf_shim_mode_query(&recording, &inference) && recording);
  CHECK(lf_shim_mode_enter(9, &guard) == LF_SHIM_ARGUMENT);
  CHECK(lf_shim_tensor_set_requires_grad(x, 1) == LF_SHIM_OK);
  CHECK(lf_shim_operator_find("aten::linalg_vector_norm", "", &norm) == LF_SHIM_OK);
  CHECK(lf_shim_call(norm, &argument, 1, &result, 1, &count) == LF_SHIM_OK);
  lf_shim_tensor y = (lf_shim_tensor)result.data.pointer;
  CHECK(lf_shim_tensor_grad(x, &grad) == LF_SHIM_OK && grad == NULL);
  CHECK(lf_shim_autograd(&y, NULL, 1, NULL, 0, 0, NULL) == LF_SHIM_OK);
  CHECK(lf_shim_tensor_grad(x, &grad) == LF_SHIM_OK && lf_shim_tensor_describe(grad, &info) == LF_SHIM_OK);
  values = (float*)info.data;
  CHECK(fabsf(values[0] - 0.6f) < 1e-6f && fabsf(values[1] - 0.8f) < 1e-6f);
  CHECK(!lf_shim_tensor_set_grad(x, NULL) && !lf_shim_tensor_release(grad) && !lf_shim_tensor_release(y) &&
        !lf_shim_tensor_release(x));
}

static void limits(void) {
  const int64_t sizes[1] = {INT64_C(1) << 60};
  lf_shim_operator empty;
  lf_shim_value argument = {LF_SHIM_INT_LIST, 1, {0}}, result;
  int one = 1;
  int32_t count, devices;
  lf_shim_tensor none;
  argument.data.pointer = sizes;
  CHECK(lf_shim_operator_find("aten::empty", "memory_format", &empty) == LF_SHIM_OK);
  CHECK(lf_shim_call(empty, &argument, 1, &result, 1, &count) == LF_SHIM_TORCH_ERROR);
  released = 0;
  CHECK(lf_shim_tensor_from_blob(&one, sizes, NULL, 1, 99, 0, -1, release, &one, &none) == LF_SHIM_ARGUMENT &&
        released == 1);
  CHECK(lf_shim_device_count(0, &devices) == LF_SHIM_OK && devices == 1);
  CHECK(lf_shim_load_library("relative.so") == LF_SHIM_ARGUMENT);
  CHECK(lf_shim_load_library("/nowhere/library.so") == LF_SHIM_NOT_FOUND);
  CHECK(lf_shim_set_threads(0) == LF_SHIM_ARGUMENT);
  CHECK(lf_shim_manual_seed(-1) == LF_SHIM_OK);
}

int main(void) {
  int64_t live;
  versions();
  calls();
  gradients();
  limits();
  CHECK(lf_shim_tensor_count(&live) == LF_SHIM_OK && live == 0);
  printf("%d checks passed\n", checks);
  return 0;
}
