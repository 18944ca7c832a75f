/* Tensors: tensors WORK_FOLDER. Memory of the caller, DLPack, safetensors, the attention operators against a direct evaluation. */
#include "support.h"

#include <math.h>

/* dlpack.h's structure, written out: what another library would hand over. */
struct DLManagedTensor {
  void* data;
  int32_t device_type, device_id, rank;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
  void* context;
  void (*deleter)(struct DLManagedTensor*);
};

static int released = 0;

static void release(void* context) { released += *(int*)context; }

static void release_managed(struct DLManagedTensor* managed) { released += *(int*)managed->context; }

static void caller_memory(void) {
  float values[6] = {0, 1, 2, 3, 4, 5}, read[6] = {0};
  int64_t shape[2] = {3, 2}, strides[2] = {1, 3}; /* the transpose of [2, 3] */
  const int64_t* given = NULL;
  const void* data = NULL;
  const char* device = NULL;
  int32_t rank = 0, contiguous = 1;
  int64_t elements = 0;
  lf_dtype dtype = LF_BOOL, as = LF_BOOL;
  const int64_t *sizes = NULL, *steps = NULL;
  const void* described = NULL;
  const char* where = NULL;
  int32_t dimensions = 0;
  int one = 1;
  lf_tensor *tensor = NULL, *copy = NULL, *half = NULL, *none = NULL;
  released = 0;
  OK(lf_tensor_from_memory(values, LF_FLOAT32, shape, strides, 2, "cpu", release, &one, &tensor));
  OK(lf_tensor_data(tensor, &data));
  CHECK(data == values);
  OK(lf_tensor_strides(tensor, &given));
  CHECK(given[0] == 1 && given[1] == 3);
  OK(lf_tensor_shape(tensor, &given));
  CHECK(given[0] == 3 && given[1] == 2);
  OK(lf_tensor_rank(tensor, &rank));
  OK(lf_tensor_elements(tensor, &elements));
  OK(lf_tensor_dtype(tensor, &dtype));
  OK(lf_tensor_device(tensor, &device));
  OK(lf_tensor_contiguous(tensor, &contiguous));
  CHECK(rank == 2 && elements == 6 && dtype == LF_FLOAT32 && strcmp(device, "cpu") == 0 && contiguous == 0);
  OK(lf_tensor_describe(tensor, &described, &as, &dimensions, &sizes, &steps, &where));
  CHECK(described == values && as == LF_FLOAT32 && dimensions == 2 && where == device);
  CHECK(sizes[0] == 3 && sizes[1] == 2 && steps[0] == 1 && steps[1] == 3);
  OK(lf_tensor_read(tensor, read, sizeof read));
  CHECK(read[1] == 3 && read[2] == 1 && read[5] == 5);
  OK(lf_tensor_convert(tensor, LF_FLOAT32, NULL, &copy));
  OK(lf_tensor_convert(tensor, LF_BFLOAT16, NULL, &half));
  OK(lf_tensor_contiguous(copy, &contiguous));
  CHECK(contiguous == 1 && released == 0);
  OK(lf_tensor_free(tensor));
  CHECK(released == 1);
  OK(lf_tensor_free(copy));
  OK(lf_tensor_free(half));
  /* A failure leaves the memory with the caller. */
  shape[0] = -1;
  CHECK(lf_tensor_from_memory(values, LF_FLOAT32, shape, NULL, 2, NULL, release, &one, &none) != LF_OK && none == NULL);
  CHECK(released == 1);
}

