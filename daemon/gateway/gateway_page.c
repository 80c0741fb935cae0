/* No page, no lease. */
#include "gateway/gateway_page.h"

#include <stdio.h>

#include "gateway/gateway_log.h"
#include "hal/clock.h"

enum { NEVER_TRIED = 1 }; /* no value of enum hf_error */

static void log_change(struct gateway_page *page, int error)
{
    if (error == page->last_error)
        return;
    page->last_error = error;
    if (error == HF_OK)
        gateway_log("%s: lease page %s opened", page->resource.text, page->path);
    else
        gateway_log("%s: no lease page: %s: %s; writes are refused until there is one",
                    page->resource.text, page->path, hf_error_text(error));
}

/* The mutex is held. */
static void refresh(struct gateway_page *page)
{
    if (page->page != NULL && hf_page_stale(page->page)) {
        hf_close(page->page);
        page->page = NULL;
        page->last_error = NEVER_TRIED;
    }
    struct instant now = hal_clock_now();
    if (page->page != NULL || !instant_reached(page->retry_at, now))
        return;
    page->retry_at = instant_add(now, span_from_ms(GATEWAY_PAGE_RETRY_MS));
    int error = hf_open(page->path, &page->page);
    if (error != HF_OK)
        page->page = NULL;
    log_change(page, error);
}

void gateway_page_open(struct gateway_page *page, const char *run_dir,
                       const struct hf_name *resource)
{
    *page = (struct gateway_page){ .resource = *resource, .last_error = NEVER_TRIED };
    pthread_mutex_init(&page->mutex, NULL);
    snprintf(page->path, sizeof(page->path), "%s/lease.page", run_dir);
    refresh(page);
}

bool gateway_page_valid(void *context, int64_t *left_us)
{
    struct gateway_page *page = context;
    pthread_mutex_lock(&page->mutex);
    refresh(page);
    bool valid = page->page != NULL &&
                 hf_lease_valid(page->page, page->resource.text, NULL, left_us);
    pthread_mutex_unlock(&page->mutex);
    return valid;
}

void gateway_page_close(struct gateway_page *page)
{
    if (page->page != NULL)
        hf_close(page->page);
    page->page = NULL;
    pthread_mutex_destroy(&page->mutex);
}
