#include "base/fields.h"

#include <string.h>

#include <pb_decode.h>
#include <pb_encode.h>

void fields_pack_name(char out[HF_NAME_MAX + 1], const struct hf_name *name)
{
    memcpy(out, name->text, HF_NAME_MAX + 1);
}

static bool text_char_ok(char c)
{
    return c >= ' ' && c <= '~';
}

void fields_pack_text(char *out, size_t size, const char *text)
{
    text_copy(out, size, text);
    for (size_t i = 0; out[i] != '\0'; i++) {
        if (!text_char_ok(out[i]))
            out[i] = '?';
    }
}

bool fields_unpack_name(struct hf_name *out, const char *text, bool required)
{
    memset(out, 0, sizeof(*out));
    if (text[0] == '\0')
        return !required;
    return name_from_string(out, text);
}

bool fields_unpack_text(char *out, size_t size, const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (!text_char_ok(text[i]))
            return false;
    }
    text_copy(out, size, text);
    return true;
}

size_t fields_encode(const pb_msgdesc_t *descriptor, const void *message, uint8_t *out,
                     size_t capacity)
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, capacity);
    return pb_encode(&stream, descriptor, message) ? stream.bytes_written : 0;
}

bool fields_decode(const pb_msgdesc_t *descriptor, void *message, struct bytes bytes)
{
    pb_istream_t stream = pb_istream_from_buffer(bytes.data, bytes.length);
    return bytes.length > 0 && pb_decode(&stream, descriptor, message);
}
