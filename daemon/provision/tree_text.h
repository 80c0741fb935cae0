/*
 * A tree of settings as the text of a file, one setting a line, that any libconfig reads back.
 */
#ifndef HOLDFAST_PROVISION_TREE_TEXT_H
#define HOLDFAST_PROVISION_TREE_TEXT_H

#include <libconfig.h>
#include <stdio.h>

/* Writes what is in the group `root` to `out`. */
void tree_text_write(const config_setting_t *root, FILE *out);

#endif
