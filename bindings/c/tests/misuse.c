/* Wrong calls: misuse ENCODER_FOLDER SUMMARIZER_FOLDER. Every one is refused with a status and a message; none crashes. */
#include "support.h"

static lf_document_encoder* encoder;
static lf_tokenizer* tokenizer;
static lf_options* options;
static lf_tensor* tensor;

static void null_everywhere(const char* folder) {
  size_t count;
  int32_t i32;
  int64_t i64;
  double f64;
  const char *text, *document = "text";
  const void* data;
  const int64_t* sizes;
  const int32_t* ints;
  const float* floats;
  float floats_out[64];
  char* owned;
  lf_dtype dtype;
  lf_tensor* out;
  lf_tensors* map;
  lf_answer* answer;
  lf_encoding* encoding;
  lf_model* model;
  struct DLManagedTensor* managed;
#define NULLED(words, call) REFUSED(LF_INVALID_ARGUMENT, words, call)
  NULLED("version", lf_torch_version(NULL));
  NULLED("threads", lf_get_threads(NULL));
  NULLED("kind", lf_device_count(NULL, &i32));
  NULLED("count", lf_device_count("cpu", NULL));
  NULLED("options", lf_load_options_create(NULL));
  NULLED("options", lf_load_options_set(NULL, "device", "cpu"));
  NULLED("options", lf_options_create(NULL));
  NULLED("options", lf_options_set_int(NULL, "x", 1));
  NULLED("name", lf_options_set_int(options, NULL, 1));
  NULLED("options", lf_options_set_float(NULL, "x", 1));
  NULLED("text", lf_options_set_text(options, "global", NULL, 0));
  NULLED("values", lf_options_set_ints(options, "window", NULL, 2));
  NULLED("tensor", lf_options_set_tensor(options, "mask", NULL));
  NULLED("options", lf_options_set_cancel(NULL, NULL, NULL));
  NULLED("options", lf_options_set_cancel_interval(NULL, 1));
  NULLED("options", lf_options_set_progress(NULL, NULL, NULL));
  NULLED("options", lf_options_set_on_text(NULL, NULL, NULL));
  NULLED("options", lf_options_set_on_token(NULL, NULL, NULL));
  NULLED("tensor", lf_tensor_from_memory(NULL, LF_FLOAT32, NULL, NULL, 0, NULL, NULL, NULL, NULL));
  NULLED("data", lf_tensor_from_memory(NULL, LF_FLOAT32, NULL, NULL, 0, NULL, NULL, NULL, &out));
  NULLED("shape", lf_tensor_from_memory(&f64, LF_FLOAT32, NULL, NULL, 2, NULL, NULL, NULL, &out));
  NULLED("data", lf_tensor_copy(NULL, 4, LF_FLOAT32, NULL, 0, &out));
  NULLED("managed", lf_tensor_from_dlpack(NULL, &out));
  NULLED("tensor", lf_tensor_to_dlpack(NULL, &managed));
  NULLED("managed", lf_tensor_to_dlpack(tensor, NULL));
  NULLED("handle", lf_tensor_from_torch(0, &out));
  NULLED("tensor", lf_tensor_to_torch(NULL, &i64));
  NULLED("tensor", lf_tensor_data(NULL, &data));
  NULLED("data", lf_tensor_data(tensor, NULL));
  NULLED("tensor", lf_tensor_dtype(NULL, &dtype));
  NULLED("tensor", lf_tensor_rank(NULL, &i32));
  NULLED("tensor", lf_tensor_shape(NULL, &sizes));
  NULLED("tensor", lf_tensor_strides(NULL, &sizes));
  NULLED("tensor", lf_tensor_elements(NULL, &i64));
  NULLED("tensor", lf_tensor_contiguous(NULL, &i32));
  NULLED("tensor", lf_tensor_device(NULL, &text));
  NULLED("tensor", lf_tensor_describe(NULL, &data, &dtype, &i32, &sizes, &sizes, &text));
  OK(lf_tensor_describe(tensor, NULL, NULL, NULL, NULL, NULL, NULL));
  NULLED("tensor", lf_tensor_read(NULL, &f64, 8));
  NULLED("destination", lf_tensor_read(tensor, NULL, 1024));
  NULLED("tensor", lf_tensor_convert(NULL, LF_FLOAT32, NULL, &out));
  NULLED("file", lf_tensors_open(NULL, &map));
  NULLED("file", lf_tensors_write(NULL, NULL, NULL, 0));
  NULLED("names", lf_tensors_write("x", NULL, NULL, 1));
  NULLED("tensors", lf_tensors_count(NULL, &count));
  NULLED("tensors", lf_tensors_name(NULL, 0, &text));
  NULLED("tensors", lf_tensors_get(NULL, "x", &out));
  NULLED("tensors", lf_tensors_at(NULL, 0, &text, &out));
  NULLED("folder", lf_model_load(NULL, NULL, &model));
  NULLED("model", lf_model_load(folder, NULL, NULL));
  NULLED("model", lf_model_architecture(NULL, &text));
  NULLED("model", lf_model_run(NULL, NULL, NULL, 0, NULL, &map));
  NULLED("model", lf_model_gradients(NULL, NULL, NULL, 0, &map));
  NULLED("model", lf_model_parameters(NULL, &map));
  NULLED("model", lf_model_save(NULL, "x"));
  NULLED("model", lf_model_generate(NULL, NULL, NULL, 0, NULL, &answer));
  NULLED("encoder", lf_document_encoder_load(folder, NULL, NULL));
  NULLED("encoder", lf_document_encoder_encode(NULL, &document, NULL, 1, NULL, &out, NULL));
  NULLED("embeddings", lf_document_encoder_encode(encoder, &document, NULL, 1, NULL, NULL, NULL));
  NULLED("documents", lf_document_encoder_encode(encoder, NULL, NULL, 1, NULL, &out, NULL));
  NULLED("encoder", lf_document_encoder_encode_into(NULL, &document, NULL, 1, NULL, floats_out, 64, NULL));
  NULLED("embeddings", lf_document_encoder_encode_into(encoder, &document, NULL, 1, NULL, NULL, 0, NULL));
  NULLED("room 64", lf_document_encoder_encode_into(encoder, &document, NULL, 1, NULL, NULL, 64, &i64));
  NULLED("documents", lf_document_encoder_encode_into(encoder, NULL, NULL, 1, NULL, floats_out, 64, NULL));
  NULLED("encoder", lf_document_encoder_hidden_size(NULL, &i32));
  NULLED("task", lf_task_max_tokens(NULL, &i32));
  NULLED("answerer", lf_question_answerer_answer(NULL, "q", 1, "d", 1, NULL, &answer));
  NULLED("classifier", lf_text_classifier_classify(NULL, &document, NULL, 1, NULL, &answer));
  NULLED("classifier", lf_token_classifier_tag(NULL, "x", 1, NULL, &answer));
  NULLED("model", lf_multiple_choice_choose(NULL, "d", 1, NULL, 0, &document, NULL, 1, NULL, &answer));
  NULLED("filler", lf_mask_filler_fill(NULL, "x", 1, NULL, &answer));
  NULLED("filler", lf_mask_filler_mask_text(NULL, &text));
  NULLED("classifier", lf_span_classifier_classify(NULL, "x", 1, NULL, 0, LF_OFFSETS_BYTES, NULL, &answer));
  NULLED("summarizer", lf_summarizer_summarize(NULL, &document, NULL, 1, NULL, &answer));
  NULLED("answer", lf_answer_count(NULL, &count));
  NULLED("answer", lf_answer_text(NULL, 0, &text, &count));
  NULLED("answer", lf_answer_label(NULL, 0, &text, &count));
  NULLED("answer", lf_answer_range(NULL, 0, LF_OFFSETS_BYTES, &i64, &i64));
  NULLED("answer", lf_answer_score(NULL, 0, &f64));
  NULLED("answer", lf_answer_logit(NULL, 0, &f64));
  NULLED("answer", lf_answer_group(NULL, 0, &i64));
  NULLED("answer", lf_answer_id(NULL, 0, &i64));
  NULLED("answer", lf_answer_item(NULL, 0, LF_OFFSETS_BYTES, &text, &count, &text, &count, &i64, &i64, &f64, &f64, &i64, &i64));
  NULLED("answer", lf_answer_tokens(NULL, 0, &ints, &count));
  NULLED("answer", lf_answer_token_scores(NULL, 0, &floats, &count));
  NULLED("answer", lf_answer_logits(NULL, 0, &out));
  NULLED("tokenizer", lf_tokenizer_load(folder, NULL));
  NULLED("text", lf_tokenizer_encode(tokenizer, NULL, 0, NULL, 0, NULL, &encoding));
  NULLED("encodings", lf_tokenizer_encode_batch(tokenizer, &document, NULL, NULL, NULL, 1, NULL, NULL));
  NULLED("ids", lf_tokenizer_decode(tokenizer, NULL, 3, 0, &owned, NULL));
  NULLED("role", lf_tokenizer_special_token(tokenizer, NULL, &i32));
  NULLED("encoding", lf_encoding_values(NULL, "ids", &ints));
  NULLED("encoding", lf_encoding_ranges(NULL, LF_OFFSETS_BYTES, &ints));
  NULLED("encoding", lf_encoding_describe(NULL, LF_OFFSETS_BYTES, &count, &ints, &ints, &ints, &ints, &ints, &ints, &count));
  NULLED("encoding", lf_encoding_overflow(NULL, 0, &encoding));
  NULLED("query", lf_banded_attention(NULL, tensor, tensor, 1, 1, NULL, &out, NULL));
  NULLED("key", lf_banded_attention_probabilities(tensor, NULL, 1, 1, NULL, &out));
  NULLED("global_index", lf_global_attention(tensor, tensor, tensor, NULL, NULL, &out));
  NULLED("source", lf_convert(NULL, "x", NULL, NULL));
  NULLED("task", lf_train(NULL, folder, &document, 1, NULL, 0, "x", NULL, &answer));
  NULLED("checkpoint", lf_train("classify", NULL, &document, 1, NULL, 0, "x", NULL, &answer));
  NULLED("data", lf_train("classify", folder, NULL, 1, NULL, 0, "x", NULL, &answer));
  NULLED("evaluation", lf_train("classify", folder, &document, 1, NULL, 1, "x", NULL, &answer));
  NULLED("output", lf_train("classify", folder, &document, 1, NULL, 0, NULL, NULL, &answer));
  NULLED("metrics", lf_evaluate("classify", folder, &document, 1, NULL, NULL, NULL));
  NULLED("checkpoint", lf_evaluate("classify", NULL, &document, 1, NULL, &answer, NULL));
  OK(lf_load_options_free(NULL));
  OK(lf_options_free(NULL));
  OK(lf_tensor_free(NULL));
  OK(lf_tensors_free(NULL));
  OK(lf_model_free(NULL));
  OK(lf_document_encoder_free(NULL));
  OK(lf_question_answerer_free(NULL));
  OK(lf_text_classifier_free(NULL));
  OK(lf_token_classifier_free(NULL));
  OK(lf_multiple_choice_free(NULL));
  OK(lf_mask_filler_free(NULL));
  OK(lf_summarizer_free(NULL));
  OK(lf_answer_free(NULL));
  OK(lf_tokenizer_free(NULL));
  OK(lf_encoding_free(NULL));
  OK(lf_text_free(NULL));
}

