/* fork FOLDER. The promises to a process that forks: workers forked before the first call work; after it every call in the child is refused with
 * one message, the child exits in its own way, and the parent continues as if nothing had been. */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

static const char* folder;

static lf_document_encoder* load(void) {
  lf_document_encoder* encoder = NULL;
  OK(lf_document_encoder_load(folder, NULL, &encoder));
  return encoder;
}

static void encode(lf_document_encoder* encoder) {
  const char* documents[] = {"A document that both processes would read."};
  lf_tensor* vectors = NULL;
  OK(lf_document_encoder_encode(encoder, documents, NULL, 1, NULL, &vectors, NULL));
  OK(lf_tensor_free(vectors));
}

/* The child's exit status. */
static int wait_for(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void forked_before_the_first_call(void) {
  pid_t child;
  CHECK(lf_abi_version() == LF_ABI_VERSION && lf_version()[0] != 0);
  child = fork();
  if (child == 0) {
    lf_document_encoder* encoder = load();
    encode(encoder);
    OK(lf_document_encoder_free(encoder));
    exit(failures);
  }
  CHECK(wait_for(child) == 0);
}

static void forked_after_use(int by_exit) {
  lf_document_encoder* encoder = load();
  pid_t child;
  encode(encoder);
  fflush(NULL);
  child = fork();
  if (child == 0) {
    const char* documents[] = {"A document."};
    lf_tensor* vectors = NULL;
    int64_t tensors = 0;
    REFUSED(LF_FORKED, "spawn or forkserver", lf_document_encoder_encode(encoder, documents, NULL, 1, NULL, &vectors, NULL));
    CHECK(lf_live(NULL, &tensors) == LF_FORKED);
    CHECK(lf_document_encoder_free(encoder) == LF_FORKED);
    CHECK(lf_abi_version() == LF_ABI_VERSION && lf_version()[0] != 0);
    if (by_exit) exit(failures);
    _exit(failures);
  }
  CHECK(wait_for(child) == 0);
  encode(encoder);
  OK(lf_document_encoder_free(encoder));
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  folder = argv[1];
  forked_before_the_first_call();
  forked_after_use(1);
  forked_after_use(0);
  return finish();
}
