#include "agent/lease_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "files/safe_file.h"
#include "log/log.h"

enum { LEASE_LOG_LINE_MAX = 512 };

static void log_complain(struct lease_log *log, const char *what)
{
    if (!log->failed)
        log_line(LOG_ERR, "%s: %s: %s", log->path, what, strerror(errno));
    log->failed = true;
}

/* A file whose last line was cut off by a SIGKILL gets that line ended. */
static bool log_attach(struct lease_log *log)
{
    struct stat about = { .st_size = 0 };
    char last = '\n';
    char error[SAFE_FILE_TEXT_MAX];
    log->fd = safe_file_open(log->path, O_RDWR | O_APPEND | O_CREAT, 0640, error, sizeof(error));
    if (log->fd < 0) {
        if (!log->failed)
            log_line(LOG_ERR, "%s", error);
        log->failed = true;
        return false;
    }
    if (fstat(log->fd, &about) != 0) {
        log_complain(log, "can't be examined");
        close(log->fd);
        return false;
    }
    log->size = (size_t)about.st_size;
    if (log->size > 0 && pread(log->fd, &last, 1, about.st_size - 1) == 1 && last != '\n' &&
        write(log->fd, "\n", 1) == 1)
        log->size++;
    return true;
}

static void log_write(struct lease_log *log, const char *line, size_t length)
{
    ssize_t written = write(log->fd, line, length);
    if (written == (ssize_t)length)
        log->failed = false;
    else
        log_complain(log, "a line is lost");
    if (written > 0)
        log->size += (size_t)written;
}

/* `{"t_us":...,"ev":"EVENT",FORMAT...}`; format may be "". */
__attribute__((format(printf, 4, 0))) static void log_put(struct lease_log *log, struct instant now,
                                                          const char *event, const char *format,
                                                          va_list arguments)
{
    char line[LEASE_LOG_LINE_MAX];
    int used = snprintf(line, sizeof(line), "{\"t_us\":%" PRId64 ",\"ev\":\"%s\"", now.us, event);
    int more = vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
    /* Names, numbers and one text of at most HF_REASON_MAX: there is always room. */
    if (more < 0 || (size_t)(used + more) + 2 > sizeof(line))
        return;
    used += more;
    line[used++] = '}';
    line[used++] = '\n';
    log_write(log, line, (size_t)used);
}

__attribute__((format(printf, 4, 5))) static void
log_head(struct lease_log *log, struct instant now, const char *event, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_put(log, now, event, format, arguments);
    va_end(arguments);
}

/* Who writes, and the times that the promises rest on. */
static void log_begin(struct lease_log *log, struct instant now, const char *event)
{
    const struct conf *conf = log->conf;
    log_head(log, now, event, ",\"board\":\"%s\",\"pid\":%ld,\"drift_ppm\":%" PRIu32,
             conf->node_id.text, (long)getpid(), conf->drift_ppm);
    for (uint8_t i = 0; i < conf->resource_count; i++) {
        const struct conf_resource *resource = &conf->resource[i];
        log_head(log, now, "resource",
                 ",\"resource\":\"%s\",\"ttl_us\":%" PRIu32 "000,\"release_us\":%" PRIu32 "000"
                 ",\"fence_us\":%" PRId64,
                 resource->name.text, resource->ttl_ms, resource->release_ms, resource->fence.us);
    }
}

static void log_turn_over(struct lease_log *log, struct instant now)
{
    char former[sizeof(log->path) + 2];
    snprintf(former, sizeof(former), "%s.1", log->path);
    if (rename(log->path, former) != 0) {
        log_complain(log, "can't be renamed");
        return;
    }
    close(log->fd);
    if (log_attach(log))
        log_begin(log, now, "continued");
    else
        log->conf = NULL;
}

__attribute__((format(printf, 4, 5))) static void
log_add(struct lease_log *log, struct instant now, const char *event, const char *format, ...)
{
    va_list arguments;
    if (log->size >= (size_t)log->conf->lease_log_kb * 1024)
        log_turn_over(log, now);
    if (log->conf == NULL)
        return;
    va_start(arguments, format);
    log_put(log, now, event, format, arguments);
    va_end(arguments);
}

void lease_log_open(struct lease_log *log, const struct conf *conf, struct instant now)
{
    memset(log, 0, sizeof(*log));
    if (conf->lease_log_kb == 0)
        return;
    snprintf(log->path, sizeof(log->path), "%s/lease.log", conf->run_dir);
    if (!log_attach(log))
        return;
    log->conf = conf;
    log_begin(log, now, "start");
}

void lease_log_close(struct lease_log *log, struct instant now)
{
    if (log->conf == NULL)
        return;
    log_add(log, now, "stop", "%s", "");
    if (log->conf != NULL)
        close(log->fd);
    log->conf = NULL;
}

