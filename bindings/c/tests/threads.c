/* One model, eight threads: threads ENCODER_FOLDER. Results bit-equal to one thread's; errors are per thread; freed while in use. */
#include "support.h"

#include <pthread.h>

#define THREADS 8
#define ROUNDS 4
#define DOCUMENTS 4

static lf_document_encoder* encoder;
static char* documents[DOCUMENTS];
static float* expected[DOCUMENTS];
static int64_t width;

static int encode_equal(int d, lf_document_encoder* with) {
  lf_tensor* vector = NULL;
  const void* data = NULL;
  float own[64] = {0};
  int equal = lf_document_encoder_encode(with, (const char* const*)&documents[d], NULL, 1, NULL, &vector, NULL) == LF_OK
              && lf_tensor_data(vector, &data) == LF_OK && memcmp(data, expected[d], (size_t)width * sizeof(float)) == 0
              && lf_document_encoder_encode_into(with, (const char* const*)&documents[d], NULL, 1, NULL, own, 64, NULL) == LF_OK
              && memcmp(own, expected[d], sizeof own) == 0;
  lf_tensor_free(vector);
  return equal;
}

static void* work(void* argument) {
  const int me = (int)(intptr_t)argument;
  long wrong = 0;
  int round, d;
  char name[64];
  lf_model* model = NULL;
  for (round = 0; round < ROUNDS; round++)
    for (d = 0; d < DOCUMENTS; d++) wrong += !encode_equal((d + me) % DOCUMENTS, encoder);
  snprintf(name, sizeof name, "there-is-no-folder-%d", me);
  wrong += lf_model_load(name, NULL, &model) != LF_CHECKPOINT;
  for (round = 0; round < 1000; round++) wrong += strstr(lf_last_error(), name) == NULL;
  return (void*)(intptr_t)wrong;
}

/* Frees its handle while others are inside; they end well, later uses are refused. */
static void* work_until_freed(void* argument) {
  lf_tensor* vector = NULL;
  const char* document = documents[0];
  lf_status status;
  (void)argument;
  do {
    status = lf_document_encoder_encode(encoder, &document, NULL, 1, NULL, &vector, NULL);
    lf_tensor_free(vector);
  } while (status == LF_OK);
  return (void*)(intptr_t)status;
}

int main(int argc, char** argv) {
  pthread_t threads[THREADS];
  int d, t;
  if (argc != 2) return 2;
  OK(lf_check_abi());
  OK(lf_set_threads(2));
  OK(lf_document_encoder_load(argv[1], NULL, &encoder));
  for (d = 0; d < DOCUMENTS; d++) {
    lf_tensor* vector = NULL;
    const void* data = NULL;
    const int64_t* shape = NULL;
    documents[d] = make_text(20 + 60 * d, (unsigned)d + 1);
    OK(lf_document_encoder_encode(encoder, (const char* const*)&documents[d], NULL, 1, NULL, &vector, NULL));
    OK(lf_tensor_data(vector, &data));
    OK(lf_tensor_shape(vector, &shape));
    if (failures != 0) return finish();
    width = shape[1];
    expected[d] = (float*)malloc((size_t)width * sizeof(float));
    memcpy(expected[d], data, (size_t)width * sizeof(float));
    lf_tensor_free(vector);
  }
  for (t = 0; t < THREADS; t++) CHECK(pthread_create(&threads[t], NULL, work, (void*)(intptr_t)t) == 0);
  for (t = 0; t < THREADS; t++) {
    void* wrong = NULL;
    pthread_join(threads[t], &wrong);
    CHECK(wrong == NULL);
  }
  CHECK(strcmp(lf_last_error(), "") == 0); /* nothing failed on this thread */
  for (t = 0; t < 3; t++) CHECK(pthread_create(&threads[t], NULL, work_until_freed, NULL) == 0);
  for (d = 0; d < 5; d++) CHECK(encode_equal(0, encoder));
  OK(lf_document_encoder_free(encoder));
  for (t = 0; t < 3; t++) {
    void* status = NULL;
    pthread_join(threads[t], &status);
    CHECK((lf_status)(intptr_t)status == LF_INVALID_ARGUMENT);
  }
  for (d = 0; d < DOCUMENTS; d++) {
    free(documents[d]);
    free(expected[d]);
  }
  {
    int64_t handles = -1, tensors = -1;
    OK(lf_live(&handles, &tensors));
    CHECK(handles == 0 && tensors == 0);
  }
  return finish();
}
