/*
 * The command line of holdfastctl.
 *
 * Purpose: options first, then the words of one command. Strings point into argv.
 * Owner: main; plain data.
 */
#ifndef HOLDFAST_CTL_COMMAND_LINE_H
#define HOLDFAST_CTL_COMMAND_LINE_H

#include <stdbool.h>
#include <stdio.h>

enum { CTL_WORDS_MAX = 16, CTL_LINE_MAX = 500 };

#define CTL_DEFAULT_CONF "/etc/holdfast/holdfast.conf"

enum ctl_exit {
    CTL_EXIT_OK = 0,
    CTL_EXIT_REFUSED = 1, /* the console said ERR, or a local command could not be done */
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_UNREACHABLE = 3, /* no connection, no trust, or no whole answer */
    CTL_EXIT_MORE = -1        /* inside ctl: not decided yet */
};

struct ctl_options {
    const char *conf_file; /* NULL: CTL_DEFAULT_CONF */
    const char *host;      /* "HOST:PORT"; NULL: console.listen of the file */
    const char *node;      /* id of the node there; NULL: any, or the file's own */
    const char *ca;
    const char *cert;
    const char *key;
    bool json;
    bool help;
    bool version;
    int word_count;
    const char *words[CTL_WORDS_MAX];
};

/*
 * Reads argv. "-o FORMAT" and "--json" are taken behind the command, too. Returns false with one
 * line in `errors` that names what was wrong and what is allowed.
 */
bool ctl_options_parse(struct ctl_options *options, int argc, char *const *argv, FILE *errors);

/*
 * The value of "--name VALUE" or "--name=VALUE" among the words from `first` on; NULL if it is not
 * there. *missing is set if the value is.
 */
const char *ctl_words_value(const struct ctl_options *options, int first, const char *name,
                            bool *missing);

#endif
