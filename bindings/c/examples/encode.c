/* Documents to vectors: encode FOLDER FILE...   prints each file's vector length and first values. */
#include <longformer.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(void) {
  fprintf(stderr, "encode: %s\n", lf_last_error());
  return 1;
}

/* A whole file; the caller frees it. */
static char* read_file(const char* path, size_t* length) {
  FILE* file = fopen(path, "rb");
  char* text = NULL;
  size_t room = 0;
  *length = 0;
  while (file != NULL && !feof(file) && !ferror(file)) {
    if (*length == room) text = (char*)realloc(text, room = room == 0 ? 4096 : 2 * room);
    if (text == NULL) abort();
    *length += fread(text + *length, 1, room - *length, file);
  }
  if (file != NULL) fclose(file);
  return text;
}

int main(int argc, char** argv) {
  size_t count = argc < 3 ? 0 : (size_t)argc - 2, i;
  char** documents = (char**)calloc(count + 1, sizeof *documents);
  size_t* lengths = (size_t*)calloc(count + 1, sizeof *lengths);
  lf_document_encoder* encoder = NULL;
  lf_options* options = NULL;
  lf_tensor* vectors = NULL;
  const void* data;
  const int64_t* shape;

  if (count == 0 || documents == NULL || lengths == NULL) {
    fprintf(stderr, "usage: encode FOLDER FILE...\n");
    return 2;
  }
  for (i = 0; i < count; i++) {
    documents[i] = read_file(argv[i + 2], &lengths[i]);
    if (documents[i] == NULL) {
      fprintf(stderr, "encode: %s cannot be read\n", argv[i + 2]);
      return 1;
    }
  }
  if (lf_check_abi() != LF_OK) return fail();
  if (lf_document_encoder_load(argv[1], NULL, &encoder) != LF_OK) return fail();
  if (lf_options_create(&options) != LF_OK) return fail();
  if (lf_options_set_text(options, "pooling", "mean", LF_TERMINATED) != LF_OK) return fail();
  if (lf_options_set_int(options, "normalize", 1) != LF_OK) return fail();
  if (lf_options_set_int(options, "truncate", 1) != LF_OK) return fail();
  if (lf_document_encoder_encode(encoder, (const char* const*)documents, lengths, count, options, &vectors, NULL) != LF_OK) return fail();
  if (lf_tensor_data(vectors, &data) != LF_OK || lf_tensor_shape(vectors, &shape) != LF_OK) return fail();
  for (i = 0; i < count; i++) {
    const float* vector = (const float*)data + (int64_t)i * shape[1];
    printf("%s: %d values, %.4f %.4f %.4f ...\n", argv[i + 2], (int)shape[1], vector[0], vector[1], vector[2]);
    free(documents[i]);
  }
  lf_tensor_free(vectors);
  lf_options_free(options);
  lf_document_encoder_free(encoder);
  free(documents);
  free(lengths);
  return 0;
}
