/*
 * The schema: one row for each key that a configuration file may hold.
 *
 * Purpose: drives loading, strictness, defaults, the reference page and the man page.
 * Owner: conf/ alone; constant data.
 */
#ifndef HOLDFAST_CONF_SCHEMA_H
#define HOLDFAST_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_TYPE_GROUP, /* { ... }; size 0: no presence flag, its defaults hold when it is left out */
    CONF_TYPE_LIST,  /* ( { ... }, ... ) of groups */
    CONF_TYPE_NAMES, /* ( "a", "b" ) */
    CONF_TYPE_INT,
    CONF_TYPE_BOOL,
    CONF_TYPE_NAME,    /* struct hf_name */
    CONF_TYPE_TEXT,    /* char[], not empty */
    CONF_TYPE_PATH,    /* char[], made absolute, relative to the file */
    CONF_TYPE_ADDRESS, /* char[], "host:port", numeric host */
    CONF_TYPE_WORD     /* an enum whose values are the indices of `words` */
};

struct conf_key {
    const char *path; /* pattern, as "agent.resources[].outputs[].rate_hz" */
    enum conf_type type;
    bool required; /* within its group, when the group is there */
    const char *unit;
    int64_t min; /* INT: value; LIST, NAMES: elements; TEXT, PATH: unused */
    int64_t max;
    int64_t default_value;    /* INT, BOOL, WORD: index */
    const char *default_text; /* TEXT, PATH; NULL: empty */
    const char *const *words; /* WORD: ended by NULL */
    size_t offset;            /* of the field in its element struct; GROUP: of its presence flag */
    size_t size;              /* of the field in bytes; LIST, NAMES: of one element */
    size_t count_offset;      /* LIST, NAMES */
    size_t count_size;
    const char *doc;
};

extern const struct conf_key conf_schema[];
extern const size_t conf_schema_count;

/* The row of `path`, or NULL. */
const struct conf_key *conf_schema_find(const char *path);

/* The part of a pattern behind its last dot. */
const char *conf_key_leaf(const struct conf_key *key);

/* True if `key` is a direct child of the group pattern `parent` ("" is the file itself). */
bool conf_key_is_child(const struct conf_key *key, const char *parent);

/*
 * The known key that a writer of `leaf` in the group `parent` most likely meant. Never NULL.
 */
const struct conf_key *conf_schema_nearest(const char *parent, const char *leaf);

/* Writes "a whole number of ms, 5 to 10000" into `out`: what a value of this key may be. */
void conf_key_allowed(const struct conf_key *key, char *out, size_t size);

#endif
