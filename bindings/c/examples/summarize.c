/* A summary as it comes into being: summarize [FOLDER] DOCUMENT   a line for the text, one for its tokens and score. Without a folder by the
   model in the box. */
#include <longformer.h>

#include <stdio.h>

static int32_t print_piece(void* context, const char* text, size_t length) {
  (void)context;
  fwrite(text, 1, length, stdout);
  fflush(stdout);
  return 0; /* anything else would stop the work */
}

int main(int argc, char** argv) {
  lf_summarizer* summarizer = NULL;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  const char* documents[1];
  const int32_t* tokens;
  size_t count;
  double score;
  int status = 1;

  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: summarize [FOLDER] DOCUMENT\n");
    return 2;
  }
  documents[0] = argv[argc - 1];
  if (lf_check_abi() == LF_OK
      && lf_summarizer_load(argc == 3 ? argv[1] : NULL, NULL, &summarizer) == LF_OK
      && lf_options_create(&options) == LF_OK
      && lf_options_set_int(options, "beams", 2) == LF_OK
      && lf_options_set_int(options, "max_tokens", 24) == LF_OK
      && lf_options_set_float(options, "length_penalty", 2.0) == LF_OK
      && lf_options_set_on_text(options, print_piece, NULL) == LF_OK
      && lf_summarizer_summarize(summarizer, documents, NULL, 1, options, &answer) == LF_OK
      && lf_answer_tokens(answer, 0, &tokens, &count) == LF_OK
      && lf_answer_score(answer, 0, &score) == LF_OK) {
    printf("\n%d tokens, score %.4f\n", (int)count, score);
    status = 0;
  } else {
    fprintf(stderr, "summarize: %s\n", lf_last_error());
  }
  lf_answer_free(answer);
  lf_options_free(options);
  lf_summarizer_free(summarizer);
  return status;
}
