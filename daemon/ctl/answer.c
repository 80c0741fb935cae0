#include "ctl/answer.h"

#include <string.h>

static const char greeting[] = "holdfast ";
static const char refusal[] = "ERR ";
static const char misuse[] = "ERR 400 ";

void ctl_answer_init(struct ctl_answer *answer, FILE *out, FILE *errors)
{
    memset(answer, 0, sizeof(*answer));
    answer->fresh = true;
    answer->out = out;
    answer->errors = errors;
}

static void put(struct ctl_answer *answer, const char *bytes, size_t length)
{
    if (answer->part == CTL_ANSWER_BODY)
        (void)fwrite(bytes, 1, length, answer->refused ? answer->errors : answer->out);
}

static void end_line(struct ctl_answer *answer)
{
    if (answer->part == CTL_ANSWER_BODY)
        fflush(answer->refused ? answer->errors : answer->out);
    answer->column = 0;
    answer->passing = false;
    answer->fresh = false;
}

static bool starts(const struct ctl_answer *answer, const char *text)
{
    size_t length = strlen(text);
    return answer->column >= length && memcmp(answer->held, text, length) == 0;
}

/* The held start of a line is no prompt: judges it and lets it out. */
static void let_out(struct ctl_answer *answer)
{
    if (answer->fresh && answer->part == CTL_ANSWER_GREETING)
        answer->greeted = starts(answer, greeting);
    if (answer->fresh && starts(answer, refusal)) {
        /* Before the greeting, too: that is how a console turns a caller away. */
        answer->refused = true;
        answer->misused = starts(answer, misuse);
        answer->part = CTL_ANSWER_BODY;
    }
    put(answer, answer->held, answer->column);
    answer->passing = true;
}

static void end_part(struct ctl_answer *answer)
{
    answer->part = answer->part == CTL_ANSWER_GREETING ? CTL_ANSWER_BODY : CTL_ANSWER_DONE;
    answer->column = 0;
    answer->fresh = true;
}

size_t ctl_answer_take(struct ctl_answer *answer, const char *bytes, size_t length)
{
    const size_t prompt_length = strlen(CTL_PROMPT);
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i];
        if (answer->passing) {
            put(answer, &c, 1);
        } else {
            answer->held[answer->column++] = c;
            if (c == '\n' || answer->column == prompt_length) {
                if (starts(answer, CTL_PROMPT)) {
                    end_part(answer);
                    return i + 1;
                }
                let_out(answer);
            }
        }
        if (c == '\n')
            end_line(answer);
    }
    return length;
}
