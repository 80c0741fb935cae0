/*
 * What a board reads at its start, put where it finds it: the folder holdfast/ of a FAT partition.
 *
 * Purpose: into a folder, such as a mounted card; or into the partition of an image file, by mtools.
 *   A card with the file `board` is whole: that one is taken away first and written last.
 * Owner: provision_run.c; blocking. FAT knows no owners, modes and links; elsewhere, keys are 0600.
 */
#ifndef HOLDFAST_CTL_CARD_H
#define HOLDFAST_CTL_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { CARD_FILES_MAX = 8 };

#define CARD_FOLDER "holdfast"
#define CARD_WHOLE  "board" /* must be among the files */

struct card_file {
    const char *name;
    const char *bytes; /* NULL: there must be no such file */
    size_t length;
    mode_t mode;
};

struct card {
    size_t count;
    struct card_file file[CARD_FILES_MAX];
};

/* True if the folder is there to be written into; else one line in `errors`. Writes nothing. */
bool card_folder_ready(const char *folder, FILE *errors);

/* Writes FOLDER/holdfast, and syncs it. False after one line in `errors`. Blocks for the disk. */
bool card_folder_write(const char *folder, const struct card *card, FILE *errors);

/* Takes away what card_folder_write() wrote, as far as it can. */
void card_folder_remove(const char *folder, const struct card *card);

/*
 * Finds the first FAT partition of an image file (or of a device), and whether mtools can read it: its
 * offset in bytes. False after one line in `errors`. Writes nothing.
 */
bool card_image_ready(const char *image, uint64_t *offset, FILE *errors);

/*
 * Writes the folder holdfast of that partition, and syncs the image. `from` has the files, as
 * card_folder_write() wrote them. False after one line in `errors`.
 */
bool card_image_write(const char *image, uint64_t offset, const char *from, const struct card *card,
                      FILE *errors);

#endif
