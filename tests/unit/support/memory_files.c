#include "tests/unit/support/memory_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"

enum {
    SECTOR_BYTES = 512,
    PAGE_BYTES = 4096,
    PAGES_MAX = 1024,
    INODES_MAX = 64,
    NAMES_MAX = 256,
    CHANGES_MAX = 256,
    DESCRIPTORS_MAX = 32,
    NAME_MAX_BYTES = 48,
    ROOT = 1,
    FIRST_DESCRIPTOR = 1000 /* none of the process itself */
};

struct page {
    uint8_t cache[PAGE_BYTES];
    uint8_t durable[PAGE_BYTES];
    uint8_t dirty; /* a bit for each sector */
};

struct inode {
    bool used;
    mode_t mode;
    off_t size;
    off_t durable_size;
    int locked_by; /* descriptor */
    struct page *page[PAGES_MAX];
};

/* A name in a folder: which inode it is now, and which one after a power cut for sure. 0: none. */
struct name {
    int folder;
    char text[NAME_MAX_BYTES];
    int inode;
    int durable;
};

/* Names that change together, and are durable once `folder` is synced. */
struct change {
    int folder;
    int names; /* 1 or 2 */
    struct {
        int name; /* which of the table */
        int inode;
    } name[2];
};

static struct inode inode[INODES_MAX];
static struct name name[NAMES_MAX];
static int names;
static struct change change[CHANGES_MAX];
static int changes;
static int descriptor[DESCRIPTORS_MAX]; /* inode, 0: closed */
struct memory_files memory_files;

/* ---- the answer that is told */

/* Counts a call; what it is answered with. */
static int answer(enum memory_call call)
{
    memory_files.calls++;
    memory_files.called[call]++;
    if (memory_files.calls == memory_files.off_at)
        memory_files.off_call = call;
    if (memory_files.off_at != 0 && memory_files.calls >= memory_files.off_at)
        return EIO;
    return memory_files.answer ? memory_files.answer(call, memory_files.calls) : MEMORY_DONE;
}

static int refuse(int number)
{
    errno = number;
    return -1;
}

/* ---- data */

static struct page *page_at(struct inode *file, off_t offset)
{
    assert_true(offset / PAGE_BYTES < PAGES_MAX);
    struct page **page = &file->page[offset / PAGE_BYTES];
    if (!*page)
        *page = calloc(1, sizeof(**page));
    assert_non_null(*page);
    return *page;
}

