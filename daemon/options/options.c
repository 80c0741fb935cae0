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
}

int options_parse(struct options *options, const struct options_program *program, int argc,
                  char **argv, FILE *out, FILE *errors)
{
    static const struct option longs[] = { { "version", no_argument, NULL, 'V' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    *options = (struct options){ .file = "/etc/holdfast/holdfast.conf" };
    optind = 0; /* GNU: from the start, even if it has been used before */
    for (int option = 0; (option = getopt_long(argc, argv, "c:tfh", longs, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options->file = optarg;
            break;
        case 't':
            options->check_only = true;
            break;
        case 'f':
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
    if (optind == argc)
        return OPTIONS_GO_ON;
    fprintf(errors, "%s: %s: no arguments are taken\n", program->name, argv[optind]);
    print_usage(program, errors);
    return OPTIONS_EXIT_USAGE;
}