static void wrong_handles(void) {
  lf_tensor* out = (lf_tensor*)&failures;
  lf_options* freed = NULL;
  int64_t ids[2] = {0, 2}, shape = 2, garbage;
  lf_tensor* other = NULL;
  const char* document = "text";
  int32_t size;
  char* text = NULL;
  REFUSED(LF_INVALID_ARGUMENT, "given an lf_tokenizer", lf_document_encoder_hidden_size((lf_document_encoder*)(void*)tokenizer, &size));
  REFUSED(LF_INVALID_ARGUMENT, "no handle", lf_document_encoder_hidden_size((lf_document_encoder*)(void*)&garbage, &size));
  REFUSED(LF_INVALID_ARGUMENT, "no handle", lf_document_encoder_hidden_size((lf_document_encoder*)(intptr_t)-1, &size));
  REFUSED(LF_INVALID_ARGUMENT, "no handle", lf_document_encoder_hidden_size((lf_document_encoder*)(intptr_t)1, &size));
  REFUSED(LF_INVALID_ARGUMENT, "given an lf_document_encoder", lf_tokenizer_free((lf_tokenizer*)(void*)encoder));
  OK(lf_options_create(&freed));
  OK(lf_options_free(freed));
  REFUSED(LF_INVALID_ARGUMENT, "was freed", lf_options_free(freed));
  REFUSED(LF_INVALID_ARGUMENT, "was freed", lf_options_set_int(freed, "top", 1));
  REFUSED(LF_INVALID_ARGUMENT, "was freed", lf_document_encoder_encode(encoder, &document, NULL, 1, freed, &out, NULL));
  CHECK(out == NULL);
  OK(lf_tensor_copy(ids, sizeof ids, LF_INT64, &shape, 1, &other)); /* may have the slot of the freed one */
  REFUSED(LF_INVALID_ARGUMENT, "was freed", lf_options_set_int(freed, "top", 1));
  OK(lf_tensor_free(other));
  OK(lf_tokenizer_id_to_token(tokenizer, 5, &text, NULL));
  OK(lf_text_free(text));
  REFUSED(LF_INVALID_ARGUMENT, "not freed", lf_text_free((char*)&garbage));
  REFUSED(LF_ABI_MISMATCH, "interface 99", lf_require_abi(99));
}

