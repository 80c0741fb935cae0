/* How many descriptors this process has open: none may be left behind. */
#ifndef HOLDFAST_TESTS_UNIT_DESCRIPTORS_H
#define HOLDFAST_TESTS_UNIT_DESCRIPTORS_H

#include <dirent.h>

static inline unsigned descriptors_open(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

#endif
