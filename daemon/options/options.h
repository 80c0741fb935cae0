/*
 * The command line that holdfastd, holdfast-guard and holdfast-gateway have in common.
 *
 * Owner: main; plain data, strings point into argv. No allocation.
 */
#ifndef HOLDFAST_OPTIONS_OPTIONS_H
#define HOLDFAST_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

enum { OPTIONS_GO_ON = -1, OPTIONS_EXIT_USAGE = 2 };

struct options {
    const char *file;    /* -c; default /etc/holdfast/holdfast.conf */
    bool check_only;     /* -t */
    bool init;           /* --init */
    const char *restore; /* --restore; NULL: not asked for */
    const char *above;   /* --above, of --init or --restore; NULL: not given */
    bool force;          /* --force, of the same */
};

struct options_program {
    const char *name;  /* "holdfast-guard" */
    const char *about; /* lines for --help, each ended by a newline */
    bool restores;     /* takes --init, --restore, --above and --force */
};

/*
 * Reads argv (of getopt_long(3): not from two threads). Returns OPTIONS_GO_ON, or the status to exit
 * with: 0 after --help and --version, which go to `out`; OPTIONS_EXIT_USAGE after what is wrong,
 * with the usage, has been told to `errors`.
 */
int options_parse(struct options *options, const struct options_program *program, int argc,
                  char **argv, FILE *out, FILE *errors);

#endif
