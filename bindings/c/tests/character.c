/* The character model: character GOLDEN WORK. A golden by its ids; then a model that is trained here from a text and a schedule: text in and out, scores,
 * evaluation, generation with its callbacks, and what is refused. */
#include "golden.h"

#include <sys/stat.h>

static const char schedule[] =
    "{\"dropout\": 0, \"model\": {\"n_layer\": 2, \"d_model\": 32, \"n_head\": 2, \"d_head\": 16, \"d_inner\": 64},"
    " \"phases\": [{\"steps\": 30, \"sequence_length\": 32, \"batch\": 8, \"learning_rate\": 1e-2, \"window\": [4, 8]},"
    "              {\"steps\": 6, \"sequence_length\": 64, \"batch\": 4, \"learning_rate\": 5e-3, \"window\": [8, 16], \"dilation\": [[1, 1], [1, 2]]}]}";

static int models; /* goldens that were run */

/* The number under a name; -1 if there is none. */
static double value_of(lf_answer* result, const char* wanted) {
  size_t n = 0, i;
  OK(lf_answer_count(result, &n));
  for (i = 0; i < n; i++) {
    const char* name = NULL;
    double value = 0;
    if (lf_answer_label(result, i, &name, NULL) != LF_OK || strcmp(name, wanted) != 0) continue;
    OK(lf_answer_score(result, i, &value));
    return value;
  }
  return -1;
}

/* Multiplies every element, a float32, by a number: the reference's gradients are those of the bits, not of the nats. */
static lf_tensor* scaled(lf_tensor* tensor, double factor) {
  int64_t elements = 0, i;
  const int64_t* shape = NULL;
  int32_t rank = 0;
  lf_tensor* result = NULL;
  float* values;
  OK(lf_tensor_elements(tensor, &elements));
  OK(lf_tensor_shape(tensor, &shape));
  OK(lf_tensor_rank(tensor, &rank));
  values = (float*)malloc((size_t)elements * sizeof *values);
  OK(lf_tensor_read(tensor, values, (size_t)elements * sizeof *values));
  for (i = 0; i < elements; i++) values[i] = (float)(values[i] * factor);
  OK(lf_tensor_copy(values, (size_t)elements * sizeof *values, LF_FLOAT32, shape, rank, &result));
  free(values);
  return result;
}

static void run_golden(void) {
  lf_tensors *inputs = NULL, *expected = NULL, *outputs = NULL, *gradients = NULL;
  lf_load_options* loading = NULL;
  lf_options* options = NULL;
  lf_character_model* model = NULL;
  lf_tensor *ids = NULL, *targets = NULL, *loss = NULL, *bits = NULL;
  size_t count = 0, i;
  if (strstr(folder, "/attention_") != NULL) return; /* one layer by itself, which has no model */
  models++;
  OK(lf_tensors_open(path(folder, "inputs.safetensors"), &inputs));
  OK(lf_tensors_open(path(folder, "expected.safetensors"), &expected));
  OK(lf_tensors_get(inputs, "ids", &ids));
  OK(lf_tensors_get(inputs, "targets", &targets));
  OK(lf_load_options_create(&loading));
  OK(lf_load_options_set(loading, "trainable", "true"));
  OK(lf_character_model_load(folder, loading, &model));
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "logits", 1));
  OK(lf_options_set_int(options, "hidden_states", 1));
  OK(lf_character_model_run(model, ids, targets, options, &outputs));
  OK(lf_character_model_gradients(model, ids, targets, &gradients));
  OK(lf_tensors_count(expected, &count));
  CHECK(count > 10);
  for (i = 0; i < count; i++) {
    const char* name = NULL;
    lf_tensor *reference = NULL, *value = NULL, *in_bits = NULL;
    OK(lf_tensors_at(expected, i, &name, &reference));
    if (strncmp(name, "grad.", 5) == 0 || strcmp(name, "bits_per_character") == 0) {
      OK(lf_tensors_get(gradients, strcmp(name, "bits_per_character") == 0 ? "loss" : name, &value));
      in_bits = scaled(value, 1 / log(2.0));
      compare(name, in_bits, reference);
    } else {
      OK(lf_tensors_get(outputs, strcmp(name, "nll") == 0 ? "losses" : strcmp(name, "hidden") == 0 ? "last_hidden_state" : name, &value));
      compare(name, value, reference);
    }
    OK(lf_tensor_free(in_bits));
    OK(lf_tensor_free(value));
    OK(lf_tensor_free(reference));
  }
  OK(lf_tensors_free(gradients));
  REFUSED(LF_CHECKPOINT, "no vocabulary.json", lf_character_model_encode(model, "text", LF_TERMINATED, &bits));
  OK(lf_tensors_get(outputs, "loss", &loss));
  REFUSED(LF_INVALID_INPUT, "targets: expected shape", lf_character_model_run(model, ids, loss, NULL, &gradients));
  CHECK(gradients == NULL);
  OK(lf_tensor_free(loss));
  OK(lf_tensor_free(ids));
  OK(lf_tensor_free(targets));
  OK(lf_tensors_free(outputs));
  OK(lf_tensors_free(inputs));
  OK(lf_tensors_free(expected));
  OK(lf_options_free(options));
  OK(lf_load_options_free(loading));
  OK(lf_character_model_free(model));
}