void lease_log_event(struct lease_log *log, struct instant now, const char *what)
{
    if (log->conf != NULL)
        log_add(log, now, what, "%s", "");
}

/* Text of another node, for a JSON string. */
static const char *printable(char out[HF_REASON_MAX + 1], const char *text)
{
    text_copy(out, HF_REASON_MAX + 1, text);
    for (char *at = out; *at != '\0'; at++) {
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
            *at = '?';
    }
    return out;
}

/* What messages have in common. */
#define RESOURCE ",\"resource\":\"%s\",\"token\":%" PRIu64
#define ISSUER   ",\"issuer\":\"%s\""
#define LEASE    ISSUER RESOURCE

static void log_items(struct lease_log *log, struct instant now, const struct hf_name *node,
                      const struct lease_message *message)
{
    for (uint8_t i = 0; i < message->item_count && i < HF_LEASES_PER_AGENT_MAX; i++) {
        const struct lease_item *item = &message->items[i];
        if (log->conf == NULL)
            return;
        log_add(log, now, item->lost ? "lost" : lease_message_name(message->kind),
                LEASE ",\"nonce\":\"%016" PRIx64 "\"", node->text, item->resource.text, item->token,
                message->nonce);
    }
}

void lease_log_issuer(struct lease_log *log, struct instant now, const struct hf_name *node,
                      const struct lease_message *message)
{
    char text[HF_REASON_MAX + 1];
    const char *name = lease_message_name(message->kind);
    const char *resource = message->resource.text;
    if (log->conf == NULL)
        return;
    switch (message->kind) {
    case LEASE_RENEW:
    case LEASE_RENEWED:
        log_items(log, now, node, message);
        return;
    case LEASE_ACQUIRE:
    case LEASE_GRANTED:
        log_add(log, now, name, LEASE ",\"ttl_us\":%" PRId64 ",\"fence_us\":%" PRId64, node->text,
                resource, message->token, message->ttl_us, message->fence_us);
        return;
    case LEASE_RELEASE:
        log_add(log, now, name, LEASE ",\"fenced\":%s,\"why\":\"%s\"", node->text, resource,
                message->token, message->fenced ? "true" : "false", printable(text, message->text));
        return;
    case LEASE_LEADER:
        log_add(log, now, name, ISSUER ",\"term\":%" PRIu64, node->text, message->term);
        return;
    case LEASE_QUEUED:
        log_add(log, now, name, LEASE ",\"holder\":\"%s\",\"position\":%" PRIu32, node->text,
                resource, message->token, message->holder.text, message->position);
        return;
    case LEASE_REFUSED:
    case LEASE_YIELD:
        log_add(log, now, name, LEASE ",\"why\":\"%s\"", node->text, resource, message->token,
                printable(text, message->text));
        return;
    case LEASE_STUCK:
    case LEASE_NOTED:
        log_add(log, now, name, LEASE ",\"off\":%s", node->text, resource, message->token,
                message->fenced ? "true" : "false");
        return;
    case LEASE_WITHDRAW:
    case LEASE_RELEASED:
    case LEASE_LOST:
        log_add(log, now, name, LEASE, node->text, resource, message->token);
        return;
    case LEASE_MESSAGE_KINDS:
        break;
    }
    hf_panic(__FILE__, __LINE__, "lease message kind");
}

static bool status_is_news(struct lease_log *log, const struct guard_message *status)
{
    for (uint8_t i = 0; i < log->conf->resource_count; i++) {
        struct guard_message *shown = &log->shown[i];
        if (!name_equal(&log->conf->resource[i].name, &status->name))
            continue;
        bool same = shown->kind == status->kind && shown->token == status->token &&
                    shown->state == status->state && shown->fault == status->fault;
        *shown = *status;
        return !same;
    }
    return false;
}

void lease_log_guard(struct lease_log *log, struct instant now, const struct guard_message *message)
{
    if (log->conf == NULL)
        return;
    if (message->kind == GUARD_PERMIT)
        log_add(log, now, "permit", RESOURCE ",\"deadline_us\":%" PRId64, message->name.text,
                message->token, message->deadline_us);
    else if (message->kind == GUARD_DROP)
        log_add(log, now, "drop", RESOURCE, message->name.text, message->token);
    else if (message->kind == GUARD_REFUSED)
        log_add(log, now, "permit refused", RESOURCE ",\"why\":\"%s\"", message->name.text,
                message->token, guard_refusal_name((enum guard_refusal)message->refusal));
    else if (message->kind == GUARD_STATUS && status_is_news(log, message))
        log_add(log, now, "guard",
                RESOURCE ",\"state\":\"%s\",\"fault\":\"%s\",\"changed_us\":%" PRId64,
                message->name.text, message->token,
                guard_state_name((enum guard_state)message->state),
                guard_fault_name((enum guard_fault)message->fault), message->changed_us);
}
