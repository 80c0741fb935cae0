#include "provision/layers.h"

#include <string.h>

#include "base/check.h"
#include "base/name.h"
#include "conf/schema.h"
#include "provision/cluster.h"

enum {
    PATTERN_MAX = 256,
    /* The file, agent, resources, one of them, outputs, one of them, readback, and what is in it. */
    DEPTH_MAX = 8
};

/* A group or list that is laid over another; `next` is the element of `from` to be taken. */
struct frame {
    config_setting_t *to;
    const config_setting_t *from;
    int next;
    int there; /* list: elements that `to` had before, which alone may be meant */
    char pattern[PATTERN_MAX];
};

struct walk {
    struct layers *layers;
    int depth;
    struct frame stack[DEPTH_MAX];
};

const config_setting_t *layers_origin(const config_setting_t *setting)
{
    return config_setting_get_hook(setting);
}

static config_setting_t *add(struct layers *layers, config_setting_t *to, const char *name,
                             int type, const config_setting_t *origin)
{
    config_setting_t *made = config_setting_add(to, name, type);
    if (made)
        config_setting_set_hook(made, (void *)origin);
    else
        layers->out_of_memory = true;
    return made;
}

config_setting_t *layers_add(struct layers *layers, config_setting_t *to, const char *name,
                             int type, const config_setting_t *origin)
{
    config_setting_t *there = config_setting_get_member(to, name);
    if (there && config_setting_type(there) == type)
        return there;
    if (there)
        config_setting_remove(to, name);
    return add(layers, to, name, type, origin);
}

void layers_set_text(struct layers *layers, config_setting_t *to, const char *name,
                     const char *text, const config_setting_t *origin)
{
    config_setting_remove(to, name);
    config_setting_t *made = add(layers, to, name, CONFIG_TYPE_STRING, origin);
    if (made && config_setting_set_string(made, text) != CONFIG_TRUE)
        layers->out_of_memory = true;
}

/* ---- elements of lists */

/* The first key of a list's elements: it says which is which. */
static const char *first_key(const char *pattern)
{
    for (size_t i = 0; i < conf_schema_count; i++) {
        if (conf_key_is_child(&conf_schema[i], pattern))
            return conf_key_leaf(&conf_schema[i]);
    }
    return NULL;
}

static bool same_scalar(const config_setting_t *a, const config_setting_t *b)
{
    const char *left = config_setting_get_string(a);
    const char *right = config_setting_get_string(b);
    if (left && right)
        return strcmp(left, right) == 0;
    return config_setting_is_number(a) && config_setting_is_number(b) &&
           config_setting_get_int64(a) == config_setting_get_int64(b);
}

/* Among the first `there` elements of `list`. NULL: none is meant. */
static config_setting_t *find_element(const config_setting_t *list, int there, const char *key,
                                      const config_setting_t *wanted)
{
    for (int i = 0; wanted && i < there; i++) {
        config_setting_t *element = config_setting_get_elem(list, (unsigned)i);
        const config_setting_t *is =
            config_setting_is_group(element) ? config_setting_get_member(element, key) : NULL;
        if (is && same_scalar(is, wanted))
            return element;
    }
    return NULL;
}

config_setting_t *layers_element(struct layers *layers, config_setting_t *list, const char *key,
                                 const config_setting_t *said)
{
    config_setting_t *there = find_element(list, config_setting_length(list), key, said);
    if (there)
        return there;
    config_setting_t *made =
        add(layers, list, NULL, CONFIG_TYPE_GROUP, config_setting_parent(said));
    if (made)
        layers_set_text(layers, made, key, config_setting_get_string(said), said);
    return made;
}

/* ---- what is copied whole */

static void copy_scalar(struct layers *layers, config_setting_t *made,
                        const config_setting_t *setting)
{
    int done = CONFIG_TRUE;
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
        done = config_setting_set_int(made, config_setting_get_int(setting));
        break;
    case CONFIG_TYPE_INT64:
        done = config_setting_set_int64(made, config_setting_get_int64(setting));
        break;
    case CONFIG_TYPE_FLOAT:
        done = config_setting_set_float(made, config_setting_get_float(setting));
        break;
    case CONFIG_TYPE_BOOL:
        done = config_setting_set_bool(made, config_setting_get_bool(setting));
        break;
    case CONFIG_TYPE_STRING:
        done = config_setting_set_string(made, config_setting_get_string(setting));
        break;
    default:
        break; /* a group or list, whose elements nobody asked for */
    }
    if (done != CONFIG_TRUE)
        layers->out_of_memory = true;
}

/*
 * A scalar, or a list of scalars. Whatever is deeper is no value of any such key: it is left empty,
 * and refused by its kind when the whole is loaded.
 */