static const char* write_text(const char* name) {
  FILE* file = fopen(name, "wb");
  int i;
  CHECK(file != NULL);
  for (i = 0; file != NULL && i < 600; i++) fputs(i * 7 % 11 % 3 == 0 ? "fog came home " : "the boats ", file);
  if (file != NULL) fclose(file);
  return name;
}

typedef struct heard {
  char text[256];
  size_t length;
  int64_t done, total;
  int stop_at; /* pieces; 0: never */
} heard;

static int32_t hear(void* context, const char* piece, size_t length) {
  heard* h = (heard*)context;
  CHECK(length > 0 && h->length + length < sizeof h->text);
  memcpy(h->text + h->length, piece, length + 1);
  h->length += length;
  return h->stop_at != 0 && (int)h->length >= h->stop_at;
}

static int32_t count(void* context, int64_t done, int64_t total, int64_t tokens) {
  heard* h = (heard*)context;
  CHECK(done > h->done && done <= total && tokens > 0);
  h->done = done;
  h->total = total;
  return 0;
}

static int32_t always(void* context) {
  (void)context;
  return 1;
}

static const char* train(const char* work, const char* text) {
  const char* output = strdup(path(work, "model"));
  lf_options* options = NULL;
  lf_answer* result = NULL;
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "schedule", schedule, LF_TERMINATED));
  OK(lf_options_set_int(options, "seed", 7));
  OK(lf_train("char-lm", NULL, &text, 1, NULL, 0, output, options, &result));
  CHECK(value_of(result, "steps") == 36 && value_of(result, "bits_per_character") > 0 && value_of(result, "bits_per_character") < 2);
  OK(lf_answer_free(result));
  REFUSED(LF_INVALID_INPUT, "not empty; resume the run", lf_train("char-lm", NULL, &text, 1, NULL, 0, output, options, NULL));
  OK(lf_options_set_text(options, "preset", "small", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "expected one of preset", lf_train("char-lm", NULL, &text, 1, NULL, 0, output, options, NULL));
  OK(lf_options_free(options));
  REFUSED(LF_INVALID_ARGUMENT, "checkpoint: expected a text", lf_train("classify", NULL, &text, 1, NULL, 0, output, NULL, NULL));
  return output;
}

