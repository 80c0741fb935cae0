/*
 * The commands of holdfastctl: which are done here, which the console does.
 *
 * Owner: main; blocking.
 */
#ifndef HOLDFAST_CTL_COMMANDS_H
#define HOLDFAST_CTL_COMMANDS_H

#include <stdio.h>

#include "ctl/command_line.h"

/* Runs argv as main() got it. Returns one of enum ctl_exit for the process. */
int ctl_run(int argc, char *const *argv, FILE *out, FILE *errors);

#endif