static void dlpack(void) {
  int32_t values[5] = {9, 1, 2, 3, 4};
  int64_t shape[1] = {4};
  int ten = 10;
  struct DLManagedTensor source = {NULL, 1, 0, 1, 0, 32, 1, NULL, NULL, 4, NULL, release_managed};
  struct DLManagedTensor* given = NULL;
  lf_tensor* tensor = NULL;
  const void* data = NULL;
  source.data = values;
  source.shape = shape;
  source.context = &ten;
  released = 0;
  OK(lf_tensor_from_dlpack(&source, &tensor));
  OK(lf_tensor_data(tensor, &data));
  CHECK(data == values + 1);
  OK(lf_tensor_to_dlpack(tensor, &given));
  CHECK(given != NULL && given->data == values + 1 && given->rank == 1 && given->shape[0] == 4 && given->code == 0 && given->bits == 32);
  OK(lf_tensor_free(tensor));
  CHECK(released == 0); /* the taker still has it */
  if (given != NULL) given->deleter(given);
  CHECK(released == 10);
  source.bits = 24;
  REFUSED(LF_INVALID_INPUT, "24 bits", lf_tensor_from_dlpack(&source, &tensor));
  source.bits = 32;
  source.device_type = 9;
  REFUSED(LF_DEVICE, "DLPack device", lf_tensor_from_dlpack(&source, &tensor));
  CHECK(released == 10);
}

static void safetensors(const char* folder) {
  float values[2] = {1.5f, -2};
  int64_t shape = 2, more = 1;
  const char *names[2] = {"b", "a"}, *name = NULL, *file = path(folder, "written.safetensors");
  lf_tensor* tensors[2] = {NULL, NULL};
  lf_tensor *read = NULL, *none = NULL;
  lf_tensors* opened = NULL;
  const void* data = NULL;
  const char* placed = NULL;
  lf_dtype dtype = LF_BOOL;
  size_t count = 0, i;
  OK(lf_tensor_copy(values, sizeof values, LF_FLOAT32, &shape, 1, &tensors[0]));
  OK(lf_tensor_copy(&more, sizeof more, LF_INT64, NULL, 0, &tensors[1]));
  OK(lf_tensors_write(file, names, (const lf_tensor* const*)tensors, 2));
  OK(lf_tensors_open(file, &opened));
  OK(lf_tensors_count(opened, &count));
  CHECK(count == 2);
  OK(lf_tensors_get(opened, "b", &read));
  OK(lf_tensors_name(opened, 0, &name));
  for (i = 0; i < count; i++) {
    OK(lf_tensors_at(opened, i, &placed, &none));
    OK(lf_tensors_name(opened, i, &name));
    OK(lf_tensor_dtype(none, &dtype));
    CHECK(placed == name && dtype == (strcmp(name, "b") == 0 ? LF_FLOAT32 : LF_INT64));
    OK(lf_tensor_free(none));
  }
  REFUSED(LF_INVALID_ARGUMENT, "expected 0..1, given 2", lf_tensors_at(opened, 2, NULL, &none));
  CHECK(none == NULL);
  REFUSED(LF_NOT_FOUND, "no tensor \"c\"", lf_tensors_get(opened, "c", &none));
  REFUSED(LF_INVALID_ARGUMENT, "expected 0..1, given 2", lf_tensors_name(opened, 2, &name));
  OK(lf_tensors_free(opened));
  OK(lf_tensor_data(read, &data)); /* outlives the file */
  CHECK(((const float*)data)[0] == 1.5f && ((const float*)data)[1] == -2);
  names[1] = "b";
  REFUSED(LF_INVALID_INPUT, "given twice", lf_tensors_write(file, names, (const lf_tensor* const*)tensors, 2));
  OK(lf_tensor_free(read));
  OK(lf_tensor_free(tensors[0]));
  OK(lf_tensor_free(tensors[1]));
}

