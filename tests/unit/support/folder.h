/* A test's own folder, made by mkdtemp(3): removed with all the plain files in it. */
#ifndef HOLDFAST_TESTS_UNIT_FOLDER_H
#define HOLDFAST_TESTS_UNIT_FOLDER_H

/* Fails the test if something is left, such as a folder inside. Does nothing where path is "". */
void folder_remove(const char *path);

#endif
