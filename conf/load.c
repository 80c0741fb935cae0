#include "conf/load.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/schema.h"
#include "conf/text.h"

enum {
    PATTERN_MAX = 96,
    SHOWN_MAX = 160,
    JOINED_MAX = 256, /* a path and one more key, of whatever length the file has */
    /*
     * Groups still to be read: the file itself, the longest list, and what the deepest branch adds.
     */
    FRAMES_MAX = CONF_POLICIES_MAX + HF_LEASES_PER_AGENT_MAX + HF_OUTPUTS_MAX + 32
};

struct frame {
    config_setting_t *group; /* NULL: the file leaves it out; its keys have their defaults */
    char pattern[PATTERN_MAX];
    char shown[SHOWN_MAX];
    unsigned char *base;
};

struct loader {
    struct conf *conf;
    struct conf_report *report;
    const char *directory;
    int depth;
    struct frame stack[FRAMES_MAX];
};

static unsigned line_of(const config_setting_t *setting)
{
    return setting ? config_setting_source_line(setting) : 0;
}

static void push(struct loader *loader, config_setting_t *group, const char *pattern,
                 const char *shown, unsigned char *base)
{
    HF_CHECK(loader->depth < FRAMES_MAX);
    struct frame *frame = &loader->stack[loader->depth++];
    frame->group = group;
    frame->base = base;
    text_copy(frame->pattern, sizeof(frame->pattern), pattern);
    text_copy(frame->shown, sizeof(frame->shown), shown);
}

/* What does not fit is cut; no known key is that long, so the result matches none. */
static void path_join(char out[JOINED_MAX], const char *parent, const char *leaf)
{
    snprintf(out, JOINED_MAX, "%.159s%s%.64s", parent, parent[0] ? "." : "", leaf);
}

static void store_number(unsigned char *field, size_t size, int64_t value)
{
    uint8_t narrow = (uint8_t)value;
    uint32_t wide = (uint32_t)value;
    HF_CHECK(size == 1 || size == 4 || size == 8);
    if (size == 1)
        memcpy(field, &narrow, size);
    else if (size == 4)
        memcpy(field, &wide, size);
    else
        memcpy(field, &value, size);
}

