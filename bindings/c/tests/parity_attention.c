/* The goldens of the attention alone through lf_banded_attention and lf_global_attention: parity_attention FOLDER. The dense cases go through all
 * three implementations; of the references' raw window products (column form) the probabilities and the context are compared. The
 * references' helpers that the interface has no function for (blocks without overlap, masking, padding to the window) are counted. */
#include "golden.h"

#define MOST_HEADS 64

static int compared, unreachable;
static char* configuration; /* config.json */

/* The one number, or the numbers of the list, behind "key": how many. */
static int numbers_of(const char* key, int64_t* values) {
  char quoted[64];
  const char* at;
  char* end;
  int count = 0;
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  at = strstr(configuration, quoted);
  if (at == NULL) return 0;
  at += strlen(quoted);
  at += strspn(at, " \n[");
  while (count < MOST_HEADS) {
    const long value = strtol(at, &end, 10);
    if (end == at) break;
    values[count++] = value;
    at = end + strspn(end, " \n,");
  }
  return count;
}

typedef struct problem {
  lf_tensor *q, *k, *v, *global_q, *global_k, *global_v; /* [B, T, H, D] */
  lf_tensor *mask, *index;                               /* NULL: none */
  const int64_t* globals;                                /* of index: [B, G] */
  int64_t shape[4], slots, left, right;
  lf_options *options, *global_options;
} problem;

static lf_tensor* get(lf_tensors* tensors, const char* name, const char* otherwise) {
  lf_tensor* tensor = NULL;
  if (lf_tensors_get(tensors, name, &tensor) != LF_OK) OK(lf_tensors_get(tensors, otherwise, &tensor));
  return tensor;
}

