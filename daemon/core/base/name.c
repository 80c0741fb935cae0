#include "base/name.h"

#include <string.h>

static bool name_char_ok(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')
        return true;
    return !first && (c == '-' || c == '.');
}

bool name_set(struct hf_name *name, const char *text, size_t length)
{
    memset(name, 0, sizeof(*name));
    if (length == 0 || length > HF_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!name_char_ok(text[i], i == 0))
            return false;
    }
    memcpy(name->text, text, length);
    return true;
}

bool name_from_string(struct hf_name *name, const char *text)
{
    size_t length = 0;
    while (length <= HF_NAME_MAX && text[length] != '\0')
        length++;
    return name_set(name, text, length);
}

int name_compare(const struct hf_name *a, const struct hf_name *b)
{
    return memcmp(a->text, b->text, sizeof(a->text));
}

void text_copy(char *out, size_t size, const char *text)
{
    size_t i = 0;
    memset(out, 0, size);
    for (; i + 1 < size && text[i] != '\0'; i++)
        out[i] = text[i];
}
