#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fnv.h"
#include "log/log.h"

static const char heading[] = "holdfast faults, format 2\n";
static const uint64_t some_boot = UINT64_MAX; /* nobody knows which */
enum { SUM_BYTES = 5 + 16 + 1, WORD_MAX = 24, DATE_MAX = 40 };

/* ---- text */

/* A fault's name as one word. */
static void fault_word(enum guard_fault fault, char word[WORD_MAX])
{
    snprintf(word, WORD_MAX, "%s", guard_fault_name(fault));
    for (char *at = word; *at != '\0'; at++) {
        if (*at == ' ')
            *at = '-';
    }
}

size_t record_print(const struct record_entry *entry, size_t count, char text[RECORD_TEXT_MAX])
{
    char word[WORD_MAX];
    size_t used = (size_t)snprintf(text, RECORD_TEXT_MAX, "%s", heading);
    for (size_t i = 0; i < count; i++) {
        if (entry[i].fault == GUARD_FAULT_NONE)
            continue;
        fault_word(entry[i].fault, word);
        used += (size_t)snprintf(text + used, RECORD_TEXT_MAX - used,
                                 "%s %s %" PRId64 " %016" PRIx64 "\n", entry[i].resource.text, word,
                                 entry[i].since_s, entry[i].tried);
    }
    uint64_t sum = fnv_add(FNV_START, text, used);
    return used +
           (size_t)snprintf(text + used, RECORD_TEXT_MAX - used, "sum: %016" PRIx64 "\n", sum);
}

/* The next word of the line, which ends at a space or at `end`. False: it is empty or too long. */
static bool next_word(const char **at, const char *end, char *word, size_t size)
{
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    const char *stop = space != NULL ? space : end;
    size_t length = (size_t)(stop - *at);
    if (length == 0 || length >= size)
        return false;
    memcpy(word, *at, length);
    word[length] = '\0';
    *at = space != NULL ? space + 1 : end;
    return true;
}

static bool parse_fault(const char *word, enum guard_fault *fault)
{
    char known[WORD_MAX];
    for (int i = GUARD_FAULT_NONE + 1; i < GUARD_FAULTS; i++) {
        fault_word((enum guard_fault)i, known);
        *fault = (enum guard_fault)i;
        if (strcmp(known, word) == 0)
            return true;
    }
    return false;
}

static bool parse_number(const char *word, int base, uint64_t *number)
{
    char *rest = NULL;
    errno = 0;
    *number = strtoull(word, &rest, base);
    return errno == 0 && *rest == '\0';
}

/* "RESOURCE FAULT SINCE TRIED" */
static bool parse_line(const char *line, const char *end, struct record_entry *entry)
{
    char word[HF_NAME_MAX + 1];
    uint64_t since = 0;
    bool good = next_word(&line, end, word, sizeof(word)) &&
                name_from_string(&entry->resource, word) &&
                next_word(&line, end, word, sizeof(word)) && parse_fault(word, &entry->fault) &&
                next_word(&line, end, word, sizeof(word)) && parse_number(word, 10, &since) &&
                next_word(&line, end, word, sizeof(word)) && parse_number(word, 16, &entry->tried);
    entry->since_s = (int64_t)(since & INT64_MAX);
    return good && line == end;
}

static bool sum_is_right(const char *text, size_t length)
{
    char sum[SUM_BYTES + 1];
    if (length < sizeof(heading) - 1 + SUM_BYTES)
        return false;
    snprintf(sum, sizeof(sum), "sum: %016" PRIx64 "\n",
             fnv_add(FNV_START, text, length - SUM_BYTES));
    return memcmp(text + length - SUM_BYTES, sum, SUM_BYTES) == 0 &&
           memcmp(text, heading, sizeof(heading) - 1) == 0;
}

bool record_parse(const char *text, size_t length, struct record_entry *entry, size_t *count)
{
    *count = 0;
    if (!sum_is_right(text, length))
        return false;
    const char *end = text + length - SUM_BYTES;
    size_t found = 0;
    for (const char *line = text + sizeof(heading) - 1; line < end; found++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (newline == NULL || found == RECORD_ENTRIES_MAX ||
            !parse_line(line, newline, &entry[found]))
            return false;
        line = newline + 1;
    }
    *count = found;
    return true;
}

/* ---- the start */

void record_none(struct record *record, const struct platform *platform)
{
    memset(record, 0, sizeof(*record));
    record->platform = platform;
    record->handle = -1;
}