static lf_tensor* floats(const float* values, const int64_t* shape) {
  lf_tensor* tensor = NULL;
  OK(lf_tensor_copy(values, (size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof *values, LF_FLOAT32, shape, 4, &tensor));
  return tensor;
}

/* The attention of a model's layer: local rows from the window, the rows of global tokens from all keys. The caller frees the values. */
static float* attend(const problem* p, lf_tensor* value, lf_tensor* global_value) {
  const int64_t token = p->shape[2] * p->shape[3], all = p->shape[0] * p->shape[1] * token;
  float* result = (float*)malloc((size_t)all * sizeof *result);
  lf_tensor* local = NULL;
  OK(lf_banded_attention(p->q, p->k, value, p->left, p->right, p->options, &local, NULL));
  OK(lf_tensor_read(local, result, (size_t)all * sizeof *result));
  OK(lf_tensor_free(local));
  if (p->slots > 0) {
    const int64_t shape[4] = {p->shape[0], p->slots, p->shape[2], p->shape[3]};
    const int64_t count = p->shape[0] * p->slots;
    float* rows = (float*)calloc((size_t)(count * token), sizeof *rows);
    const void* queries = NULL;
    lf_tensor *query = NULL, *output = NULL;
    int64_t i;
    OK(lf_tensor_data(p->global_q, &queries));
    for (i = 0; i < count; i++)
      if (p->globals[i] >= 0)
        memcpy(rows + i * token, (const float*)queries + (i / p->slots * p->shape[1] + p->globals[i]) * token, (size_t)token * sizeof *rows);
    query = floats(rows, shape);
    OK(lf_global_attention(query, p->global_k, global_value, p->index, p->global_options, &output));
    OK(lf_tensor_read(output, rows, (size_t)(count * token) * sizeof *rows));
    for (i = 0; i < count; i++)
      if (p->globals[i] >= 0)
        memcpy(result + (i / p->slots * p->shape[1] + p->globals[i]) * token, rows + i * token, (size_t)token * sizeof *rows);
    OK(lf_tensor_free(query));
    OK(lf_tensor_free(output));
    free(rows);
  }
  return result;
}

static void compare_values(const char* name, const float* values, const int64_t* shape, lf_tensors* expected) {
  lf_tensor *given = floats(values, shape), *wanted = NULL;
  OK(lf_tensors_get(expected, name, &wanted));
  compare(name, given, wanted);
  compared++;
  OK(lf_tensor_free(given));
  OK(lf_tensor_free(wanted));
}

/* The probabilities [B, H, T, T] that the operators work with: values that are columns of the unit matrix give D columns at a time. */
static void compare_probabilities(const problem* p, lf_tensors* expected) {
  const int64_t batch = p->shape[0], length = p->shape[1], heads = p->shape[2], size = p->shape[3];
  const int64_t square[4] = {p->shape[0], p->shape[2], p->shape[1], p->shape[1]};
  float* all = (float*)calloc((size_t)(batch * heads * length * length), sizeof *all);
  float* unit = (float*)malloc((size_t)(batch * length * heads * size) * sizeof *unit);
  int64_t first, b, t, h, j;
  for (first = 0; first < length; first += size) {
    const int64_t columns = length - first < size ? length - first : size;
    lf_tensor* values;
    float* part;
    memset(unit, 0, (size_t)(batch * length * heads * size) * sizeof *unit);
    for (b = 0; b < batch; b++)
      for (h = 0; h < heads; h++)
        for (j = 0; j < columns; j++) unit[((b * length + first + j) * heads + h) * size + j] = 1;
    values = floats(unit, p->shape);
    part = attend(p, values, values);
    for (b = 0; b < batch; b++)
      for (t = 0; t < length; t++)
        for (h = 0; h < heads; h++)
          for (j = 0; j < columns; j++) all[((b * heads + h) * length + t) * length + first + j] = part[((b * length + t) * heads + h) * size + j];
    OK(lf_tensor_free(values));
    free(part);
  }
  compare_values("probs", all, square, expected);
  free(all);
  free(unit);
}

/* mask: -1 padding, 0 local, 1 global. Fills in visible [B, T] and globals [B, slots]. */
static void read_mask(problem* p, lf_tensors* inputs, unsigned char* visible, int64_t* globals) {
  lf_tensor* mask = NULL;
  const void* data = NULL;
  const int64_t* kinds;
  int64_t b, t, shape[2] = {p->shape[0], p->shape[1]};
  OK(lf_tensors_get(inputs, "mask", &mask));
  OK(lf_tensor_data(mask, &data));
  kinds = (const int64_t*)data;
  for (b = 0; b < p->shape[0]; b++) {
    int64_t count = 0;
    for (t = 0; t < p->shape[1]; t++) count += kinds[b * p->shape[1] + t] > 0;
    if (count > p->slots) p->slots = count;
  }
  for (b = 0; b < p->shape[0]; b++) {
    int64_t slot = 0;
    for (t = 0; t < p->shape[1]; t++) {
      visible[b * p->shape[1] + t] = kinds[b * p->shape[1] + t] >= 0;
      if (kinds[b * p->shape[1] + t] > 0) globals[b * p->slots + slot++] = t;
    }
    while (slot < p->slots) globals[b * p->slots + slot++] = -1;
  }
  OK(lf_tensor_free(mask));
  OK(lf_tensor_copy(visible, (size_t)(shape[0] * shape[1]), LF_UINT8, shape, 2, &p->mask));
  OK(lf_options_set_tensor(p->options, "mask", p->mask));
  OK(lf_options_set_tensor(p->global_options, "mask", p->mask));
  if (p->slots > 0) {
    shape[1] = p->slots;
    OK(lf_tensor_copy(globals, (size_t)(shape[0] * shape[1]) * sizeof *globals, LF_INT64, shape, 2, &p->index));
    OK(lf_options_set_tensor(p->options, "global_index", p->index));
  }
  p->globals = globals;
}

static void run_dense(problem* p, lf_tensors* inputs, lf_tensors* expected) {
  static const char* const implementations[] = {"fused", "chunks", "loop"};
  unsigned char* visible = (unsigned char*)malloc((size_t)(p->shape[0] * p->shape[1]));
  int64_t* globals = (int64_t*)malloc((size_t)(p->shape[0] * p->shape[1]) * sizeof *globals);
  int i;
  read_mask(p, inputs, visible, globals);
  OK(lf_options_set_float(p->options, "scale", number_after(configuration, "scale", 0)));
  OK(lf_options_set_float(p->global_options, "scale", number_after(configuration, "scale", 0)));
  for (i = 0; i < 3; i++) {
    float* output;
    OK(lf_options_set_text(p->options, "implementation", implementations[i], LF_TERMINATED));
    output = attend(p, p->v, p->global_v);
    compare_values("out", output, p->shape, expected);
    free(output);
    if (strstr(description, "\"probs\": {") != NULL) compare_probabilities(p, expected);
  }
  free(visible);
  free(globals);
}

/* The reference does not scale inside, and gives the context and the probabilities [B, T, H, window]. */
static void run_columns(problem* p, lf_tensors* expected) {
  lf_options* asked = NULL;
  lf_tensor *context = NULL, *probabilities = NULL, *wanted = NULL;
  int64_t dilation[MOST_HEADS];
  const int count = numbers_of("dilation", dilation);
  OK(lf_options_set_float(p->options, "scale", 1));
  OK(lf_banded_attention(p->q, p->k, p->v, p->left, p->right, p->options, &context, NULL));
  OK(lf_tensors_get(expected, "context", &wanted));
  compare("context", context, wanted);
  OK(lf_tensor_free(wanted));
  OK(lf_options_create(&asked)); /* without a dropout and an implementation */
  OK(lf_options_set_float(asked, "scale", 1));
  if (count > 0) OK(lf_options_set_ints(asked, "dilation", dilation, (size_t)count));
  OK(lf_banded_attention_probabilities(p->q, p->k, p->left, p->right, asked, &probabilities));
  OK(lf_tensors_get(expected, "probs", &wanted));
  compare("probs", probabilities, wanted);
  compared += 2;
  OK(lf_tensor_free(wanted));
  OK(lf_tensor_free(context));
  OK(lf_tensor_free(probabilities));
  OK(lf_options_free(asked));
}

static void run_case(void) {
  problem p;
  lf_tensors *inputs = NULL, *expected = NULL;
  const int64_t* shape = NULL;
  int64_t dilation[MOST_HEADS];
  int dense, count;
  configuration = read_file(path(folder, "config.json"), NULL);
  memset(&p, 0, sizeof p);
  dense = numbers_of("left", &p.left) == 1 && numbers_of("right", &p.right) == 1;
  OK(lf_tensors_open(path(folder, "inputs.safetensors"), &inputs));
  p.q = NULL;
  if (strstr(configuration, "\"block\":") != NULL || lf_tensors_get(inputs, "q", &p.q) != LF_OK) {
    printf("%-60s has no function in the interface\n", folder);
    unreachable++;
    OK(lf_tensors_free(inputs));
    free(configuration);
    return;
  }
  OK(lf_tensors_open(path(folder, "expected.safetensors"), &expected));
  OK(lf_tensor_shape(p.q, &shape));
  memcpy(p.shape, shape, sizeof p.shape);
  p.k = get(inputs, "k", "k");
  p.v = get(inputs, "v", "v");
  p.global_q = get(inputs, "q_global", "q");
  p.global_k = get(inputs, "k_global", "k");
  p.global_v = get(inputs, "v_global", "v");
  OK(lf_options_create(&p.options));
  OK(lf_options_create(&p.global_options));
  count = numbers_of("dilation", dilation);
  if (count > 0) OK(lf_options_set_ints(p.options, "dilation", dilation, (size_t)count));
  if (dense) {
    run_dense(&p, inputs, expected);
  } else {
    CHECK(numbers_of("window_one_side", &p.left) == 1);
    p.right = strstr(configuration, "\"autoregressive\": true") != NULL ? 0 : p.left;
    run_columns(&p, expected);
  }
  OK(lf_tensor_free(p.q));
  OK(lf_tensor_free(p.k));
  OK(lf_tensor_free(p.v));
  OK(lf_tensor_free(p.global_q));
  OK(lf_tensor_free(p.global_k));
  OK(lf_tensor_free(p.global_v));
  OK(lf_tensor_free(p.mask));
  OK(lf_tensor_free(p.index));
  OK(lf_options_free(p.options));
  OK(lf_options_free(p.global_options));
  OK(lf_tensors_free(inputs));
  OK(lf_tensors_free(expected));
  free(configuration);
}

int main(int argc, char** argv) {
  int cases;
  if (argc != 2) return 2;
  OK(lf_check_abi());
  cases = for_each_case(argv[1], "inputs.safetensors", run_case);
  printf("%d cases, %d tensors compared, %d cases have no function in the interface\n", cases, compared, unreachable);
  CHECK(cases > unreachable && compared > cases);
  return finish();
}