static void reads_and_scores(lf_character_model* model) {
  const char* text = "fog came home the boats the boats";
  const int32_t* symbols = NULL;
  size_t n = 0, length = 0;
  int32_t bytes = 0, given[64];
  int64_t shape[2], characters = 0, i;
  lf_tensor *ids = NULL, *losses = NULL, *input = NULL, *targets = NULL, *again = NULL;
  lf_tensors* outputs = NULL;
  const void *values = NULL, *each = NULL, *whole = NULL;
  double nats = 0, bits = 0, sum = 0;
  char* back = NULL;
  OK(lf_character_model_vocabulary(model, &symbols, &n, &bytes));
  CHECK(bytes == 1 && n == 12 && symbols[0] == ' ');
  OK(lf_character_model_encode(model, text, LF_TERMINATED, &ids));
  OK(lf_tensor_elements(ids, &characters));
  CHECK(characters == (int64_t)strlen(text));
  OK(lf_tensor_data(ids, &values));
  for (i = 0; i < characters; i++) {
    given[i] = (int32_t)((const int64_t*)values)[i];
    CHECK(symbols[given[i]] == (unsigned char)text[i]);
  }
  OK(lf_character_model_decode(model, given, (size_t)characters, &back, &length));
  CHECK(back != NULL && strcmp(back, text) == 0 && length == strlen(text));
  OK(lf_text_free(back));

  OK(lf_character_model_score(model, text, LF_TERMINATED, NULL, &nats, &bits, &i, &losses));
  CHECK(i == characters - 1 && fabs(bits - nats / log(2.0)) < 1e-9 && bits / (double)i < 2);
  shape[0] = 1;
  shape[1] = characters - 1;
  OK(lf_tensor_copy(values, (size_t)(characters - 1) * 8, LF_INT64, shape, 2, &input));
  OK(lf_tensor_copy((const int64_t*)values + 1, (size_t)(characters - 1) * 8, LF_INT64, shape, 2, &targets));
  OK(lf_character_model_run(model, input, targets, NULL, &outputs));
  OK(lf_tensors_get(outputs, "losses", &again));
  OK(lf_tensor_data(losses, &each));
  OK(lf_tensor_data(again, &whole));
  for (i = 0; i < characters - 1; i++) {
    sum += ((const double*)each)[i];
    CHECK(fabs(((const double*)each)[i] - ((const float*)whole)[i]) < 1e-5);
  }
  CHECK(fabs(sum - nats) < 1e-9);
  OK(lf_tensor_free(again));
  OK(lf_tensors_free(outputs));
  OK(lf_tensor_free(input));
  OK(lf_tensor_free(targets));
  OK(lf_tensor_free(losses));
  OK(lf_tensor_free(ids));
  OK(lf_character_model_score(model, text, 2, NULL, NULL, NULL, NULL, NULL));
}

static void writes(lf_character_model* model) {
  heard h = {"", 0, 0, 0, 0}, other = {"", 0, 0, 0, 10};
  lf_options* options = NULL;
  char *text = NULL, *again = NULL;
  size_t length = 0;
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "characters", 40));
  OK(lf_options_set_int(options, "seed", 3));
  OK(lf_options_set_float(options, "temperature", 0.8));
  OK(lf_options_set_int(options, "top_k", 5));
  OK(lf_options_set_float(options, "top_p", 0.95));
  OK(lf_options_set_on_text(options, hear, &h));
  OK(lf_options_set_progress(options, count, &h));
  OK(lf_character_model_generate(model, "fog ", LF_TERMINATED, options, &text, &length));
  CHECK(text != NULL && length == 40 && strlen(text) == 40 && strcmp(text, h.text) == 0 && h.done == 40 && h.total == 40);
  OK(lf_options_set_on_text(options, hear, &other));
  OK(lf_options_set_progress(options, NULL, NULL));
  REFUSED(LF_CANCELLED, "", lf_character_model_generate(model, "fog ", LF_TERMINATED, options, &again, NULL));
  CHECK(again == NULL && other.length == 10 && memcmp(other.text, text, 10) == 0);
  OK(lf_options_set_on_text(options, NULL, NULL));
  OK(lf_options_set_cancel(options, always, NULL));
  REFUSED(LF_CANCELLED, "", lf_character_model_generate(model, "fog ", LF_TERMINATED, options, &again, NULL));
  OK(lf_options_free(options));
  OK(lf_text_free(text));
}

