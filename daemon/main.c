/* holdfastd: the daemon with the issuer's and the agent's role. See holdfastd(8). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <getopt.h>

#include "conf/conf.h"
#include "log/log.h"
#include "node/node.h"

static const char usage_text[] =
    "usage: holdfastd [-c FILE] [-t] [-f] [--version] [--help]\n"
    "  -c FILE    configuration (default /etc/holdfast/holdfast.conf)\n"
    "  -t         check the configuration and exit: 0, or 78 with every error\n"
    "  -f         stay in the foreground (always so; accepted for service files)\n"
    "  --version  print the version and exit\n";

enum { EXIT_USAGE = 2 };

struct options {
    const char *file;
    bool test;
};

/* Returns -1 to go on, else the exit status. */
static int options_parse(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = { { "version", no_argument, NULL, 'V' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    int option;
    while ((option = getopt_long(argc, argv, "c:tfh", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->file = optarg;
            break;
        case 't':
            options->test = true;
            break;
        case 'f':
            break;
        case 'V':
            printf("holdfastd %s\n", HOLDFAST_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage_text, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage_text, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "holdfastd: %s: no arguments are taken\n%s", argv[optind], usage_text);
        return EXIT_USAGE;
    }
    return -1;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct node *node = handle->data;
    log_line(LOG_NOTICE, "stopping on signal %d", number);
    node_stop(node);
}

static void watch_signals(struct node *node, uv_signal_t handles[2])
{
    static const int numbers[2] = { SIGTERM, SIGINT };
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&node->loop, &handles[i]);
        handles[i].data = node;
        uv_signal_start(&handles[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&handles[i]);
    }
}

int main(int argc, char **argv)
{
    static struct node node;
    static uv_signal_t signals[2];
    struct options options = { .file = "/etc/holdfast/holdfast.conf" };

    int status = options_parse(&options, argc, argv);
    if (status >= 0)
        return status;
    log_open("");
    signal(SIGPIPE, SIG_IGN);
    if (conf_load(&node.conf, options.file, stderr) != 0)
        return CONF_EXIT_BAD_FILE;
    if (options.test) {
        printf("%s: configuration is good\n", options.file);
        return EXIT_SUCCESS;
    }
    if (node_start(&node) != 0)
        return EXIT_FAILURE;
    watch_signals(&node, signals);
    uv_run(&node.loop, UV_RUN_DEFAULT);
    log_line(LOG_NOTICE, "stopped");
    return EXIT_SUCCESS;
}