static void copy_flat(struct layers *layers, config_setting_t *to, const char *name,
                      const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    bool many = type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
    config_setting_t *made = add(layers, to, name, many ? CONFIG_TYPE_LIST : type, setting);
    if (made && !many)
        copy_scalar(layers, made, setting);
    for (int i = 0; made && many && i < config_setting_length(setting); i++) {
        const config_setting_t *element = config_setting_get_elem(setting, (unsigned)i);
        int kind = config_setting_type(element);
        config_setting_t *copy = add(layers, made, NULL, kind, element);
        if (copy)
            copy_scalar(layers, copy, element);
    }
}

/* ---- the walk */

static void push(struct walk *walk, config_setting_t *to, const config_setting_t *from,
                 const char *pattern)
{
    if (!to)
        return;
    HF_CHECK(walk->depth < DEPTH_MAX);
    struct frame *frame = &walk->stack[walk->depth++];
    *frame = (struct frame){ .to = to, .from = from, .there = config_setting_length(to) };
    text_copy(frame->pattern, sizeof(frame->pattern), pattern);
}

static const struct layers_reserved *find_reserved(const struct layers *layers, const char *pattern)
{
    for (const struct layers_reserved *row = layers->reserved; row->pattern; row++) {
        if (strcmp(row->pattern, pattern) == 0)
            return row;
    }
    return NULL;
}

/* False after an error at the setting: it is none that may stand there. */
static bool may_be_there(struct layers *layers, const config_setting_t *setting,
                         const char *pattern, const char *parent)
{
    const struct layers_reserved *reserved = find_reserved(layers, pattern);
    char shown[CLUSTER_KEY_MAX];
    if (!reserved && conf_schema_find(pattern))
        return true;
    cluster_key(setting, shown);
    if (reserved)
        conf_report_error(layers->report, config_setting_source_line(setting), shown,
                          "must not be here: %s", reserved->instead);
    else
        conf_report_error(layers->report, config_setting_source_line(setting), shown,
                          "unknown key, the nearest known one of holdfast.conf is %s",
                          conf_schema_nearest(parent, config_setting_name(setting))->path);
    return false;
}

static void put_member(struct walk *walk, config_setting_t *to, const config_setting_t *setting,
                       const char *parent)
{
    struct layers *layers = walk->layers;
    const char *name = config_setting_name(setting);
    char pattern[PATTERN_MAX];
    snprintf(pattern, sizeof(pattern), "%.120s%s%.64s", parent, parent[0] ? "." : "", name);
    if (!may_be_there(layers, setting, pattern, parent))
        return;
    enum conf_type type = conf_schema_find(pattern)->type;
    if (type == CONF_TYPE_GROUP && config_setting_is_group(setting)) {
        push(walk, layers_add(layers, to, name, CONFIG_TYPE_GROUP, setting), setting, pattern);
    } else if (type == CONF_TYPE_LIST && config_setting_is_list(setting)) {
        char elements[PATTERN_MAX + 2];
        snprintf(elements, sizeof(elements), "%s[]", pattern);
        push(walk, layers_add(layers, to, name, CONFIG_TYPE_LIST, setting), setting, elements);
    } else {
        config_setting_remove(to, name);
        copy_flat(layers, to, name, setting);
    }
}

static void put_element(struct walk *walk, struct frame *list, const config_setting_t *element)
{
    if (!config_setting_is_group(element)) {
        copy_flat(walk->layers, list->to, NULL, element);
        return;
    }
    const char *key = first_key(list->pattern);
    config_setting_t *to =
        find_element(list->to, list->there, key, config_setting_get_member(element, key));
    if (!to)
        to = add(walk->layers, list->to, NULL, CONFIG_TYPE_GROUP, element);
    push(walk, to, element, list->pattern);
}

static void run(struct walk *walk)
{
    while (walk->depth > 0) {
        struct frame *top = &walk->stack[walk->depth - 1];
        if (top->next == config_setting_length(top->from)) {
            walk->depth--;
            continue;
        }
        const config_setting_t *setting = config_setting_get_elem(top->from, (unsigned)top->next++);
        if (config_setting_is_group(top->from))
            put_member(walk, top->to, setting, top->pattern);
        else
            put_element(walk, top, setting);
    }
}

void layers_put(struct layers *layers, config_setting_t *to, const config_setting_t *setting,
                const char *pattern)
{
    struct walk walk = { .layers = layers };
    put_member(&walk, to, setting, pattern);
    run(&walk);
}

void layers_put_all(struct layers *layers, config_setting_t *to, const config_setting_t *from,
                    const char *pattern)
{
    struct walk walk = { .layers = layers };
    push(&walk, to, from, pattern);
    run(&walk);
}
