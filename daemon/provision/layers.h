/*
 * A holdfast.conf in the making: settings of the cluster file are laid over each other, general ones
 * first, by the schema of conf/.
 *
 * Purpose: groups are merged key by key; lists of groups element by element, where the first key of an
 *   element (name, id, unit) says which is which; all else is replaced. Each setting remembers which
 *   one of the cluster file it came from, so that errors can be told there.
 * Owner: board_conf.c, for the time of one board.
 */
#ifndef HOLDFAST_PROVISION_LAYERS_H
#define HOLDFAST_PROVISION_LAYERS_H

#include <libconfig.h>
#include <stdbool.h>

#include "conf/conf_report.h"

/* A key that a layer must not have, and who says it instead. */
struct layers_reserved {
    const char *pattern; /* a key of the schema; all below it, too */
    const char *instead;
};

struct layers {
    struct conf_report *report; /* unknown and reserved keys, at their lines in the cluster file */
    const struct layers_reserved *reserved; /* ended by a pattern of NULL */
    bool out_of_memory;
};

/* Lays one setting over what `to` has of that name. `pattern`: that of the group `to`, "" is the file. */
void layers_put(struct layers *layers, config_setting_t *to, const config_setting_t *setting,
                const char *pattern);

/* The same of each setting in the group `from`. */
void layers_put_all(struct layers *layers, config_setting_t *to, const config_setting_t *from,
                    const char *pattern);

/*
 * The element of a list of groups whose first key, `key`, is the text `said`; added, as made of the
 * group around that, if there is none.
 */
config_setting_t *layers_element(struct layers *layers, config_setting_t *list, const char *key,
                                 const config_setting_t *said);

/* The member of the group, added if it is not there, or in the place of one of another type. */
config_setting_t *layers_add(struct layers *layers, config_setting_t *to, const char *name,
                             int type, const config_setting_t *origin);

/* Adds a text, or replaces what is there. */
void layers_set_text(struct layers *layers, config_setting_t *to, const char *name,
                     const char *text, const config_setting_t *origin);

/* Which setting of the cluster file this one came from; NULL: none. */
const config_setting_t *layers_origin(const config_setting_t *setting);

#endif
