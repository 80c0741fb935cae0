/*
 * The lease page as a struct gateway_lease: opened when there is one, opened anew when it is stale.
 *
 * Owner: main. Opened once, closed once, after the gateway has stopped. gateway_page_valid() is for
 *   any thread.
 */
#ifndef HOLDFAST_GATEWAY_PAGE_H
#define HOLDFAST_GATEWAY_PAGE_H

#include <pthread.h>

#include "client/holdfast.h"
#include "conf/conf.h"

enum { GATEWAY_PAGE_RETRY_MS = 200 };

struct gateway_page {
    pthread_mutex_t mutex; /* guards what follows */
    char path[CONF_PATH_MAX + sizeof("/lease.page")];
    struct hf_name resource;
    struct hf_page *page; /* NULL: none, so no lease */
    struct instant retry_at;
    int last_result; /* of opening it, so that a change is logged once */
};

/* Looks for RUN/lease.page and logs what it finds; a missing page is no error. Does not block. */
void gateway_page_open(struct gateway_page *page, const char *run_dir,
                       const struct hf_name *resource);

/*
 * struct gateway_lease's question; `context` is the struct gateway_page. Opens the page if it is
 * missing or stale, at most every GATEWAY_PAGE_RETRY_MS; no page, no lease.
 */
bool gateway_page_valid(void *context, int64_t *left_us);

void gateway_page_close(struct gateway_page *page);

#endif
