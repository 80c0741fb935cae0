/*
 * The operators' public SSH keys, as a board's authorized_keys.
 */
#ifndef HOLDFAST_PROVISION_SSH_KEYS_H
#define HOLDFAST_PROVISION_SSH_KEYS_H

enum {
    SSH_KEYS_MAX = 64 * 1024, /* bytes of such a file */
    SSH_KEYS_WHY_MAX = 400
};

/*
 * The text of the file, with line ends of Unix, to be freed. NULL with a reason in `why`, of
 * SSH_KEYS_WHY_MAX bytes: it can't be read, or a line of it is no public key. Blocks for the read.
 */
char *ssh_keys_read(const char *file, char *why);

#endif