static void measures(lf_character_model* model, const char* folder_of_model, const char* text) {
  heard h = {"", 0, 0, 0, 0};
  lf_options* options = NULL;
  lf_answer *whole = NULL, *once = NULL, *other = NULL;
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "length", 128));
  OK(lf_options_set_int(options, "step", 16));
  OK(lf_options_set_progress(options, count, &h));
  OK(lf_character_model_evaluate(model, text, options, &whole));
  CHECK(h.done == h.total && h.total > 0 && value_of(whole, "characters") == (double)h.total && value_of(whole, "equals_overlapping") == -1);
  h.done = 0;
  OK(lf_options_set_int(options, "one_pass", 1));
  OK(lf_character_model_evaluate(model, text, options, &once));
  CHECK(value_of(once, "equals_overlapping") == 1 && value_of(once, "characters") == value_of(whole, "characters"));
  CHECK(fabs(value_of(once, "bits_per_character") - value_of(whole, "bits_per_character")) < 1e-4);
  h.done = 0;
  OK(lf_evaluate("char-lm", folder_of_model, &text, 1, options, &other, NULL));
  CHECK(value_of(other, "total_bits") == value_of(once, "total_bits"));
  OK(lf_answer_free(whole));
  OK(lf_answer_free(once));
  OK(lf_answer_free(other));
  OK(lf_options_set_text(options, "part", "tset", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "part: expected train, dev, test, all", lf_character_model_evaluate(model, text, options, &whole));
  OK(lf_options_free(options));
  REFUSED(LF_INVALID_INPUT, "expected at least 32257 characters", lf_character_model_evaluate(model, text, NULL, &whole));
  CHECK(whole == NULL);
}