static void wrong_sizes(void) {
  float values[6] = {0, 1, 2, 3, 4, 5};
  int64_t shape[2] = {2, 3}, negative[2] = {2, -1}, huge[2] = {INT64_C(1) << 40, INT64_C(1) << 40}, strides[2] = {-3, 1};
  lf_tensor* out = NULL;
  const char* name = NULL;
  REFUSED(LF_INVALID_ARGUMENT, "expected 24", lf_tensor_copy(values, 20, LF_FLOAT32, shape, 2, &out));
  REFUSED(LF_INVALID_INPUT, "expected sizes of 0 or more", lf_tensor_copy(values, 24, LF_FLOAT32, negative, 2, &out));
  REFUSED(LF_INVALID_INPUT, "64 bits", lf_tensor_copy(values, 24, LF_FLOAT32, huge, 2, &out));
  REFUSED(LF_INVALID_ARGUMENT, "rank", lf_tensor_copy(values, 24, LF_FLOAT32, shape, -1, &out));
  REFUSED(LF_INVALID_ARGUMENT, "rank", lf_tensor_copy(values, 24, LF_FLOAT32, shape, 65, &out));
  REFUSED(LF_INVALID_ARGUMENT, "dtype", lf_tensor_copy(values, 24, (lf_dtype)77, shape, 2, &out));
  CHECK(lf_tensor_from_memory(values, LF_FLOAT32, shape, strides, 2, NULL, NULL, NULL, &out) != LF_OK);
  CHECK(lf_tensor_from_memory(values, LF_FLOAT32, shape, NULL, 2, "cuda:99", NULL, NULL, &out) != LF_OK);
  REFUSED(LF_INVALID_INPUT, "names no device", lf_tensor_from_memory(values, LF_FLOAT32, shape, NULL, 2, "gpu", NULL, NULL, &out));
  REFUSED(LF_INVALID_ARGUMENT, "at least", lf_tensor_read(tensor, values, 1));
  CHECK(lf_banded_attention(tensor, tensor, tensor, 1, 1, NULL, &out, NULL) != LF_OK);
  CHECK(lf_global_attention(tensor, tensor, tensor, tensor, NULL, &out) != LF_OK);
  REFUSED(LF_CHECKPOINT, "no-such-file", lf_tensors_open("no-such-file", (lf_tensors**)&name));
}

