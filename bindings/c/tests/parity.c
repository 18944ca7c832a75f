/* The goldens of the reference implementations through the C interface, models and generation: parity GROUP_FOLDER... */
#include "golden.h"

#define MOST 512

/* Every expected tensor that the outputs have; the others must be parameters without a gradient, zeros in the reference. */
static void compare_all(lf_tensors* outputs, lf_tensors* expected) {
  size_t count = 0, i;
  OK(lf_tensors_count(expected, &count));
  CHECK(count > 0);
  for (i = 0; i < count; i++) {
    const char* name = NULL;
    lf_tensor *value = NULL, *reference = NULL;
    OK(lf_tensors_name(expected, i, &name));
    OK(lf_tensors_get(expected, name, &reference));
    if (lf_tensors_get(outputs, name, &value) == LF_OK) {
      compare(name, value, reference);
    } else if (strncmp(name, "grad.", 5) == 0) {
      int64_t elements = 0, e;
      const void* data = NULL;
      OK(lf_tensor_elements(reference, &elements));
      OK(lf_tensor_data(reference, &data));
      for (e = 0; e < elements; e++) CHECK(fabs(((const float*)data)[e]) <= tolerance_of(name));
    } else {
      OK(lf_tensors_get(outputs, name, &value));
    }
    lf_tensor_free(value);
    lf_tensor_free(reference);
  }
}

static void compare_generated(lf_answer* answer, lf_tensors* expected) {
  lf_tensor *sequences = NULL, *scores = NULL;
  const int64_t* shape = NULL;
  const void* data = NULL;
  size_t count = 0, i;
  OK(lf_answer_count(answer, &count));
  OK(lf_tensors_get(expected, "sequences", &sequences));
  OK(lf_tensor_shape(sequences, &shape));
  OK(lf_tensor_data(sequences, &data));
  CHECK(shape != NULL && (int64_t)count == shape[0]);
  for (i = 0; failures == 0 && i < count; i++) {
    const int32_t* tokens = NULL;
    size_t n = 0, t;
    OK(lf_answer_tokens(answer, i, &tokens, &n));
    for (t = 0; t < (size_t)shape[1]; t++)
      CHECK(((const int64_t*)data)[i * (size_t)shape[1] + t] == (t < n ? tokens[t] : 1)); /* 1: the padding id */
  }
  if (lf_tensors_get(expected, "sequences_scores", &scores) == LF_OK) {
    OK(lf_tensor_data(scores, &data));
    for (i = 0; failures == 0 && i < count; i++) {
      double score = 0;
      OK(lf_answer_score(answer, i, &score));
      CHECK(fabs(score - ((const float*)data)[i]) <= tolerance_of("sequences_scores"));
    }
    lf_tensor_free(scores);
  }
  printf("%-60s %d sequences %s\n", folder, (int)count, failures == 0 ? "pass" : "FAIL");
  lf_tensor_free(sequences);
}

static int has_prefix(lf_tensors* tensors, const char* words) {
  size_t count = 0, i;
  OK(lf_tensors_count(tensors, &count));
  for (i = 0; i < count; i++) {
    const char* name = NULL;
    OK(lf_tensors_name(tensors, i, &name));
    if (strstr(name, words) != NULL) return 1;
  }
  return 0;
}

static void run_case(void) {
  const char* names[MOST];
  lf_tensor* tensors[MOST];
  lf_tensors *inputs = NULL, *expected = NULL, *outputs = NULL;
  lf_model* model = NULL;
  lf_load_options* loading = NULL;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  const char* generation = strstr(description, "\"generation\": {");
  const int gradients = strstr(description, "\"group\": \"gradients\"") != NULL;
  size_t count = 0, i;

  OK(lf_tensors_open(path(folder, "inputs.safetensors"), &inputs));
  OK(lf_tensors_open(path(folder, "expected.safetensors"), &expected));
  OK(lf_tensors_count(inputs, &count));
  CHECK(count <= MOST);
  for (i = 0; i < count && i < MOST; i++) {
    OK(lf_tensors_name(inputs, i, &names[i]));
    OK(lf_tensors_get(inputs, names[i], &tensors[i]));
  }
  OK(lf_load_options_create(&loading));
  if (gradients) OK(lf_load_options_set(loading, "trainable", "true"));
  OK(lf_model_load(folder, loading, &model));
  OK(lf_options_create(&options));
  if (gradients) {
    OK(lf_model_gradients(model, names, (const lf_tensor* const*)tensors, count, &outputs));
    compare_all(outputs, expected);
  } else if (generation != NULL) {
    const char* object = strchr(generation, '{');
    int depth = 0;
    size_t length = 0;
    do {
      depth += object[length] == '{' ? 1 : object[length] == '}' ? -1 : 0;
      length++;
    } while (depth > 0);
    OK(lf_options_set_text(options, "generation_config", object, length));
    OK(lf_model_generate(model, names, (const lf_tensor* const*)tensors, count, options, &answer));
    compare_generated(answer, expected);
  } else {
    OK(lf_options_set_int(options, "hidden_states", has_prefix(expected, "hidden_states.")));
    OK(lf_options_set_int(options, "attentions", has_prefix(expected, "attentions.")));
    OK(lf_model_run(model, names, (const lf_tensor* const*)tensors, count, options, &outputs));
    compare_all(outputs, expected);
  }
  for (i = 0; i < count; i++) OK(lf_tensor_free(tensors[i]));
  OK(lf_answer_free(answer));
  OK(lf_options_free(options));
  OK(lf_load_options_free(loading));
  OK(lf_tensors_free(outputs));
  OK(lf_model_free(model));
  OK(lf_tensors_free(inputs));
  OK(lf_tensors_free(expected));
}

int main(int argc, char** argv) {
  int cases = 0, g;
  OK(lf_check_abi());
  for (g = 1; g < argc; g++) cases += for_each_case(argv[g], "model.safetensors", run_case);
  CHECK(cases > 0);
  printf("%d cases\n", cases);
  return finish();
}
