#include "agent/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/safe_file.h"
#include "log/log.h"
#include "store/crc32c.h"

static const char heading[] = "holdfast tokens, format 1\n";
static const char sum_format[] = "crc32c: %08" PRIx32 "\n";
enum { SUM_BYTES = 8 + 8 + 1 };

/* ---- text */

size_t tokens_print(const struct tokens_entry *entry, size_t count, char text[TOKENS_TEXT_MAX])
{
    size_t used = (size_t)snprintf(text, TOKENS_TEXT_MAX, "%s", heading);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, TOKENS_TEXT_MAX - used, "%s %" PRIu64 "\n",
                                 entry[i].resource.text, entry[i].token);
    uint32_t sum = crc32c(0, (const uint8_t *)text, used);
    return used + (size_t)snprintf(text + used, TOKENS_TEXT_MAX - used, sum_format, sum);
}

/* One line "resource token" of `length` bytes, its newline left out. */
static bool parse_line(const char *line, size_t length, struct tokens_entry *entry)
{
    const char *space = memchr(line, ' ', length);
    if (space == NULL || !name_set(&entry->resource, line, (size_t)(space - line)))
        return false;
    size_t digits = length - (size_t)(space + 1 - line);
    entry->token = 0;
    for (size_t i = 0; i < digits; i++) {
        if (space[1 + i] < '0' || space[1 + i] > '9')
            return false;
        entry->token = entry->token * 10 + (uint64_t)(space[1 + i] - '0');
    }
    return digits > 0 && digits < 19 && entry->token < UINT64_C(1) << 62;
}

static bool sum_is_right(const char *data, size_t length)
{
    char sum[SUM_BYTES + 1];
    if (length < sizeof(heading) - 1 + SUM_BYTES)
        return false;
    size_t summed = length - SUM_BYTES;
    snprintf(sum, sizeof(sum), sum_format, crc32c(0, (const uint8_t *)data, summed));
    return memcmp(data + summed, sum, SUM_BYTES) == 0 &&
           memcmp(data, heading, sizeof(heading) - 1) == 0;
}

bool tokens_parse(struct bytes text, struct tokens_entry entry[HF_LEASES_PER_AGENT_MAX],
                  size_t *count)
{
    const char *data = (const char *)text.data;
    *count = 0;
    if (!sum_is_right(data, text.length))
        return false;
    size_t end = text.length - SUM_BYTES;
    size_t found = 0;
    for (size_t at = sizeof(heading) - 1; at < end; found++) {
        const char *newline = memchr(data + at, '\n', end - at);
        if (newline == NULL || found == HF_LEASES_PER_AGENT_MAX ||
            !parse_line(data + at, (size_t)(newline - data) - at, &entry[found]))
            return false;
        at = (size_t)(newline - data) + 1;
    }
    *count = found;
    return true;
}

/* ---- the file */

/* On a thread of the pool. */
static void write_file(uv_work_t *work)
{
    struct tokens *tokens = work->data;
    char path[TOKENS_PATH_MAX];
    char made[TOKENS_PATH_MAX];
    snprintf(path, sizeof(path), "%s/tokens", tokens->data_dir);
    snprintf(made, sizeof(made), "%s/tokens.new", tokens->data_dir);
    (void)unlink(made); /* what a write that was interrupted left */
    int file = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool done = file >= 0 && write(file, tokens->text, tokens->length) == (ssize_t)tokens->length &&
                fsync(file) == 0;
    tokens->error = done ? 0 : errno != 0 ? errno : EIO;
    if (file >= 0)
        close(file);
    if (done && rename(made, path) != 0)
        tokens->error = errno;
    int folder = done ? open(tokens->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder >= 0) {
        (void)fsync(folder); /* else the token before is said after a power cut */
        close(folder);
    }
}

static void start_writing(struct tokens *tokens);

static void written(uv_work_t *work, int status)
{
    struct tokens *tokens = work->data;
    int error = status != 0 ? ECANCELED : tokens->error;
    tokens->writing = false;
    if (error != 0 && !tokens->told)
        log_line(LOG_WARNING,
                 "%s/tokens: can't be written: %s; after a restart this board can't say "
                 "which tokens it had",
                 tokens->data_dir, strerror(error));
    tokens->told = error != 0;
    if (tokens->changed)
        start_writing(tokens);
}

static void start_writing(struct tokens *tokens)
{
    if (tokens->writing)
        return;
    tokens->length = tokens_print(tokens->entry, tokens->count, tokens->text);
    tokens->work.data = tokens;
    tokens->changed = false;
    tokens->writing = uv_queue_work(tokens->loop, &tokens->work, write_file, written) == 0;
}

static void read_file(const struct tokens *tokens, struct tokens_entry *entry, size_t *count)
{
    char path[TOKENS_PATH_MAX];
    uint8_t text[TOKENS_TEXT_MAX + 1];
    snprintf(path, sizeof(path), "%s/tokens", tokens->data_dir);
    char error[SAFE_FILE_TEXT_MAX];
    *count = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return;
    int file = safe_file_open(path, O_RDONLY, 0600, error, sizeof(error));
    if (file < 0) {
        log_line(LOG_WARNING, "%s; counts as none", error);
        return;
    }
    ssize_t length = read(file, text, sizeof(text));
    int code = errno;
    close(file);
    if (length < 0)
        log_line(LOG_WARNING, "%s: can't be read: %s; counts as none", path, strerror(code));
    else if (!tokens_parse((struct bytes){ text, (size_t)length }, entry, count))
        log_line(LOG_WARNING, "%s: damaged; counts as none", path);
}

void tokens_open(struct tokens *tokens, uv_loop_t *loop, const struct conf *conf,
                 struct holder_config *config)
{
    struct tokens_entry kept[HF_LEASES_PER_AGENT_MAX];
    size_t count = 0;
    memset(tokens, 0, sizeof(*tokens));
    tokens->loop = loop;
    tokens->data_dir = conf->data_dir;
    read_file(tokens, kept, &count);
    for (size_t i = 0; i < config->resource_count; i++) {
        struct tokens_entry *entry = &tokens->entry[tokens->count++];
        entry->resource = config->resource[i].resource;
        for (size_t k = 0; k < count; k++) {
            if (name_equal(&kept[k].resource, &entry->resource))
                entry->token = kept[k].token;
        }
        config->resource[i].highest = entry->token;
    }
    /* What it no longer drives is kept too, as far as there is room: it may drive it again. */
    for (size_t k = 0; k < count && tokens->count < HF_LEASES_PER_AGENT_MAX; k++) {
        bool known = false;
        for (size_t i = 0; i < tokens->count; i++)
            known = known || name_equal(&tokens->entry[i].resource, &kept[k].resource);
        if (!known)
            tokens->entry[tokens->count++] = kept[k];
    }
}

void tokens_note(struct tokens *tokens, const struct holder *holder)
{
    for (size_t i = 0; i < holder->lease_count; i++) {
        if (holder->lease[i].highest <= tokens->entry[i].token)
            continue;
        tokens->entry[i].token = holder->lease[i].highest;
        tokens->changed = true;
    }
    if (tokens->changed)
        start_writing(tokens);
}
