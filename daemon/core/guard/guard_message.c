#include "guard/guard_message.h"

#include <string.h>

void guard_message_init(struct guard_message *message, enum guard_message_kind kind)
{
    memset(message, 0, sizeof(*message));
    message->magic = GUARD_MESSAGE_MAGIC;
    message->version = GUARD_MESSAGE_VERSION;
    message->kind = (uint16_t)kind;
}

bool guard_message_realtime(const struct guard_message *message)
{
    return message->schedule_error == 0 && message->memory_error == 0;
}

bool guard_terms_equal(const struct guard_terms *a, const struct guard_terms *b)
{
    return a->ttl_us == b->ttl_us && a->release_us == b->release_us && a->fence_us == b->fence_us &&
           a->digest == b->digest;
}

/* Valid characters, terminated, and zero padded, so that names compare as bytes. */
static bool message_name_ok(const struct hf_name *name)
{
    struct hf_name clean;
    size_t length = 0;
    while (length < sizeof(name->text) && name->text[length] != '\0')
        length++;
    return name_set(&clean, name->text, length) && name_equal(&clean, name);
}

static const char *message_check_values(const struct guard_message *message)
{
    if (message->deadline_us < 0)
        return "deadline before the start of the clock";
    if (message->state >= GUARD_STATES)
        return "unknown state";
    if (message->fault >= GUARD_FAULTS)
        return "unknown fault";
    if (message->refusal >= GUARD_REFUSALS)
        return "unknown refusal";
    if (message->output_count > HF_OUTPUTS_MAX)
        return "more outputs than a resource can have";
    return NULL;
}

const char *guard_message_check(const void *bytes, size_t length)
{
    struct guard_message message;
    if (length != sizeof(message))
        return "wrong size";
    memcpy(&message, bytes, sizeof(message));
    if (message.magic != GUARD_MESSAGE_MAGIC)
        return "wrong magic";
    if (message.version != GUARD_MESSAGE_VERSION)
        return "another protocol version";
    if (message.kind < GUARD_HELLO || message.kind >= GUARD_MESSAGE_KINDS)
        return "unknown kind";
    if (!message_name_ok(&message.name))
        return "name that is no name";
    return message_check_values(&message);
}

const char *guard_state_name(enum guard_state state)
{
    static const char *const names[GUARD_STATES] = {
        [GUARD_SAFE] = "safe",
        [GUARD_DRIVING] = "driving",
        [GUARD_DROPPING] = "dropping",
        [GUARD_FAULT] = "fault",
    };
    return (unsigned)state < GUARD_STATES ? names[state] : "unknown";
}

const char *guard_fault_name(enum guard_fault fault)
{
    static const char *const names[GUARD_FAULTS] = {
        [GUARD_FAULT_NONE] = "none",           [GUARD_FAULT_STUCK_ON] = "stuck on",
        [GUARD_FAULT_STUCK_OFF] = "stuck off", [GUARD_FAULT_OUTPUT_IO] = "output error",
        [GUARD_FAULT_LATE] = "late",           [GUARD_FAULT_CLOCK] = "clock",
        [GUARD_FAULT_RECORD] = "record",
    };
    return (unsigned)fault < GUARD_FAULTS ? names[fault] : "unknown";
}

const char *guard_refusal_name(enum guard_refusal refusal)
{
    static const char *const names[GUARD_REFUSALS] = {
        [GUARD_REFUSED_NONE] = "none",
        [GUARD_REFUSED_UNKNOWN] = "no such resource on this board",
        [GUARD_REFUSED_TOKEN] = "token lower than the last, or dropped",
        [GUARD_REFUSED_DEADLINE] = "deadline further ahead than the ttl",
        [GUARD_REFUSED_LATE] = "deadline already past",
        [GUARD_REFUSED_FAULT] = "latched fault",
        [GUARD_REFUSED_STATE] = "not safe yet from the previous token",
        [GUARD_REFUSED_TERMS] = "agent and guard are configured differently",
    };
    return (unsigned)refusal < GUARD_REFUSALS ? names[refusal] : "unknown";
}
