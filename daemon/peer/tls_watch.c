#include "peer/tls_watch.h"

enum {
    RECORD_HEAD = 5,
    RECORD_CHANGE_CIPHER_SPEC = 20,
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    MESSAGE_HEAD = 4,
    MESSAGE_CERTIFICATE = 11,
    LENGTH_BYTES = 3 /* of the list, and of each certificate in it */
};

/* What comes behind the first certificate must be the CA's own, byte by byte. */
static bool is_of_ca(const struct tls_watch *watch, uint32_t at, uint8_t byte)
{
    if (at < LENGTH_BYTES)
        return byte == (uint8_t)(watch->ca.length >> 8 * (LENGTH_BYTES - 1 - at));
    return at - LENGTH_BYTES < watch->ca.length && byte == watch->ca.data[at - LENGTH_BYTES];
}

static bool lengths_fit(const struct tls_watch *watch)
{
    uint32_t first = LENGTH_BYTES + watch->first_length;
    return watch->first_length <= TLS_CERTIFICATE_MAX &&
           (watch->list_length == first ||
            (watch->ca.length > 0 &&
             watch->list_length == first + LENGTH_BYTES + watch->ca.length));
}

/* The two lengths that a Certificate begins with; an empty list has the first one only. */
static void take_certificate(struct tls_watch *watch, uint8_t byte)
{
    if (watch->message_at < LENGTH_BYTES)
        watch->list_length = watch->list_length << 8 | byte;
    else if (watch->message_at < 2 * LENGTH_BYTES)
        watch->first_length = watch->first_length << 8 | byte;
    else if (watch->message_at >= 2 * LENGTH_BYTES + watch->first_length)
        watch->refused =
            !is_of_ca(watch, watch->message_at - 2 * LENGTH_BYTES - watch->first_length, byte);
    if (watch->message_at == 2 * LENGTH_BYTES - 1)
        watch->refused = !lengths_fit(watch);
}

static void take_message(struct tls_watch *watch, uint8_t byte)
{
    if (watch->message_head == MESSAGE_HEAD) {
        if (watch->message_type == MESSAGE_CERTIFICATE)
            take_certificate(watch, byte);
        watch->message_at++;
        watch->message_left--;
    } else if (watch->message_head++ == 0) {
        watch->message_type = byte;
        watch->message_left = watch->message_at = 0;
        watch->list_length = watch->first_length = 0;
    } else {
        watch->message_left = watch->message_left << 8 | byte;
    }
    if (watch->message_head == MESSAGE_HEAD && watch->message_left == 0)
        watch->message_head = 0;
}

static void take_type(struct tls_watch *watch, uint8_t type)
{
    bool shakes = type == RECORD_HANDSHAKE || type == RECORD_CHANGE_CIPHER_SPEC;
    watch->late = (shakes && watch->finished) || (type == RECORD_ALERT && watch->alerted);
    watch->refused = watch->late;
    watch->alerted = watch->alerted || type == RECORD_ALERT;
    watch->finished = watch->finished || (type == RECORD_HANDSHAKE && watch->encrypted);
    watch->encrypted = watch->encrypted || type == RECORD_CHANGE_CIPHER_SPEC;
}

static void take(struct tls_watch *watch, uint8_t byte)
{
    if (watch->record_head == RECORD_HEAD) {
        if (watch->record_type == RECORD_HANDSHAKE && !watch->encrypted)
            take_message(watch, byte);
        watch->record_left--;
    } else if (watch->record_head++ == 0) {
        watch->record_type = byte;
        watch->record_left = 0;
        take_type(watch, byte);
    } else if (watch->record_head > 3) {
        watch->record_left = (uint16_t)(watch->record_left << 8 | byte);
    }
    if (watch->record_head == RECORD_HEAD && watch->record_left == 0)
        watch->record_head = 0;
}

/* What is encrypted is passed over at once. Returns how many bytes that are. */
static size_t pass(struct tls_watch *watch, size_t length)
{
    if (!watch->encrypted || watch->record_head < RECORD_HEAD)
        return 0;
    size_t count = length < watch->record_left ? length : watch->record_left;
    watch->record_left = (uint16_t)(watch->record_left - count);
    if (watch->record_left == 0)
        watch->record_head = 0;
    return count;
}

bool tls_watch_take(struct tls_watch *watch, struct bytes in)
{
    for (size_t i = 0; i < in.length && !watch->refused;) {
        size_t passed = pass(watch, in.length - i);
        if (passed == 0)
            take(watch, in.data[i]);
        i += passed == 0 ? 1 : passed;
    }
    return !watch->refused;
}