static void refuses(lf_character_model* model) {
  const int32_t far[] = {99};
  lf_options* options = NULL;
  lf_character_model* none = NULL;
  lf_tensors* parameters = NULL;
  lf_tensor *tensor = NULL, *bias = NULL;
  char* text = NULL;
  REFUSED(LF_INVALID_INPUT, "byte 0x58 'X' at byte 4", lf_character_model_generate(model, "fog X", LF_TERMINATED, NULL, &text, NULL));
  REFUSED(LF_INVALID_INPUT, "at least one character", lf_character_model_generate(model, "", 0, NULL, &text, NULL));
  REFUSED(LF_INVALID_INPUT, "at least two symbols", lf_character_model_score(model, "f", 1, NULL, NULL, NULL, NULL, NULL));
  REFUSED(LF_INVALID_INPUT, "ids: expected symbols 0..11, given 99", lf_character_model_decode(model, far, 1, &text, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "ids: expected an address", lf_character_model_encode(model, "fog", LF_TERMINATED, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "model: ", lf_character_model_encode(NULL, "fog", LF_TERMINATED, &tensor));
  OK(lf_options_create(&options));
  OK(lf_options_set_float(options, "temperature", 0));
  REFUSED(LF_INVALID_INPUT, "temperature: expected more than 0", lf_character_model_generate(model, "fog", LF_TERMINATED, options, &text, NULL));
  OK(lf_options_set_int(options, "beams", 2));
  REFUSED(LF_INVALID_ARGUMENT, "takes no \"beams\"", lf_character_model_generate(model, "fog", LF_TERMINATED, options, &text, NULL));
  OK(lf_options_free(options));
  REFUSED(LF_CHECKPOINT, "", lf_character_model_load("/nowhere/at/all", NULL, &none));
  CHECK(none == NULL && text == NULL && tensor == NULL);
  OK(lf_character_model_parameters(model, &parameters));
  OK(lf_tensors_get(parameters, "r_w_bias", &bias));
  REFUSED(LF_INVALID_INPUT, "ids: expected int64 [B, T]", lf_character_model_run(model, bias, NULL, NULL, &parameters));
  OK(lf_tensor_free(bias));
}

/* A window over everything with distances that say nothing is the attention without; a bias of the content adds to the query. */
static void attends(void) {
  const int64_t shape[] = {1, 6, 2, 4}, table_shape[] = {6, 2, 4}, bias_shape[] = {2, 4};
  float values[3][48], table[48] = {0}, bias[8] = {0};
  lf_tensor *inputs[3], *relative = NULL, *content = NULL, *plain = NULL, *with = NULL, *sums = NULL;
  lf_options* options = NULL;
  const void *a = NULL, *b = NULL;
  int i, n;
  for (n = 0; n < 3; n++) {
    for (i = 0; i < 48; i++) values[n][i] = (float)((i * 7 + n * 5) % 11) / 11 - 0.5f;
    OK(lf_tensor_copy(values[n], sizeof values[n], LF_FLOAT32, shape, 4, &inputs[n]));
  }
  OK(lf_tensor_copy(table, sizeof table, LF_FLOAT32, table_shape, 3, &relative));
  OK(lf_tensor_copy(bias, sizeof bias, LF_FLOAT32, bias_shape, 2, &content));
  OK(lf_banded_attention(inputs[0], inputs[1], inputs[2], 5, 0, NULL, &plain, NULL));
  OK(lf_relative_banded_attention(inputs[0], inputs[1], inputs[2], relative, content, NULL, 5, 0, NULL, &with, &sums));
  OK(lf_tensor_data(plain, &a));
  OK(lf_tensor_data(with, &b));
  for (i = 0; i < 48; i++) CHECK(fabs(((const float*)a)[i] - ((const float*)b)[i]) < 1e-6);
  OK(lf_tensor_free(with));
  OK(lf_tensor_free(sums));
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "relative_zero", 1));
  OK(lf_relative_banded_attention(inputs[0], inputs[1], inputs[2], relative, NULL, NULL, 4, 1, options, &with, NULL));
  OK(lf_tensor_free(with));
  OK(lf_options_set_tensor(options, "global_index", relative));
  REFUSED(LF_INVALID_ARGUMENT, "takes no \"global_index\"",
          lf_relative_banded_attention(inputs[0], inputs[1], inputs[2], relative, NULL, NULL, 5, 0, options, &with, NULL));
  REFUSED(LF_INVALID_INPUT, "relative must be [P, H, D]", lf_relative_banded_attention(inputs[0], inputs[1], inputs[2], content, NULL, NULL, 5, 0, NULL, &with, NULL));
  CHECK(with == NULL);
  for (n = 0; n < 3; n++) OK(lf_tensor_free(inputs[n]));
  OK(lf_options_free(options));
  OK(lf_tensor_free(relative));
  OK(lf_tensor_free(content));
  OK(lf_tensor_free(plain));
}

int main(int argc, char** argv) {
  lf_character_model *model = NULL, *copy = NULL;
  const char *text, *output;
  char command[2400];
  double bits = 0, again = 1;
  if (argc != 3) return 2;
  OK(lf_check_abi());
  for_each_case(argv[1], "model.safetensors", run_golden);
  CHECK(models >= 3);
  snprintf(command, sizeof command, "rm -rf '%s'", argv[2]);
  CHECK(system(command) == 0 && mkdir(argv[2], 0777) == 0);
  text = strdup(write_text(path(argv[2], "boats")));
  output = train(argv[2], text);
  OK(lf_character_model_load(output, NULL, &model));
  reads_and_scores(model);
  writes(model);
  measures(model, output, text);
  refuses(model);
  attends();
  OK(lf_character_model_save(model, path(argv[2], "copy")));
  OK(lf_character_model_load(path(argv[2], "copy"), NULL, &copy));
  OK(lf_character_model_score(model, "the boats", LF_TERMINATED, NULL, NULL, &bits, NULL, NULL));
  OK(lf_character_model_score(copy, "the boats", LF_TERMINATED, NULL, NULL, &again, NULL, NULL));
  CHECK(bits == again);
  OK(lf_character_model_free(copy));
  OK(lf_character_model_free(model));
  REFUSED(LF_INVALID_ARGUMENT, "model: ", lf_character_model_save(model, output));
  printf("%d goldens\n", models);
  return finish();
}
