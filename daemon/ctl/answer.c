#include "ctl/answer.h"

#include <string.h>

#include "base/name.h"

static const char greeting[] = "holdfast ";
static const char refusal[] = "ERR ";
static const char misuse[] = "ERR 400 ";
static const char elsewhere[] = "ERR 421 ";

void ctl_answer_init(struct ctl_answer *answer, FILE *out, FILE *errors)
{
    memset(answer, 0, sizeof(*answer));
    answer->fresh = true;
    answer->out = out;
    answer->errors = errors;
}

static void put(struct ctl_answer *answer, const char *bytes, size_t length)
{
    for (size_t i = 0; answer->moved && i < length; i++) {
        if (answer->line_length + 1 < sizeof(answer->line))
            answer->line[answer->line_length++] = bytes[i];
    }
    if (answer->part == CTL_ANSWER_BODY && !answer->moved)
        printable_write(&answer->printable, bytes, length,
                        answer->refused ? answer->errors : answer->out);
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
        answer->moved = starts(answer, elsewhere);
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

static bool is_plain(const char *text)
{
    while (*text > ' ' && *text < 0x7f)
        text++;
    return *text == '\0';
}

bool ctl_answer_elsewhere(const struct ctl_answer *answer, char *node, size_t node_size,
                          char *address, size_t address_size)
{
    static const char ask[] = ": ask ";
    static const char at[] = " at ";
    if (!answer->moved)
        return false;
    const char *name = strstr(answer->line, ask);
    const char *where = name ? strstr(name + sizeof(ask) - 1, at) : NULL;
    if (!where)
        return false;
    name += sizeof(ask) - 1;
    size_t name_length = (size_t)(where - name);
    where += sizeof(at) - 1;
    size_t where_length = strcspn(where, "\n");
    if (name_length == 0 || name_length >= node_size || where_length == 0 ||
        where_length >= address_size)
        return false;
    memcpy(node, name, name_length);
    node[name_length] = '\0';
    memcpy(address, where, where_length);
    address[where_length] = '\0';
    return name_from_string(&(struct hf_name){ 0 }, node) && is_plain(address);
}
