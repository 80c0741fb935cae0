/* Without a page the answer is always: no lease. */
#include "gateway/gateway_page.h"

#include <stdio.h>

#include "hal/clock.h"
#include "log/log.h"

/* Values of last_result beside those of enum hf_error. */
enum { NEVER_TRIED = 1, GUARD_GONE = 2 };

static void log_change(struct gateway_page *page, int result)
{
    if (result == page->last_result)
        return;
    page->last_result = result;
    if (result == HF_OK)
        log_line(LOG_INFO, "%s: lease page %s opened", page->resource.text, page->path);
    else
        log_line(LOG_WARNING, "%s: no lease for now: %s: %s", page->resource.text, page->path,
                 result == GUARD_GONE ? "its guard is gone" : hf_error_text(result));
}

static int open_fresh(struct gateway_page *page)
{
    int result = hf_open(page->path, &page->page);
    if (result != HF_OK) {
        page->page = NULL;
        return result;
    }
    if (!hf_page_stale(page->page))
        return HF_OK;
    hf_close(page->page);
    page->page = NULL;
    return GUARD_GONE;
}

/* Call it with the mutex held. */
static void refresh(struct gateway_page *page)
{
    if (page->page != NULL && hf_page_stale(page->page)) {
        hf_close(page->page);
        page->page = NULL;
        page->last_result = NEVER_TRIED; /* so that the page of the next guard is logged too */
    }
    struct instant now = hal_clock_now();
    if (page->page != NULL || !instant_reached(page->retry_at, now))
        return;
    page->retry_at = instant_add(now, span_from_ms(GATEWAY_PAGE_RETRY_MS));
    log_change(page, open_fresh(page));
}

void gateway_page_open(struct gateway_page *page, const char *run_dir,
                       const struct hf_name *resource)
{
    *page = (struct gateway_page){ .resource = *resource, .last_result = NEVER_TRIED };
    pthread_mutex_init(&page->mutex, NULL);
    snprintf(page->path, sizeof(page->path), "%s/lease.page", run_dir);
    refresh(page);
}

bool gateway_page_valid(void *context, int64_t *left_us)
{
    struct gateway_page *page = context;
    pthread_mutex_lock(&page->mutex);
    refresh(page);
    bool valid =
        page->page != NULL && hf_lease_valid(page->page, page->resource.text, NULL, left_us);
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