/* A board that is simulated is reset without a start of this machine's kernel: each start may be one. */
static uint64_t boot_of(const struct platform *platform, const struct conf *conf)
{
    return conf->hal == HAL_SIM ? 0 : platform->boot_id(platform->context);
}

/* Without a boot id a reset that was tried counts as done: a board is not to be reset for ever. */
static enum guard_reset reset_of(const struct record *record, const struct record_entry *kept)
{
    if (kept->tried == 0)
        return GUARD_RESET_TO_COME;
    return kept->tried == record->boot ? GUARD_RESET_BEGUN : GUARD_RESET_DONE;
}

static uint64_t tried_now(const struct record *record)
{
    return record->boot != 0 ? record->boot : some_boot;
}

/* Of a resource that was renamed or removed: it may come back, and its fault is nobody's to clear. */
static void keep_former(struct record *record, const struct record_entry *kept)
{
    bool room = record->count + record->former < RECORD_ENTRIES_MAX;
    if (room)
        record->entry[record->count + record->former++] = *kept;
    log_line(LOG_WARNING, "%s: %s: fault: %s: no resource of this board, %s", record->path,
             kept->resource.text, guard_fault_name(kept->fault), room ? "kept" : "left out");
}

static const char *date_of(int64_t wall_s, char text[DATE_MAX])
{
    time_t at = (time_t)wall_s;
    struct tm parts;
    if (gmtime_r(&at, &parts) == NULL ||
        strftime(text, DATE_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(text, DATE_MAX, "%" PRId64 " s", wall_s);
    return text;
}

static void latch_kept(struct record *record, const struct record_entry *kept, struct guard *guard)
{
    char date[DATE_MAX];
    for (size_t i = 0; i < record->count; i++) {
        struct record_entry *entry = &record->entry[i];
        if (!name_equal(&entry->resource, &kept->resource))
            continue;
        enum guard_reset reset = reset_of(record, kept);
        *entry = *kept;
        guard_latch(guard, (uint8_t)i, kept->fault, reset);
        log_line(
            LOG_ERR,
            "%s: fault: %s, latched at %s%s; outputs stay off until holdfastctl fault clear %s",
            entry->resource.text, guard_fault_name(kept->fault), date_of(kept->since_s, date),
            reset == GUARD_RESET_DONE ? ", the board was reset for it" : "", entry->resource.text);
        return;
    }
    keep_former(record, kept);
}

/*
 * Nobody knows what was latched, nor whether a reset was tried for it. If a guard ran before in this
 * start of the board, what it had is still to have its reset; else the start itself may have been one.
 */
static void latch_all(struct record *record, struct guard *guard, bool earlier, const char *why)
{
    const struct platform *platform = record->platform;
    bool to_come = earlier && record->boot != 0;
    log_line(LOG_ERR,
             "%s: %s: counts as a fault of every resource; outputs stay off until each is cleared",
             record->path, why);
    for (size_t i = 0; i < record->count; i++) {
        record->entry[i].fault = GUARD_FAULT_RECORD;
        record->entry[i].tried = to_come ? 0 : some_boot;
        record->entry[i].since_s = platform->wall_s(platform->context);
        guard_latch(guard, (uint8_t)i, GUARD_FAULT_RECORD,
                    to_come ? GUARD_RESET_TO_COME : GUARD_RESET_DONE);
    }
}

bool record_read(struct record *record, struct guard *guard, bool earlier)
{
    const struct platform *platform = record->platform;
    struct record_entry kept[RECORD_ENTRIES_MAX];
    size_t count = 0;
    ssize_t length = platform->read_record(platform->context, record->handle, record->text,
                                           sizeof(record->text));
    if (length == -ENOENT || length == -EPERM)
        return length == -ENOENT;
    if (length < 0)
        latch_all(record, guard, earlier, strerror((int)-length));
    else if (!record_parse(record->text, (size_t)length, kept, &count))
        latch_all(record, guard, earlier, "damaged");
    for (size_t i = 0; i < count; i++)
        latch_kept(record, &kept[i], guard);
    return true;
}

bool record_open(struct record *record, const struct conf *conf, const struct guard *guard)
{
    const struct platform *platform = record->platform;
    snprintf(record->path, sizeof(record->path), "%s/faults", conf->data_dir);
    record->boot = boot_of(platform, conf);
    record->count = guard->config.resource_count;
    for (size_t i = 0; i < record->count; i++)
        record->entry[i].resource = guard->config.resource[i].name;
    return platform->open_record(platform->context, conf->data_dir, &record->handle);
}

void record_rehearse(struct record *record)
{
    const struct platform *platform = record->platform;
    (void)record_print(record->entry, record->count, record->text);
    (void)platform->wall_s(platform->context);
    if (record->handle >= 0)
        (void)platform->record_written(platform->context, record->handle);
    snprintf(record->text, sizeof(record->text), "%s", strerror(EIO));
}

/* ---- while it runs */

static void start_writing(struct record *record, const struct guard *guard)
{
    const struct platform *platform = record->platform;
    if (record->writing)
        return;
    size_t length = record_print(record->entry, record->count + record->former, record->text);
    record->version = guard->record_version;
    record->wanted = false;
    record->writing = true;
    record->since = platform->now(platform->context);
    record->slow_said = false;
    record->refused = -EPIPE;
    if (record->handle >= 0)
        record->refused =
            platform->write_record(platform->context, record->handle, record->text, length);
    /* Nothing is under way that could still end. */
    if (record->refused == -EAGAIN)
        record->refused = -EBUSY;
}

/* The date of a latch. One that could not be cleared is what it was. */
static void note_change(struct record *record, const struct guard_change *change)
{
    const struct platform *platform = record->platform;
    if (change->to == GUARD_FAULT && change->event != GUARD_EVENT_UNRECORDED)
        record->entry[change->resource].since_s = platform->wall_s(platform->context);
}

static void note_reset(struct record_entry *entry, enum guard_reset reset, uint64_t tried_now)
{
    if (reset == GUARD_RESET_TO_COME)
        entry->tried = 0;
    else if (reset == GUARD_RESET_BEGUN)
        entry->tried = tried_now;
}

void record_changed(struct record *record, const struct guard *guard,
                    const struct guard_effects *effects)
{
    if (!effects->record)
        return;
    for (uint8_t i = 0; i < effects->change_count; i++)
        note_change(record, &effects->change[i]);
    for (size_t i = 0; i < record->count; i++) {
        record->entry[i].fault = guard->resource[i].fault;
        note_reset(&record->entry[i], guard->resource[i].reset, tried_now(record));
    }
    record->wanted = true;
    record_continue(record, guard);
}

void record_continue(struct record *record, const struct guard *guard)
{
    if (record->wanted)
        start_writing(record, guard);
}

static const char *why_failed(int result)
{
    return result == -EPIPE ? "who writes it is gone, no fault can be cleared before a restart" :
                              strerror(-result);
}

static void say_failed(struct record *record, int result)
{
    if (result < 0 && result != record->failed)
        log_line(LOG_ERR, "%s: can't be written: %s: what is latched may not outlive a reset",
                 record->path, why_failed(result));
    record->failed = result;
}

/* Once for each write: who waits for it, as a clearing does, has a cause to look for. */
static void say_slow(struct record *record)
{
    struct span takes =
        instant_diff(record->platform->now(record->platform->context), record->since);
    if (!record->writing || record->slow_said || takes.us < RECORD_SLOW_US)
        return;
    record->slow_said = true;
    log_line(LOG_ERR, "%s: being written for %" PRId64 " ms, and not there yet: %s", record->path,
             takes.us / 1000, "what is latched may not outlive a reset");
}

bool record_ended(struct record *record, bool readable, struct guard_input *input)
{
    const struct platform *platform = record->platform;
    int result = record->refused;
    if (readable && result == 0)
        result = platform->record_written(platform->context, record->handle);
    if (result == -EAGAIN || (result == 0 && !readable)) {
        say_slow(record);
        return false;
    }
    bool ended = record->writing;
    record->writing = false;
    record->refused = 0;
    *input = (struct guard_input){ .kind = GUARD_INPUT_RECORDED,
                                   .version = record->version,
                                   .on = result == 0 };
    say_failed(record, result);
    if (result == -EPIPE)
        record_close(record);
    return ended;
}

bool record_waits(const struct record *record)
{
    return record->wanted;
}

int64_t record_since_s(const struct record *record, uint8_t index)
{
    return record->entry[index].fault != GUARD_FAULT_NONE ? record->entry[index].since_s : 0;
}

void record_close(struct record *record)
{
    if (record->handle >= 0)
        record->platform->close(record->platform->context, record->handle);
    record->handle = -1;
}
