#include "options/options.h"

#include <getopt.h>
#include <stdlib.h>

static void print_usage(const struct options_program *program, FILE *to)
{
    fprintf(to,
            "usage: %s [-c FILE] [-t] [-f] [--version] [--help]\n"
            "%s"
            "  -c FILE    configuration (default /etc/holdfast/holdfast.conf)\n"
            "  -t         check the configuration and exit: 0, or 78 with every error\n"
            "  -f         stay in the foreground (always so; accepted for service files)\n"
            "  --version  print the version and exit\n"
            "  --help     print this and exit\n",
            program->name, program->about);
    if (program->restores)
        fputs(
            "  --init [--above N [--force]]\n"
            "             begins a new cluster on this issuer and exits; once, on each of its "
            "issuers\n"
            "  --restore BACKUP [--above N] [--force]\n"
            "             makes a lost cluster's journal of a backup and exits; see holdfastd(8)\n",
            to);
}

/* The long options, those of the acts on a journal last. */
static const struct option longs[] = {
    { "version", no_argument, NULL, 'V' },
    { "help", no_argument, NULL, 'h' },
    { "restore", required_argument, NULL, 'R' },
    { "above", required_argument, NULL, 'A' },
    { "force", no_argument, NULL, 'F' },
    { "init", no_argument, NULL, 'I' },
    { NULL, 0, NULL, 0 },
};
static const struct option longs_plain[] = { { "version", no_argument, NULL, 'V' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };

/* True if what was read fits together. */
static bool options_agree(const struct options *options, const struct options_program *program,
                          FILE *errors)
{
    if (options->init && options->restore)
        fprintf(errors, "%s: --init and --restore: one of them\n", program->name);
    else if ((options->force || options->above) && !options->restore && !options->init)
        fprintf(errors, "%s: --above and --force belong to --init or --restore BACKUP\n",
                program->name);
    else if (options->check_only && (options->restore || options->init))
        fprintf(errors, "%s: -t and %s: one of them\n", program->name,
                options->init ? "--init" : "--restore");
    else
        return true;
    return false;
}

int options_parse(struct options *options, const struct options_program *program, int argc,
                  char **argv, FILE *out, FILE *errors)
{
    const struct option *known = program->restores ? longs : longs_plain;
    *options = (struct options){ .file = "/etc/holdfast/holdfast.conf" };
    optind = 0; /* GNU: from the start, even if it has been used before */
    for (int option = 0; (option = getopt_long(argc, argv, "c:tfh", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options->file = optarg;
            break;
        case 't':
            options->check_only = true;
            break;
        case 'f':
            break;
        case 'I':
            options->init = true;
            break;
        case 'R':
            options->restore = optarg;
            break;
        case 'A':
            options->above = optarg;
            break;
        case 'F':
            options->force = true;
            break;
        case 'V':
            fprintf(out, "%s %s\n", program->name, HOLDFAST_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            print_usage(program, out);
            return EXIT_SUCCESS;
        default: /* getopt_long() has named it */
            print_usage(program, errors);
            return OPTIONS_EXIT_USAGE;
        }
    }
    if (optind == argc && options_agree(options, program, errors))
        return OPTIONS_GO_ON;
    if (optind == argc)
        return OPTIONS_EXIT_USAGE;
    fprintf(errors, "%s: %s: no arguments are taken\n", program->name, argv[optind]);
    print_usage(program, errors);
    return OPTIONS_EXIT_USAGE;
}
