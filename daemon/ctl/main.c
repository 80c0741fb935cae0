/* holdfastctl: the operators' command line. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "ctl/commands.h"

_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "holdfastctl: %s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

int main(int argc, char **argv)
{
    /* A console that goes away is an error of the write, no death. */
    signal(SIGPIPE, SIG_IGN);
    int status = ctl_run(argc, argv, stdout, stderr);
    if (fflush(stdout) != 0 && status == CTL_EXIT_OK)
        return CTL_EXIT_REFUSED;
    return status;
}
