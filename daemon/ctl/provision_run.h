/*
 * `holdfastctl provision`: from a cluster file to a board's card.
 *
 * Purpose: everything is looked at first, cluster file, certificates and where the card is; a refusal
 *   writes nothing. Then certificates, then the card.
 * Owner: commands.c; one thread, blocking.
 */
#ifndef HOLDFAST_CTL_PROVISION_RUN_H
#define HOLDFAST_CTL_PROVISION_RUN_H

#include <stdio.h>

#include "ctl/command_line.h"

#define PROVISION_USAGE_FOLDER                                                                     \
    "provision --board ID --folder DIR [--begin] [--replace] [--etc DIR] FILE"
#define PROVISION_USAGE_IMAGE                                                                      \
    "provision --board ID --image FILE [--begin] [--replace] [--etc DIR] FILE"
#define PROVISION_USAGE_CHECK   "provision --check FILE"
#define PROVISION_USAGE_EXAMPLE "provision --example"

/* The command, whose words are those of `options`. */
enum ctl_exit provision_run(const struct ctl_options *options, FILE *out, FILE *errors);

#endif
