/* Lines from a process on the bench's socket, or an operator on its control socket. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tests/bench/protocol.h"

enum { LINE_MAX_BYTES = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[LINE_MAX_BYTES];
    char error[BENCH_ERROR_MAX];
    char *words[BENCH_WORDS_MAX];
    struct bench_command command;
    if (size == 0 || size - 1 >= sizeof(line))
        return 0;
    memcpy(line, data + 1, size - 1);
    line[size - 1] = '\0';
    memset(error, 0, sizeof(error));
    if (bench_protocol_parse(line, (enum bench_role)(data[0] % 4), &command, error)) {
        HF_CHECK(command.verb <= BENCH_MODBUS);
        if (command.verb == BENCH_HELLO)
            HF_CHECK(command.role != BENCH_ROLE_NONE && command.pid > 0);
    } else {
        HF_CHECK(error[0] != '\0');
    }
    int count = bench_split_words(line, words);
    HF_CHECK(count >= 0 && count <= BENCH_WORDS_MAX);
    return 0;
}