static bool all_zero(const uint8_t *data, size_t length)
{
    return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

/* Within one sector. Zeros where nothing ever was change nothing. */
static void write_part(struct inode *file, off_t offset, const uint8_t *data, size_t length)
{
    if (!file->page[offset / PAGE_BYTES] && all_zero(data, length))
        return;
    struct page *page = page_at(file, offset);
    memcpy(page->cache + offset % PAGE_BYTES, data, length);
    page->dirty |= (uint8_t)(1 << offset % PAGE_BYTES / SECTOR_BYTES);
}

static void write_data(struct inode *file, off_t offset, const uint8_t *data, size_t length)
{
    while (length > 0) {
        size_t room = SECTOR_BYTES - (size_t)(offset % SECTOR_BYTES);
        size_t part = length < room ? length : room;
        write_part(file, offset, data, part);
        offset += (off_t)part;
        data += part;
        length -= part;
    }
}

static void read_data(const struct inode *file, off_t offset, uint8_t *data, size_t length)
{
    static const struct page blank;
    while (length > 0) {
        const struct page *page = file->page[offset / PAGE_BYTES];
        size_t room = PAGE_BYTES - (size_t)(offset % PAGE_BYTES);
        size_t part = length < room ? length : room;
        memcpy(data, (page ? page : &blank)->cache + offset % PAGE_BYTES, part);
        offset += (off_t)part;
        data += part;
        length -= part;
    }
}

static void settle_sector(struct page *page, int sector, bool arrives)
{
    uint8_t *cache = page->cache + sector * SECTOR_BYTES;
    uint8_t *durable = page->durable + sector * SECTOR_BYTES;
    memcpy(arrives ? durable : cache, arrives ? cache : durable, SECTOR_BYTES);
    page->dirty &= (uint8_t) ~(1 << sector);
}

static void sync_data(struct inode *file)
{
    for (int i = 0; i < PAGES_MAX; i++) {
        for (int sector = 0; file->page[i] && sector < PAGE_BYTES / SECTOR_BYTES; sector++) {
            if (file->page[i]->dirty & 1 << sector)
                settle_sector(file->page[i], sector, true);
        }
    }
    file->durable_size = file->size;
}

/* As kernels do: what could not be written counts as clean from now on, and is in the cache only. */
static void forget_dirt(struct inode *file)
{
    for (int i = 0; i < PAGES_MAX; i++) {
        if (file->page[i])
            file->page[i]->dirty = 0;
    }
}

/* What lies past the end reads as zero, if the file grows again. */
static void clear_past_end(struct inode *file)
{
    static const struct page blank;
    for (off_t at = file->size; at < (off_t)PAGES_MAX * PAGE_BYTES;) {
        struct page *page = file->page[at / PAGE_BYTES];
        size_t kept = (size_t)(at % PAGE_BYTES);
        if (page) {
            memcpy(page->cache + kept, blank.cache, PAGE_BYTES - kept);
            memcpy(page->durable + kept, blank.durable, PAGE_BYTES - kept);
        }
        at += (off_t)(PAGE_BYTES - kept);
    }
}

static void cut_data(struct inode *file, uint64_t percent)
{
    for (int i = 0; i < PAGES_MAX; i++) {
        for (int sector = 0; file->page[i] && sector < PAGE_BYTES / SECTOR_BYTES; sector++)
            settle_sector(file->page[i], sector,
                          file->page[i]->dirty & 1 << sector && random_below(100) < percent);
    }
    if (random_below(100) < percent)
        file->durable_size = file->size;
    file->size = file->durable_size;
    clear_past_end(file);
}

/* ---- names */

/* The place of a name in the table, made if it is not there. */
static int place_of(int folder, const char *text)
{
    for (int i = 0; i < names; i++) {
        if (name[i].folder == folder && strcmp(name[i].text, text) == 0)
            return i;
    }
    assert_true(names < NAMES_MAX && strlen(text) < NAME_MAX_BYTES);
    name[names] = (struct name){ .folder = folder };
    strcpy(name[names].text, text);
    return names++;
}

/* Where a path leads: the folder and the last name's place; false: no such folder. */
static bool find(int directory, const char *path, int *folder, int *place)
{
    char part[NAME_MAX_BYTES];
    *folder = directory == AT_FDCWD ? ROOT : descriptor[directory - FIRST_DESCRIPTOR];
    for (;;) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        assert_true(length > 0 && length < sizeof(part));
        memcpy(part, path, length);
        part[length] = '\0';
        *place = place_of(*folder, part);
        path += length;
        if (*path == '\0')
            return true;
        *folder = name[*place].inode;
        if (*folder == 0)
            return false;
    }
}

static struct change *begin_change(int folder)
{
    assert_true(changes < CHANGES_MAX);
    change[changes] = (struct change){ .folder = folder };
    return &change[changes++];
}

static void add_name(struct change *one, int place, int to)
{
    one->name[one->names].name = place;
    one->name[one->names++].inode = to;
    name[place].inode = to;
}

static void settle_change(const struct change *one, bool arrives)
{
    for (int i = 0; i < one->names && arrives; i++)
        name[one->name[i].name].durable = one->name[i].inode;
}

static void sync_names(int folder)
{
    int kept = 0;
    for (int i = 0; i < changes; i++) {
        if (change[i].folder == folder)
            settle_change(&change[i], true);
        else
            change[kept++] = change[i];
    }
    changes = kept;
}

static int new_inode(mode_t mode)
{
    for (int i = ROOT; i < INODES_MAX; i++) {
        if (!inode[i].used) {
            inode[i].used = true;
            inode[i].mode = mode;
            return i;
        }
    }
    fail_msg("more inodes than the test has");
    return 0;
}

/* ---- the calls */

static struct inode *file_of(int number)
{
    int at = number - FIRST_DESCRIPTOR;
    assert_true(at >= 0 && at < DESCRIPTORS_MAX && descriptor[at] != 0);
    return &inode[descriptor[at]];
}

static int new_descriptor(int of)
{
    for (int i = 0; i < DESCRIPTORS_MAX; i++) {
        if (descriptor[i] == 0) {
            descriptor[i] = of;
            return FIRST_DESCRIPTOR + i;
        }
    }
    return refuse(EMFILE);
}

/* Not durable before a sync either: the old bytes may be there after a power cut. */
static void empty(struct inode *file)
{
    static const uint8_t zeros[SECTOR_BYTES];
    for (off_t at = 0; at < file->size; at += SECTOR_BYTES)
        write_data(file, at, zeros, SECTOR_BYTES);
    file->size = 0;
}