static void texts(void) {
  const char zero[] = "one\0two", *documents[2] = {zero, "three"}, *bad = "abc\xff", *surrogate = "\xed\xa0\x80", *cut = "caf\xc3";
  size_t lengths[2] = {7, 5}, count = 0, n = 0;
  lf_tensor *out = NULL, *offsets = NULL;
  lf_encoding* encoding = NULL;
  lf_tokenizer* none = NULL;
  const int32_t *ids = NULL, *ranges = NULL;
  char* text = NULL;
  OK(lf_document_encoder_encode(encoder, documents, lengths, 2, NULL, &out, &offsets));
  OK(lf_tensor_free(out));
  OK(lf_tensor_free(offsets));
  /* The zero byte is a character of the text like any other. */
  OK(lf_tokenizer_encode(tokenizer, zero, 7, NULL, 0, NULL, &encoding));
  OK(lf_encoding_count(encoding, &count));
  OK(lf_encoding_values(encoding, "ids", &ids));
  OK(lf_encoding_ranges(encoding, LF_OFFSETS_BYTES, &ranges));
  CHECK(count > 2 && ranges[2 * (count - 2) + 1] == 7);
  OK(lf_tokenizer_decode(tokenizer, ids, count, 1, &text, &n));
  CHECK(n == 7 && memcmp(text, zero, 8) == 0);
  OK(lf_text_free(text));
  OK(lf_encoding_free(encoding));
  REFUSED(LF_INVALID_ARGUMENT, "documents[0]: not UTF-8 at byte 3 (0xff)", lf_document_encoder_encode(encoder, &bad, NULL, 1, NULL, &out, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "not UTF-8 at byte 0 (0xed)", lf_document_encoder_encode(encoder, &surrogate, NULL, 1, NULL, &out, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "not UTF-8 at byte 3 (0xc3)", lf_document_encoder_encode(encoder, &cut, NULL, 1, NULL, &out, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "not UTF-8", lf_tokenizer_load("\xc0\xaf", &none));
  ids = (const int32_t[]){5, -1};
  REFUSED(LF_INVALID_INPUT, "ids[1]: expected an id of 0 or more, given -1", lf_tokenizer_decode(tokenizer, ids, 2, 0, &text, &n));
  documents[0] = "";
  REFUSED(LF_INVALID_INPUT, "documents[0]: the text is empty", lf_document_encoder_encode(encoder, documents, NULL, 1, NULL, &out, NULL));
}

static int32_t refuse(void* context) {
  (*(int*)context)++;
  return 1;
}

/* A refused call writes nothing. */
static void caller_memory(void) {
  enum { WIDTH = 64, CANARY = 7 };
  const char *documents[2] = {"text", ""}, *bad = "abc\xff";
  float values[2 * WIDTH + 1];
  int64_t offsets[3] = {CANARY, CANARY, CANARY};
  lf_options* tokens = NULL;
  lf_options* stop = NULL;
  int asked = 0, i;
  for (i = 0; i <= 2 * WIDTH; i++) values[i] = CANARY;
  OK(lf_options_create(&tokens));
  OK(lf_options_set_text(tokens, "pooling", "tokens", LF_TERMINATED));
  OK(lf_options_create(&stop));
  OK(lf_options_set_cancel(stop, refuse, &asked));
  REFUSED(LF_INVALID_ARGUMENT, "expected at least 64 floats, 1 vectors of 64, given 63",
          lf_document_encoder_encode_into(encoder, documents, NULL, 1, NULL, values, WIDTH - 1, offsets));
  REFUSED(LF_INVALID_ARGUMENT, "given 0", lf_document_encoder_encode_into(encoder, documents, NULL, 1, NULL, values, 0, offsets));
  REFUSED(LF_INVALID_ARGUMENT, "vectors of 64, given 64", lf_document_encoder_encode_into(encoder, documents, NULL, 1, tokens, values, WIDTH, offsets));
  REFUSED(LF_INVALID_INPUT, "documents[1]: the text is empty", lf_document_encoder_encode_into(encoder, documents, NULL, 2, NULL, values, 2 * WIDTH, offsets));
  REFUSED(LF_INVALID_INPUT, "documents[1]: the text is empty", lf_document_encoder_encode_into(encoder, documents, NULL, 2, NULL, NULL, 0, offsets));
  REFUSED(LF_INVALID_ARGUMENT, "not UTF-8 at byte 3", lf_document_encoder_encode_into(encoder, &bad, NULL, 1, NULL, values, WIDTH, offsets));
  REFUSED(LF_CANCELLED, "asked to stop", lf_document_encoder_encode_into(encoder, documents, NULL, 1, stop, values, WIDTH, offsets));
  CHECK(asked >= 1);
  for (i = 0; i <= 2 * WIDTH; i++) CHECK(values[i] == CANARY);
  for (i = 0; i < 3; i++) CHECK(offsets[i] == CANARY);
  OK(lf_options_free(tokens));
  OK(lf_options_free(stop));
}

static void option_values(void) {
  const char* document = "text";
  lf_load_options* loading = NULL;
  lf_tensor* out = NULL;
  int asked = 0;
  lf_options *wrong = NULL, *stop = NULL;
  OK(lf_load_options_create(&loading));
  REFUSED(LF_INVALID_ARGUMENT, "no load option", lf_load_options_set(loading, "devise", "cpu"));
  REFUSED(LF_INVALID_INPUT, "names no device", lf_load_options_set(loading, "device", "gpu"));
  REFUSED(LF_INVALID_INPUT, "expected float32", lf_load_options_set(loading, "dtype", "int4"));
  REFUSED(LF_INVALID_INPUT, "expected fused, chunks or loop", lf_load_options_set(loading, "attention", "dense"));
  OK(lf_load_options_free(loading));
  OK(lf_options_create(&wrong));
  OK(lf_options_set_int(wrong, "beams", 2));
  REFUSED(LF_INVALID_ARGUMENT, "takes no \"beams\"", lf_document_encoder_encode(encoder, &document, NULL, 1, wrong, &out, NULL));
  OK(lf_options_free(wrong));
  OK(lf_options_create(&wrong));
  OK(lf_options_set_text(wrong, "pooling", "max", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "expected mean, cls, tokens", lf_document_encoder_encode(encoder, &document, NULL, 1, wrong, &out, NULL));
  OK(lf_options_set_int(wrong, "pooling", 1));
  REFUSED(LF_INVALID_INPUT, "expected a text, given an int", lf_document_encoder_encode(encoder, &document, NULL, 1, wrong, &out, NULL));
  OK(lf_options_free(wrong));
  OK(lf_options_create(&stop));
  OK(lf_options_set_cancel(stop, refuse, &asked));
  REFUSED(LF_CANCELLED, "asked to stop", lf_document_encoder_encode(encoder, &document, NULL, 1, stop, &out, NULL));
  CHECK(asked >= 1 && out == NULL);
  REFUSED(LF_INVALID_INPUT, "expected at least 0, given -1", lf_options_set_cancel_interval(stop, -1));
  OK(lf_options_free(stop));
}

int main(int argc, char** argv) {
  float values[4] = {1, 2, 3, 4};
  int64_t shape = 4, handles = -1, tensors = -1;
  lf_model* wrong = NULL;
  lf_summarizer* summarizer = NULL;
  if (argc != 3) return 2;
  OK(lf_check_abi());
  OK(lf_document_encoder_load(argv[1], NULL, &encoder));
  OK(lf_task_tokenizer(encoder, &tokenizer));
  OK(lf_options_create(&options));
  OK(lf_tensor_copy(values, sizeof values, LF_FLOAT32, &shape, 1, &tensor));
  null_everywhere(argv[1]);
  wrong_handles();
  wrong_sizes();
  texts();
  caller_memory();
  option_values();
  REFUSED(LF_CHECKPOINT, "no such folder", lf_model_load("no such folder", NULL, &wrong));
  REFUSED(LF_INVALID_INPUT, "folder", lf_model_load("", NULL, &wrong));
  CHECK(lf_summarizer_load(argv[1], NULL, &summarizer) != LF_OK); /* no LED */
  CHECK(lf_mask_filler_load(argv[2], NULL, (lf_mask_filler**)(void*)&wrong) != LF_OK); /* an LED */
  OK(lf_document_encoder_free(encoder));
  OK(lf_document_encoder_load(argv[2], NULL, &encoder)); /* an LED's encoder */
  OK(lf_tensor_free(tensor));
  OK(lf_options_free(options));
  OK(lf_tokenizer_free(tokenizer));
  OK(lf_document_encoder_free(encoder));
  OK(lf_live(&handles, &tensors));
  CHECK(handles == 0 && tensors == 0);
  return finish();
}
