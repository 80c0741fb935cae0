/* What a console sends to holdfastctl, in pieces of any size. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "ctl/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = NULL;
    size_t length = 0;
    if (size == 0)
        return 0;
    FILE *out = open_memstream(&text, &length);
    HF_CHECK(out != NULL);
    struct ctl_answer answer;
    ctl_answer_init(&answer, out, out);
    size_t step = (size_t)data[0] % 32 + 1;
    for (size_t at = 1; at < size && answer.part != CTL_ANSWER_DONE;) {
        size_t piece = size - at < step ? size - at : step;
        size_t taken = ctl_answer_take(&answer, (const char *)data + at, piece);
        HF_CHECK(taken > 0 && taken <= piece);
        at += taken;
    }
    fclose(out);
    /* Nothing is made up: an answer is at most what came. */
    HF_CHECK(length <= size);
    free(text);
    return 0;
}
