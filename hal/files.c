#include <fcntl.h>
#include <unistd.h>

#include "hal/files.h"

static bool system_read(void *context, const char *path, char *text, size_t size)
{
    size_t used = 0;
    ssize_t got = 1;
    (void)context;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    while (got > 0 && used < size - 1) {
        got = read(fd, text + used, size - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    for (size_t i = 0; i < used; i++) {
        if (text[i] == '\0')
            text[i] = ' ';
    }
    text[used] = '\0';
    return got >= 0;
}

const struct hal_files hal_system_files = { .context = NULL, .read = system_read };
