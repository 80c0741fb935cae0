#include "tests/unit/support/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/support/unit.h"

void folder_remove(const char *path)
{
    if (path[0] == '\0')
        return;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    assert_int_equal(rmdir(path), 0);
}
