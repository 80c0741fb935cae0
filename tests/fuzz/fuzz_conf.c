/* A configuration file: refused with a reason, or good for everything that is computed from it. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"

/* libconfig 1.5 forgets the string that it was reading when a syntax error ended it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

static void print_all(const struct conf *conf)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    HF_CHECK(out != NULL);
    conf_print_budget(conf, out, false);
    conf_print_budget(conf, out, true);
    fclose(out);
    HF_CHECK(length > 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf conf;
    char *text = NULL;
    size_t length = 0;
    char path[40];
    int fd = memfd_create("conf", MFD_CLOEXEC);
    HF_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    FILE *errors = open_memstream(&text, &length);
    HF_CHECK(errors != NULL);
    int count = conf_load(&conf, path, errors);
    fclose(errors);
    close(fd);
    if (count == 0)
        print_all(&conf);
    else
        HF_CHECK(length > 0);
    free(text);
    return 0;
}
