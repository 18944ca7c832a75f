/* The goldens of the reference implementations through the C interface: parity GROUP_FOLDER...
 * Same tolerance as `longformer parity`: |value - expected| <= atol + rtol |expected|, atol from case.json. */
#include "support.h"

#include <dirent.h>
#include <math.h>

#define MOST 512

static const char* folder;
static char* description; /* case.json */

/* The number behind "key": after a place in case.json; missing if it is not within the object there. */
static double number_after(const char* place, const char* key, double missing) {
  char quoted[128];
  const char* found;
  const char* end = place == NULL ? NULL : strchr(place, '}');
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  found = place == NULL ? NULL : strstr(place, quoted);
  return found == NULL || (end != NULL && found > end) ? missing : strtod(found + strlen(quoted), NULL);
}

static double tolerance_of(const char* tensor) {
  char quoted[256];
  const char* expected = strstr(description, "\"expected\": {");
  const char* tolerance = strstr(description, "\"tolerance\": {");
  snprintf(quoted, sizeof quoted, "\"%s\": {", tensor);
  return number_after(expected == NULL ? NULL : strstr(expected, quoted), "atol", number_after(tolerance, "atol", -1));
}

static void compare(const char* name, lf_tensor* value, lf_tensor* expected) {
  const double atol = tolerance_of(name), rtol = number_after(strstr(description, "\"tolerance\": {"), "rtol", 1e-5);
  lf_tensor *a = NULL, *b = NULL;
  const void *x = NULL, *y = NULL;
  const int64_t *shape = NULL, *other = NULL;
  int64_t elements = 0, i;
  int32_t rank = 0, rank_expected = 0;
  double worst = 0;
  int bad = 0;
  CHECK(atol >= 0);
  OK(lf_tensor_convert(value, LF_FLOAT64, "cpu", &a));
  OK(lf_tensor_convert(expected, LF_FLOAT64, "cpu", &b));
  OK(lf_tensor_data(a, &x));
  OK(lf_tensor_data(b, &y));
  OK(lf_tensor_rank(a, &rank));
  OK(lf_tensor_rank(b, &rank_expected));
  OK(lf_tensor_shape(a, &shape));
  OK(lf_tensor_shape(b, &other));
  OK(lf_tensor_elements(b, &elements));
  if (rank != rank_expected || (rank > 0 && memcmp(shape, other, (size_t)rank * sizeof *shape) != 0)) {
    fprintf(stderr, "%s: %s: another shape than the reference's\n", folder, name);
    failures++;
  } else {
    for (i = 0; i < elements; i++) {
      const double v = ((const double*)x)[i], e = ((const double*)y)[i];
      if (isinf(e) && v == e) continue;
      if (!(fabs(v - e) <= atol + rtol * fabs(e))) bad = 1;
      if (fabs(v - e) > worst) worst = fabs(v - e);
    }
  }
  printf("%-60s %-40s %10.3g %10.3g %s\n", folder, name, worst, atol, bad ? "FAIL" : "pass");
  failures += bad;
  lf_tensor_free(a);
  lf_tensor_free(b);
}

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

static int by_name(const struct dirent** a, const struct dirent** b) { return strcmp((*a)->d_name, (*b)->d_name); }

int main(int argc, char** argv) {
  int cases = 0, g;
  int64_t handles = -1, tensors = -1;
  OK(lf_check_abi());
  for (g = 1; g < argc; g++) {
    struct dirent** entries = NULL;
    int n = scandir(argv[g], &entries, NULL, by_name), i;
    CHECK(n > 0);
    for (i = 0; i < n; i++) {
      char name[1024], model[1100];
      snprintf(name, sizeof name, "%s/%s", argv[g], entries[i]->d_name);
      snprintf(model, sizeof model, "%s/model.safetensors", name);
      if (entries[i]->d_name[0] != '.' && access_file(model)) {
        folder = name;
        description = read_file(path(name, "case.json"), NULL);
        CHECK(description != NULL);
        if (description != NULL) {
          run_case();
          cases++;
          OK(lf_live(&handles, &tensors));
          if (handles != 0 || tensors != 0) {
            fprintf(stderr, "%s: %d handles and %d tensors are left\n", name, (int)handles, (int)tensors);
            failures++;
          }
        }
        free(description);
      }
      free(entries[i]);
    }
    free(entries);
  }
  CHECK(cases > 0);
  printf("%d cases\n", cases);
  return finish();
}