static int memory_openat(int directory, const char *path, int flags, mode_t mode)
{
    int folder = 0;
    int place = 0;
    int told = answer(MEMORY_OPENAT);
    assert_true(flags & O_CLOEXEC);
    assert_true(flags & (O_NOFOLLOW | O_DIRECTORY));
    assert_true(!(flags & O_CREAT) || mode == 0600);
    if (told > 0)
        return refuse(told);
    if (!find(directory, path, &folder, &place) || (!name[place].inode && !(flags & O_CREAT)))
        return refuse(ENOENT);
    if (!name[place].inode)
        add_name(begin_change(folder), place, new_inode(S_IFREG | mode));
    struct inode *file = &inode[name[place].inode];
    if (flags & O_TRUNC)
        empty(file);
    return new_descriptor(name[place].inode);
}

static int memory_close(int number)
{
    (void)answer(MEMORY_CLOSE);
    struct inode *file = file_of(number);
    if (file->locked_by == number)
        file->locked_by = 0;
    descriptor[number - FIRST_DESCRIPTOR] = 0;
    return 0;
}

static int memory_fstat(int number, struct stat *status)
{
    int told = answer(MEMORY_FSTAT);
    if (told > 0)
        return refuse(told);
    *status = (struct stat){ .st_mode = file_of(number)->mode,
                             .st_uid = geteuid(),
                             .st_size = file_of(number)->size };
    return 0;
}

/* How much of a read or write of `length` bytes is done. */
static size_t part_of(int told, size_t length)
{
    return told == MEMORY_NOTHING ? 0 : told == MEMORY_HALF && length > 1 ? length / 2 : length;
}

static ssize_t memory_pread(int number, void *data, size_t length, off_t offset)
{
    struct inode *file = file_of(number);
    int told = answer(MEMORY_PREAD);
    if (told > 0)
        return refuse(told);
    size_t there = offset >= file->size ? 0 : (size_t)(file->size - offset);
    length = part_of(told, length < there ? length : there);
    read_data(file, offset, data, length);
    return (ssize_t)length;
}

static ssize_t memory_pwrite(int number, const void *data, size_t length, off_t offset)
{
    struct inode *file = file_of(number);
    int told = answer(MEMORY_PWRITE);
    if (told > 0)
        return refuse(told);
    length = part_of(told, length);
    write_data(file, offset, data, length);
    memory_files.written += length;
    if (length > 0 && offset + (off_t)length > file->size)
        file->size = offset + (off_t)length;
    return (ssize_t)length;
}

static int memory_allocate(int number, off_t offset, off_t length)
{
    int told = answer(MEMORY_ALLOCATE);
    if (told == MEMORY_DONE && offset + length > file_of(number)->size)
        file_of(number)->size = offset + length;
    return told;
}

static int memory_fdatasync(int number)
{
    int told = answer(MEMORY_FDATASYNC);
    if (told > 0 && memory_files.off_at == 0)
        forget_dirt(file_of(number));
    if (told > 0)
        return refuse(told);
    sync_data(file_of(number));
    return 0;
}

static int memory_fsync(int number)
{
    int told = answer(MEMORY_FSYNC);
    assert_true(S_ISDIR(file_of(number)->mode));
    if (told > 0)
        return refuse(told);
    sync_names(descriptor[number - FIRST_DESCRIPTOR]);
    return 0;
}

static int memory_drop_cache(int number)
{
    struct inode *file = file_of(number);
    int told = answer(MEMORY_DROP_CACHE);
    for (int i = 0; i < PAGES_MAX && told == MEMORY_DONE; i++) {
        for (int sector = 0; file->page[i] && sector < PAGE_BYTES / SECTOR_BYTES; sector++) {
            if (!(file->page[i]->dirty & 1 << sector))
                settle_sector(file->page[i], sector, false);
        }
    }
    return told;
}

static int memory_flock(int number, int operation)
{
    struct inode *file = file_of(number);
    int told = answer(MEMORY_FLOCK);
    assert_int_equal(operation, LOCK_EX | LOCK_NB);
    if (told > 0)
        return refuse(told);
    if (file->locked_by != 0 && file->locked_by != number)
        return refuse(EWOULDBLOCK);
    file->locked_by = number;
    return 0;
}

static int memory_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    int folder = 0;
    int old = 0;
    int new = 0;
    int told = answer(MEMORY_RENAMEAT);
    if (told > 0)
        return refuse(told);
    if (!find(from_directory, from, &folder, &old) || !find(to_directory, to, &folder, &new) ||
        !name[old].inode)
        return refuse(ENOENT);
    struct change *one = begin_change(folder);
    add_name(one, new, name[old].inode);
    add_name(one, old, 0);
    return 0;
}