void conf_describe_value(const struct conf_key *key, const config_setting_t *value, char *out,
                         size_t size)
{
    switch (config_setting_type(value)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(out, size, "%lld%s%s", config_setting_get_int64(value), key->unit ? " " : "",
                 key->unit ? key->unit : "");
        return;
    case CONFIG_TYPE_FLOAT:
        snprintf(out, size, "%g%s%s", config_setting_get_float(value), key->unit ? " " : "",
                 key->unit ? key->unit : "");
        return;
    case CONFIG_TYPE_BOOL:
        snprintf(out, size, "%s", config_setting_get_bool(value) ? "true" : "false");
        return;
    case CONFIG_TYPE_STRING:
        snprintf(out, size, "\"%.80s\"", config_setting_get_string(value));
        break;
    case CONFIG_TYPE_GROUP:
        snprintf(out, size, "a group");
        return;
    default:
        snprintf(out, size, "a list of %d", config_setting_length(value));
        return;
    }
    for (char *c = out; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

static void refuse(struct loader *loader, const struct conf_key *key, const char *shown,
                   const config_setting_t *value)
{
    char is[128];
    char allowed[200];
    conf_describe_value(key, value, is, sizeof(is));
    conf_key_allowed(key, allowed, sizeof(allowed));
    conf_report_error(loader->report, line_of(value), shown, "%s, must be %s", is, allowed);
}

/* The digest is a sum over the keys, so that their order in the file does not matter. */
static void digest_value(struct loader *loader, const char *shown, const char *text)
{
    uint64_t hash = conf_digest_add(CONF_DIGEST_START, shown);
    hash = conf_digest_add(hash, "=");
    loader->conf->digest += conf_digest_add(hash, text);
}

static void digest_number(struct loader *loader, const char *shown, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    digest_value(loader, shown, text);
}

static bool text_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

/* Stores an absolute path; false if it gets too long. */
static bool store_path(const struct loader *loader, unsigned char *field, size_t size,
                       const char *text)
{
    char path[2 * PATH_MAX];
    bool relative = text[0] != '/';
    int length = snprintf(path, sizeof(path), "%s%s%s", relative ? loader->directory : "",
                          relative ? "/" : "", text);
    if (length < 0 || (size_t)length >= size)
        return false;
    text_copy((char *)field, size, path);
    return true;
}

static bool store_text(struct loader *loader, const struct conf_key *key, unsigned char *field,
                       const char *text)
{
    size_t length = strlen(text);
    struct hf_name name;
    if (key->type == CONF_TYPE_NAME) {
        if (!name_set(&name, text, length))
            return false;
        memcpy(field, &name, sizeof(name));
        return true;
    }
    if (length == 0 || length >= key->size || !text_printable(text))
        return false;
    if (key->type == CONF_TYPE_PATH)
        return store_path(loader, field, key->size, text);
    if (key->type == CONF_TYPE_ADDRESS && conf_address_port(text) == CONF_PORT_BAD)
        return false;
    text_copy((char *)field, key->size, text);
    return true;
}

static bool store_word(const struct conf_key *key, unsigned char *field, const char *text)
{
    for (size_t i = 0; key->words[i]; i++) {
        if (strcmp(key->words[i], text) == 0) {
            store_number(field, key->size, (int64_t)i);
            return true;
        }
    }
    return false;
}

/* One value that is no group and no list. */
static void store_scalar(struct loader *loader, const struct conf_key *key, const char *shown,
                         unsigned char *field, const config_setting_t *value)
{
    int type = config_setting_type(value);
    bool stored = false;
    if (key->type == CONF_TYPE_INT) {
        long long number = config_setting_get_int64(value);
        stored = (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) && number >= key->min &&
                 number <= key->max;
        if (stored) {
            store_number(field, key->size, number);
            digest_number(loader, shown, number);
        }
    } else if (key->type == CONF_TYPE_BOOL) {
        stored = type == CONFIG_TYPE_BOOL;
        if (stored) {
            store_number(field, key->size, config_setting_get_bool(value));
            digest_number(loader, shown, config_setting_get_bool(value));
        }
    } else if (type == CONFIG_TYPE_STRING) {
        const char *text = config_setting_get_string(value);
        stored = key->type == CONF_TYPE_WORD ? store_word(key, field, text) :
                                               store_text(loader, key, field, text);
        if (stored)
            digest_value(loader, shown, text);
    }
    if (!stored)
        refuse(loader, key, shown, value);
}

/* A list of names: each is checked and stored on its own. */
static void store_names(struct loader *loader, const struct conf_key *key, const char *shown,
                        const struct frame *frame, config_setting_t *value)
{
    const struct conf_key element = { .path = key->path,
                                      .type = CONF_TYPE_NAME,
                                      .size = key->size };
    int count = config_setting_length(value);
    for (int i = 0; i < count; i++) {
        char path[SHOWN_MAX];
        snprintf(path, sizeof(path), "%.140s[%d]", shown, i);
        store_scalar(loader, &element, path, frame->base + key->offset + (size_t)i * key->size,
                     config_setting_get_elem(value, (unsigned)i));
    }
}

static void push_elements(struct loader *loader, const struct conf_key *key, const char *shown,
                          const struct frame *frame, config_setting_t *value)
{
    char pattern[PATTERN_MAX];
    snprintf(pattern, sizeof(pattern), "%s[]", key->path);
    int count = config_setting_length(value);
    for (int i = 0; i < count; i++) {
        char path[SHOWN_MAX];
        config_setting_t *element = config_setting_get_elem(value, (unsigned)i);
        snprintf(path, sizeof(path), "%.140s[%d]", shown, i);
        if (config_setting_is_group(element)) {
            push(loader, element, pattern, path, frame->base + key->offset + (size_t)i * key->size);
        } else {
            const struct conf_key group = { .path = pattern, .type = CONF_TYPE_GROUP };
            refuse(loader, &group, path, element);
        }
    }
}

static void store_many(struct loader *loader, const struct conf_key *key, const char *shown,
                       const struct frame *frame, config_setting_t *value)
{
    int count = config_setting_length(value);
    bool many = config_setting_is_list(value) ||
                (key->type == CONF_TYPE_NAMES && config_setting_is_array(value));
    if (!many || count < key->min || count > key->max) {
        refuse(loader, key, shown, value);
        return;
    }
    store_number(frame->base + key->count_offset, key->count_size, count);
    if (key->type == CONF_TYPE_NAMES)
        store_names(loader, key, shown, frame, value);
    else
        push_elements(loader, key, shown, frame, value);
}

static void store_group(struct loader *loader, const struct conf_key *key, const char *shown,
                        const struct frame *frame, config_setting_t *value)
{
    if (!config_setting_is_group(value)) {
        refuse(loader, key, shown, value);
        return;
    }
    if (key->size > 0)
        store_number(frame->base + key->offset, key->size, 1);
    digest_value(loader, shown, "{}");
    push(loader, value, key->path, shown, frame->base);
}

static void store_value(struct loader *loader, const struct conf_key *key, const char *shown,
                        const struct frame *frame, config_setting_t *value)
{
    switch (key->type) {
    case CONF_TYPE_GROUP:
        store_group(loader, key, shown, frame, value);
        return;
    case CONF_TYPE_LIST:
    case CONF_TYPE_NAMES:
        store_many(loader, key, shown, frame, value);
        return;
    case CONF_TYPE_INT:
    case CONF_TYPE_BOOL:
    case CONF_TYPE_NAME:
    case CONF_TYPE_TEXT:
    case CONF_TYPE_PATH:
    case CONF_TYPE_ADDRESS:
    case CONF_TYPE_WORD:
        store_scalar(loader, key, shown, frame->base + key->offset, value);
        return;
    }
}

static void store_default(struct loader *loader, const struct conf_key *key, const char *shown,
                          const struct frame *frame)
{
    unsigned char *field = frame->base + key->offset;
    if (key->type == CONF_TYPE_GROUP && key->size == 0) {
        push(loader, NULL, key->path, shown, frame->base);
    } else if (key->default_text) {
        text_copy((char *)field, key->size, key->default_text);
        digest_value(loader, shown, key->default_text);
    } else if (key->type == CONF_TYPE_WORD) {
        store_number(field, key->size, key->default_value);
        digest_value(loader, shown, key->words[key->default_value]);
    } else if (key->type == CONF_TYPE_INT || key->type == CONF_TYPE_BOOL) {
        store_number(field, key->size, key->default_value);
        digest_number(loader, shown, key->default_value);
    }
}

static void take_given(struct loader *loader, const struct frame *frame)
{
    int count = frame->group ? config_setting_length(frame->group) : 0;
    for (int i = 0; i < count; i++) {
        config_setting_t *value = config_setting_get_elem(frame->group, (unsigned)i);
        const char *name = config_setting_name(value);
        char pattern[JOINED_MAX];
        char shown[JOINED_MAX];
        path_join(pattern, frame->pattern, name);
        path_join(shown, frame->shown, name);
        const struct conf_key *key = conf_schema_find(pattern);
        if (key) {
            store_value(loader, key, shown, frame, value);
            continue;
        }
        const struct conf_key *near = conf_schema_nearest(frame->pattern, name);
        conf_report_error(loader->report, line_of(value), shown,
                          "unknown key, the nearest known one is %s", near->path);
    }
}

static void take_missing(struct loader *loader, const struct frame *frame)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        const struct conf_key *key = &conf_schema[i];
        const char *leaf = conf_key_leaf(key);
        char shown[JOINED_MAX];
        char allowed[200];
        if (!conf_key_is_child(key, frame->pattern) ||
            (frame->group && config_setting_get_member(frame->group, leaf)))
            continue;
        path_join(shown, frame->shown, leaf);
        if (!key->required) {
            store_default(loader, key, shown, frame);
            continue;
        }
        conf_key_allowed(key, allowed, sizeof(allowed));
        conf_report_error(loader->report, line_of(frame->group), shown, "missing, must be %s",
                          allowed);
    }
}

bool conf_tree_store(struct conf *conf, config_setting_t *root, const char *directory,
                     struct conf_report *report)
{
    struct loader *loader = calloc(1, sizeof(*loader));
    if (!loader)
        return false;
    loader->conf = conf;
    loader->report = report;
    loader->directory = directory;
    push(loader, root, "", "", (unsigned char *)conf);
    while (loader->depth > 0) {
        struct frame frame = loader->stack[--loader->depth];
        take_given(loader, &frame);
        take_missing(loader, &frame);
    }
    free(loader);
    return true;
}
