/* Extractive question answering: answer FOLDER QUESTION DOCUMENT   prints the best three spans with their byte ranges. */
#include <longformer.h>

#include <stdio.h>

int main(int argc, char** argv) {
  lf_question_answerer* answerer = NULL;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  size_t count = 0, i;
  int status = 1;

  if (argc != 4) {
    fprintf(stderr, "usage: answer FOLDER QUESTION DOCUMENT\n");
    return 2;
  }
  if (lf_check_abi() == LF_OK
      && lf_question_answerer_load(argv[1], NULL, &answerer) == LF_OK
      && lf_options_create(&options) == LF_OK
      && lf_options_set_int(options, "top", 3) == LF_OK
      && lf_question_answerer_answer(answerer, argv[2], LF_TERMINATED, argv[3], LF_TERMINATED, options, &answer) == LF_OK
      && lf_answer_count(answer, &count) == LF_OK)
    status = 0;
  for (i = 0; status == 0 && i < count; i++) {
    const char* text;
    int64_t start, end;
    double score;
    if (lf_answer_text(answer, i, &text, NULL) != LF_OK || lf_answer_score(answer, i, &score) != LF_OK
        || lf_answer_range(answer, i, LF_OFFSETS_BYTES, &start, &end) != LF_OK)
      status = 1;
    else
      printf("%.4f [%d..%d] %s\n", score, (int)start, (int)end, text);
  }
  if (status != 0) fprintf(stderr, "answer: %s\n", lf_last_error());
  lf_answer_free(answer);
  lf_options_free(options);
  lf_question_answerer_free(answerer);
  return status;
}