static int memory_linkat(int from_directory, const char *from, int to_directory, const char *to)
{
    int folder = 0;
    int old = 0;
    int new = 0;
    int told = answer(MEMORY_LINKAT);
    if (told > 0)
        return refuse(told);
    if (!find(from_directory, from, &folder, &old) || !find(to_directory, to, &folder, &new) ||
        !name[old].inode)
        return refuse(ENOENT);
    if (name[new].inode)
        return refuse(EEXIST);
    add_name(begin_change(folder), new, name[old].inode);
    return 0;
}

static int memory_unlinkat(int directory, const char *path, int flags)
{
    int folder = 0;
    int place = 0;
    int told = answer(MEMORY_UNLINKAT);
    if (told > 0)
        return refuse(told);
    if (!find(directory, path, &folder, &place) || !name[place].inode)
        return refuse(ENOENT);
    for (int i = 0; i < names && flags & AT_REMOVEDIR; i++) {
        if (name[i].folder == name[place].inode && name[i].inode)
            return refuse(ENOTEMPTY);
    }
    add_name(begin_change(folder), place, 0);
    return 0;
}

static int memory_mkdirat(int directory, const char *path, mode_t mode)
{
    int folder = 0;
    int place = 0;
    int told = answer(MEMORY_MKDIRAT);
    if (told > 0)
        return refuse(told);
    if (!find(directory, path, &folder, &place))
        return refuse(ENOENT);
    if (name[place].inode)
        return refuse(EEXIST);
    add_name(begin_change(folder), place, new_inode(S_IFDIR | mode));
    return 0;
}

static int memory_faccessat(int directory, const char *path, int mode)
{
    int folder = 0;
    int place = 0;
    int told = answer(MEMORY_FACCESSAT);
    assert_int_equal(mode, F_OK);
    if (told > 0)
        return refuse(told);
    return find(directory, path, &folder, &place) && name[place].inode ? 0 : refuse(ENOENT);
}

const struct disk_platform memory_platform = {
    .openat = memory_openat,
    .close = memory_close,
    .fstat = memory_fstat,
    .pread = memory_pread,
    .pwrite = memory_pwrite,
    .allocate = memory_allocate,
    .fdatasync = memory_fdatasync,
    .fsync = memory_fsync,
    .drop_cache = memory_drop_cache,
    .flock = memory_flock,
    .renameat = memory_renameat,
    .linkat = memory_linkat,
    .unlinkat = memory_unlinkat,
    .mkdirat = memory_mkdirat,
    .faccessat = memory_faccessat,
};

/* ---- the world */

void memory_files_reset(const char *path)
{
    int folder = 0;
    int place = 0;
    for (int i = 0; i < INODES_MAX; i++) {
        for (int j = 0; j < PAGES_MAX; j++)
            free(inode[i].page[j]);
        inode[i] = (struct inode){ .used = false };
    }
    names = changes = 0;
    memory_files_kill();
    assert_int_equal(new_inode(S_IFDIR | 0755), ROOT);
    assert_true(find(AT_FDCWD, path, &folder, &place));
    add_name(begin_change(folder), place, new_inode(S_IFDIR | 0700));
    sync_names(folder);
    memory_files = (struct memory_files){ .calls = 0 };
}

void memory_files_kill(void)
{
    memset(descriptor, 0, sizeof(descriptor));
    for (int i = 0; i < INODES_MAX; i++)
        inode[i].locked_by = 0;
    memory_files.off_at = 0;
    memory_files.answer = NULL;
}

void memory_files_cut(uint64_t seed)
{
    static const uint64_t percents[] = { 0, 10, 50, 90, 100 };
    random_seed = seed;
    memory_files_kill();
    uint64_t percent = percents[random_below(5)];
    for (int i = 0; i < changes; i++) {
        bool drawn = random_below(100) < percent;
        settle_change(&change[i], memory_files.latest_name_alone ? i == changes - 1 : drawn);
    }
    changes = 0;
    memory_files.latest_name_alone = false;
    for (int i = 0; i < names; i++)
        name[i].inode = name[i].durable;
    percent = percents[random_below(5)];
    for (int i = 0; i < INODES_MAX; i++) {
        if (inode[i].used)
            cut_data(&inode[i], percent);
    }
}

unsigned memory_files_open(void)
{
    unsigned count = 0;
    for (int i = 0; i < DESCRIPTORS_MAX; i++)
        count += descriptor[i] != 0;
    return count;
}
