#include "backup/backup.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>

#include "lease/lease_message.h"

enum {
    LINE_BYTES = 57, /* of the table in one line */
    LINE_TEXT = 76,  /* base64 of them */
    HEAD_MAX = 2048,
    DIGEST_BYTES = 32,
    FIELD_MAX = 1024
};

static const char title[] = "holdfast backup, format ";
static const char learner[] = "/learner";
#define COUNTER_END (UINT64_C(1) << 62)

void backup_time(int64_t wall_us, char out[BACKUP_TIME_MAX])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(out, BACKUP_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(out, BACKUP_TIME_MAX, "-");
}

void backup_digest(struct bytes bytes, char out[65])
{
    uint8_t digest[DIGEST_BYTES] = { 0 };
    (void)mbedtls_sha256_ret(bytes.data, bytes.length, digest, 0); /* cannot fail in software */
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---- writing */

size_t backup_text_max(size_t table_length)
{
    return HEAD_MAX + (table_length / LINE_BYTES + 1) * (LINE_TEXT + 1);
}

struct writer {
    char *out;
    size_t capacity;
    size_t length;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format,
                                                      ...)
{
    va_list arguments;
    if (writer->full)
        return;
    size_t room = writer->capacity - writer->length;
    va_start(arguments, format);
    int length = vsnprintf(writer->out + writer->length, room, format, arguments);
    va_end(arguments);
    writer->full = length < 0 || (size_t)length >= room;
    writer->length += writer->full ? 0 : (size_t)length;
}

static void put_table(struct writer *writer, struct bytes table)
{
    for (size_t at = 0; at < table.length; at += LINE_BYTES) {
        unsigned char line[LINE_TEXT + 4];
        size_t part = table.length - at < LINE_BYTES ? table.length - at : LINE_BYTES;
        size_t length = 0;
        if (mbedtls_base64_encode(line, sizeof(line), &length, table.data + at, part) != 0)
            writer->full = true;
        put(writer, "%.*s\n", (int)length, (const char *)line);
    }
}

size_t backup_write(const struct backup *backup, char *out, size_t capacity)
{
    struct writer writer = { .out = out, .capacity = capacity, .full = capacity == 0 };
    char text[65];
    backup_time(backup->wall_us, text);
    put(&writer,
        "%s%d\ncluster: %s\nnode: %s\nindex: %" PRIu64 "\nterm: %" PRIu64
        "\ntime: %s\nwall_us: %" PRId64 "\nlease_max_us: %" PRId64 "\nmembers:",
        title, BACKUP_VERSION, backup->cluster.text, backup->node.text, backup->index, backup->term,
        text, backup->wall_us, backup->lease_max_us);
    for (uint8_t i = 0; i < backup->members.count; i++) {
        const struct raft_member *member = &backup->members.member[i];
        put(&writer, " %s%s%s%s", member->id.text, member->address[0] != '\0' ? "=" : "",
            member->address, member->voter ? "" : learner);
    }
    put(&writer, "\ntable: %zu\n", backup->table.length);
    put_table(&writer, backup->table);
    if (writer.full)
        return 0;
    backup_digest((struct bytes){ (const uint8_t *)out, writer.length }, text);
    put(&writer, "sha256: %s\n", text);
    return writer.full ? 0 : writer.length;
}

/* ---- reading */

struct reader {
    const char *at;
    const char *end;
    char *error;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct reader *reader,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->error, BACKUP_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

/* The next line without its end, which is written there: false if there is none, or too long. */
static bool take_line(struct reader *reader, char *line, size_t size)
{
    const char *end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    if (end == NULL || (size_t)(end - reader->at) >= size ||
        memchr(reader->at, '\0', (size_t)(end - reader->at)) != NULL)
        return false;
    memcpy(line, reader->at, (size_t)(end - reader->at));
    line[end - reader->at] = '\0';
    reader->at = end + 1;
    return true;
}

/* The value of the line "key: value", which must be the next one. */
static bool take_field(struct reader *reader, const char *key, char value[FIELD_MAX])
{
    char line[FIELD_MAX];
    size_t length = strlen(key);
    if (!take_line(reader, line, sizeof(line)) || strncmp(line, key, length) != 0 ||
        strncmp(line + length, ": ", 2) != 0)
        return refuse(reader, "no line \"%s: ...\" where one must be", key);
    memmove(value, line + length + 2, strlen(line + length + 2) + 1);
    return true;
}

static bool take_number(struct reader *reader, const char *key, uint64_t low, uint64_t high,
                        uint64_t *number)
{
    char value[FIELD_MAX] = "";
    char *end = NULL;
    if (!take_field(reader, key, value))
        return false;
    *number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || strlen(value) > 19 || *number < low ||
        *number > high)
        return refuse(reader, "%s is \"%.24s\", must be %" PRIu64 " to %" PRIu64, key, value, low,
                      high);
    return true;
}

static bool take_name(struct reader *reader, const char *key, struct hf_name *name)
{
    char value[FIELD_MAX];
    if (!take_field(reader, key, value))
        return false;
    return name_from_string(name, value) || refuse(reader, "%s is no name", key);
}

/* "ID", "ID=ADDRESS", either with "/learner" behind it. The word is cut to pieces. */
static bool read_member(struct raft_member *member, char *word)
{
    char *slash = strchr(word, '/');
    char *address = strchr(word, '=');
    *member = (struct raft_member){ .voter = slash == NULL || strcmp(slash, learner) != 0 };
    if (!member->voter)
        *slash = '\0';
    if (address != NULL) {
        *address++ = '\0';
        if (address[0] == '\0' || strlen(address) > HF_ADDRESS_MAX)
            return false;
        text_copy(member->address, sizeof(member->address), address);
    }
    return strchr(address != NULL ? address : word, '/') == NULL &&
           name_from_string(&member->id, word);
}

static bool take_members(struct reader *reader, struct raft_members *members)
{
    char value[FIELD_MAX];
    char *rest = NULL;
    if (!take_field(reader, "members", value))
        return false;
    members->count = 0;
    for (char *word = strtok_r(value, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        struct raft_member member;
        if (members->count == HF_ISSUERS_MAX || !read_member(&member, word) ||
            raft_member_index(members, &member.id) >= 0)
            return refuse(reader, "members are not 1 to %d different names", HF_ISSUERS_MAX);
        members->member[members->count++] = member;
    }
    return raft_voter_count(members) > 0 || refuse(reader, "members have no voter");
}

static bool take_table(struct reader *reader, struct backup *backup, uint8_t *bytes,
                       size_t capacity)
{
    uint64_t length = 0;
    size_t at = 0;
    if (!take_number(reader, "table", 1, capacity, &length))
        return false;
    while (at < length) {
        char line[LINE_TEXT + 1];
        size_t wanted = length - at < LINE_BYTES ? (size_t)length - at : LINE_BYTES;
        size_t got = 0;
        if (!take_line(reader, line, sizeof(line)) ||
            mbedtls_base64_decode(bytes + at, capacity - at, &got, (const unsigned char *)line,
                                  strlen(line)) != 0 ||
            got != wanted)
            return refuse(reader, "the table is not whole from byte %zu on", at);
        at += got;
    }
    backup->table = (struct bytes){ bytes, at };
    return true;
}

static bool take_head(struct reader *reader, struct backup *backup)
{
    char value[FIELD_MAX];
    uint64_t wall_us = 0;
    uint64_t lease_max_us = 0;
    if (!take_name(reader, "cluster", &backup->cluster) ||
        !take_name(reader, "node", &backup->node) ||
        !take_number(reader, "index", 1, COUNTER_END - 1, &backup->index) ||
        !take_number(reader, "term", 1, COUNTER_END - 1, &backup->term) ||
        !take_field(reader, "time", value) ||
        !take_number(reader, "wall_us", 0, COUNTER_END - 1, &wall_us) ||
        !take_number(reader, "lease_max_us", 1, LEASE_UNKNOWN_MAX_US, &lease_max_us))
        return false;
    backup->wall_us = (int64_t)wall_us;
    backup->lease_max_us = (int64_t)lease_max_us;
    return take_members(reader, &backup->members);
}

/* The checksum first: what it does not vouch for is not worth a closer look. */
static bool check_digest(struct reader *reader, struct bytes text)
{
    enum { LAST_LINE = 8 + 64 + 1 };
    char digest[65];
    if (text.length < LAST_LINE || text.data[text.length - 1] != '\n' ||
        memcmp(text.data + text.length - LAST_LINE, "sha256: ", 8) != 0)
        return refuse(reader,
                      "its last line is no checksum: it is cut short, or something follows");
    reader->end -= LAST_LINE;
    backup_digest((struct bytes){ text.data, text.length - LAST_LINE }, digest);
    return memcmp(digest, text.data + text.length - LAST_LINE + 8, 64) == 0 ||
           refuse(reader, "its checksum does not hold: it is damaged or was changed");
}

bool backup_read(struct backup *backup, struct bytes text, uint8_t *bytes, size_t capacity,
                 struct lease_table *table, char error[BACKUP_ERROR_MAX])
{
    struct reader reader = { .at = (const char *)text.data,
                             .end = (const char *)text.data + text.length,
                             .error = error };
    char line[FIELD_MAX];
    memset(backup, 0, sizeof(*backup));
    if (text.length < strlen(title) || memcmp(text.data, title, strlen(title)) != 0 ||
        !take_line(&reader, line, sizeof(line)))
        return refuse(&reader, "no backup of Holdfast");
    if (strcmp(line + strlen(title), "1") != 0)
        return refuse(&reader, "format %.16s, this program reads %d", line + strlen(title),
                      BACKUP_VERSION);
    if (!check_digest(&reader, text) || !take_head(&reader, backup) ||
        !take_table(&reader, backup, bytes, capacity))
        return false;
    if (reader.at != reader.end)
        return refuse(&reader, "there is more behind its table");
    if (!lease_table_decode(table, backup->table) || table->applied != backup->index)
        return refuse(&reader, "its table cannot be read, or is not of entry %" PRIu64,
                      backup->index);
    return true;
}
