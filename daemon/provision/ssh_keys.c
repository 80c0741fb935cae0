#include "provision/ssh_keys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every public key begins so: 00 00 00, the first bytes of the length of its kind's name. */
static const char key_begins[] = "AAAA";

static bool is_key(const char *line)
{
    static const char *const kinds[] = { "ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-" };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *kind = strstr(line, kinds[i]);
        const char *key = kind ? strchr(kind, ' ') : NULL;
        if (key && (kind == line || kind[-1] == ' ') &&
            strncmp(key + strspn(key, " "), key_begins, strlen(key_begins)) == 0)
            return true;
    }
    return false;
}

/* Reads it whole; false with a reason. `text` has room for one byte more than is allowed. */
static bool read_all(const char *file, char *text, char *why)
{
    FILE *in = fopen(file, "re");
    size_t length = in ? fread(text, 1, SSH_KEYS_MAX + 1, in) : 0;
    bool read = in && !ferror(in);
    int error = errno;
    if (in)
        fclose(in);
    text[length <= SSH_KEYS_MAX ? length : SSH_KEYS_MAX] = '\0';
    if (!read)
        snprintf(why, SSH_KEYS_WHY_MAX, "%.200s: cannot read: %s", file, strerror(error));
    else if (length > SSH_KEYS_MAX)
        snprintf(why, SSH_KEYS_WHY_MAX, "%.200s: more than %d bytes, at most that are allowed",
                 file, SSH_KEYS_MAX);
    else if (strlen(text) != length)
        snprintf(why, SSH_KEYS_WHY_MAX,
                 "%.200s: a zero byte, must be text: public keys, one a line", file);
    else if (strstr(text, "PRIVATE KEY"))
        snprintf(why, SSH_KEYS_WHY_MAX,
                 "%.200s: is a private key, must be public keys, one a line (FILE.pub)", file);
    else
        return true;
    return false;
}

/* Line by line without '\r', as authorized_keys has it; false at one that is no key. */
static bool copy_lines(const char *file, const char *text, char *out, char *why)
{
    unsigned number = 0;
    unsigned keys = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        const char *next = text + length + (text[length] == '\n');
        while (length > 0 && strchr(" \t\r", text[length - 1]))
            length--;
        memcpy(out, text, length);
        out[length] = '\0';
        number++;
        if (length > 0 && out[0] != '#' && !is_key(out)) {
            snprintf(why, SSH_KEYS_WHY_MAX,
                     "%.200s:%u: no public key, must be as in \"ssh-ed25519 AAAA... name\"", file,
                     number);
            return false;
        }
        keys += length > 0 && out[0] != '#';
        out[length] = '\n';
        out += length + 1;
        text = next;
    }
    *out = '\0';
    if (keys == 0)
        snprintf(why, SSH_KEYS_WHY_MAX, "%.200s: no key in it; without SSH, leave ssh_keys out",
                 file);
    return keys > 0;
}

char *ssh_keys_read(const char *file, char *why)
{
    char *text = malloc(SSH_KEYS_MAX + 2);
    char *out = malloc(SSH_KEYS_MAX + 2);
    bool good = text && out;
    if (!good)
        snprintf(why, SSH_KEYS_WHY_MAX, "%.200s: out of memory", file);
    good = good && read_all(file, text, why) && copy_lines(file, text, out, why);
    free(text);
    if (good)
        return out;
    free(out);
    return NULL;
}
