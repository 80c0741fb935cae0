#include "ctl/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes of a character that starts with this one; 0: none does. */
static size_t length_of(unsigned char first)
{
    return first < 0x80 ? 1 :
           first < 0xc2 ? 0 :
           first < 0xe0 ? 2 :
           first < 0xf0 ? 3 :
           first < 0xf5 ? 4 :
                          0;
}

/* Changes the direction of what is beside it, or ends a line: one name would look like another. */
static bool is_deceptive(uint32_t code)
{
    return code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Not C0 but for newline and tab, DEL, C1; nor surrogates and what is encoded in too many bytes. */
static bool is_text(const unsigned char *bytes, size_t length)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3fu);
    if (code < 0x20)
        return code == '\n' || code == '\t';
    return code >= least[length] && !(code >= 0x7f && code < 0xa0) && !is_deceptive(code) &&
           !(code >= 0xd800 && code < 0xe000) && code < 0x110000;
}

static void let_out(struct printable *printable, bool text, FILE *out)
{
    if (text)
        (void)fwrite(printable->held, 1, printable->count, out);
    for (size_t i = 0; i < printable->count && !text; i++)
        fprintf(out, "\\x%02x", (unsigned)printable->held[i]);
    printable->count = 0;
}

static void take(struct printable *printable, unsigned char byte, FILE *out)
{
    if (printable->count > 0 && (byte & 0xc0) != 0x80)
        let_out(printable, false, out);
    if (printable->count == 0)
        printable->length = length_of(byte);
    printable->held[printable->count++] = byte;
    if (printable->length == 0)
        let_out(printable, false, out);
    else if (printable->count == printable->length)
        let_out(printable, is_text(printable->held, printable->length), out);
}

void printable_write(struct printable *printable, const char *bytes, size_t length, FILE *out)
{
    for (size_t i = 0; i < length; i++)
        take(printable, (unsigned char)bytes[i], out);
}

void printable_puts(const char *text, FILE *out)
{
    struct printable printable = { 0 };
    printable_write(&printable, text, strlen(text), out);
    let_out(&printable, false, out);
}