/* Every output against the definition: one softmax over the window and the global keys, in double. */
static void attention(const char* implementation) {
  enum { T = 23, H = 2, D = 8, LEFT = 3, RIGHT = 2 };
  static float q[T * H * D], k[T * H * D], v[T * H * D];
  int64_t shape[4] = {1, T, H, D}, dilation[H] = {1, 2}, index[1] = {5}, index_shape[2] = {1, 1}, mask_shape[2] = {1, T};
  uint8_t mask[T];
  lf_tensor *query = NULL, *key = NULL, *value = NULL, *output = NULL, *sums = NULL, *global_index = NULL, *visible = NULL;
  lf_options* options = NULL;
  const void *data = NULL, *logs = NULL;
  unsigned seed = 7;
  int i, h, j, d, s;
  for (i = 0; i < T * H * D; i++) {
    q[i] = (float)((seed = seed * 1103515245u + 12345u) >> 16 & 1023) / 512 - 1;
    k[i] = (float)((seed = seed * 1103515245u + 12345u) >> 16 & 1023) / 512 - 1;
    v[i] = (float)((seed = seed * 1103515245u + 12345u) >> 16 & 1023) / 512 - 1;
  }
  for (i = 0; i < T; i++) mask[i] = i < T - 4;
  OK(lf_tensor_from_memory(q, LF_FLOAT32, shape, NULL, 4, NULL, NULL, NULL, &query));
  OK(lf_tensor_from_memory(k, LF_FLOAT32, shape, NULL, 4, NULL, NULL, NULL, &key));
  OK(lf_tensor_from_memory(v, LF_FLOAT32, shape, NULL, 4, NULL, NULL, NULL, &value));
  OK(lf_tensor_copy(index, sizeof index, LF_INT64, index_shape, 2, &global_index));
  OK(lf_tensor_copy(mask, sizeof mask, LF_UINT8, mask_shape, 2, &visible));
  OK(lf_options_create(&options));
  OK(lf_options_set_ints(options, "dilation", dilation, H));
  OK(lf_options_set_tensor(options, "global_index", global_index));
  OK(lf_options_set_tensor(options, "mask", visible));
  OK(lf_options_set_text(options, "implementation", implementation, LF_TERMINATED));
  OK(lf_tensor_free(global_index)); /* the options keep them */
  OK(lf_tensor_free(visible));
  OK(lf_banded_attention(query, key, value, LEFT, RIGHT, options, &output, &sums));
  OK(lf_tensor_data(output, &data));
  OK(lf_tensor_data(sums, &logs));
  for (h = 0; failures == 0 && h < H; h++) {
    for (i = 0; i < T; i++) {
      double sum = 0, result[D] = {0};
      for (j = 0; j < T; j++) {
        int seen = j == index[0];
        double score = 0, weight;
        for (s = -LEFT; s <= RIGHT; s++) seen |= j == i + s * (int)dilation[h];
        if (!seen || !mask[i] || !mask[j]) continue;
        for (d = 0; d < D; d++) score += (double)q[(i * H + h) * D + d] * k[(j * H + h) * D + d];
        weight = exp(score / sqrt((double)D));
        sum += weight;
        for (d = 0; d < D; d++) result[d] += weight * v[(j * H + h) * D + d];
      }
      for (d = 0; d < D; d++) CHECK(fabs((sum > 0 ? result[d] / sum : 0) - ((const float*)data)[(i * H + h) * D + d]) < 1e-5);
      if (sum > 0) CHECK(fabs(log(sum) - ((const float*)logs)[i * H + h]) < 1e-5);
    }
  }
  OK(lf_tensor_free(sums));
  OK(lf_tensor_free(output));
  OK(lf_options_set_text(options, "implementation", "dense", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "expected fused, chunks or loop", lf_banded_attention(query, key, value, LEFT, RIGHT, options, &output, NULL));
  OK(lf_options_free(options));
  OK(lf_tensor_free(query));
  OK(lf_tensor_free(key));
  OK(lf_tensor_free(value));
}

int main(int argc, char** argv) {
  int64_t handles = -1, tensors = -1;
  if (argc != 2) return 2;
  OK(lf_check_abi());
  caller_memory();
  dlpack();
  safetensors(argv[1]);
  attention("loop");
  attention("chunks");
  attention("fused");
  OK(lf_live(&handles, &tensors));
  CHECK(handles == 0 && tensors == 0);
  return finish();
}
