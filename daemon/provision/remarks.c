#include "provision/remarks.h"

#include <stdlib.h>
#include <string.h>

static struct remark *find(struct remarks *remarks, const struct remark *wanted)
{
    for (int i = 0; i < remarks->count; i++) {
        struct remark *remark = &remarks->remark[i];
        if (remark->line == wanted->line && strcmp(remark->text, wanted->text) == 0)
            return remark;
    }
    return NULL;
}

void remarks_add(struct remarks *remarks, const struct hf_name *board, unsigned line, bool warning,
                 const char *key, const char *text)
{
    struct remark remark = { .line = line, .warning = warning, .board = *board, .last = *board };
    snprintf(remark.text, sizeof(remark.text), "%s%s%s", key, key[0] != '\0' ? ": " : "", text);
    struct remark *known = find(remarks, &remark);
    if (known) {
        known->others += name_equal(&known->last, board) ? 0 : 1;
        known->last = *board;
        return;
    }
    remarks->errors += warning ? 0 : 1;
    if (remarks->count < CONF_REPORT_MAX)
        remarks->remark[remarks->count++] = remark;
    else
        remarks->dropped++;
}

void remarks_add_unsaid(struct remarks *remarks, int errors)
{
    remarks->errors += errors;
    remarks->dropped += errors;
}

static void report(struct conf_report *report, const struct remark *remark)
{
    char others[32] = "";
    if (remark->others > 0)
        snprintf(others, sizeof(others), " and %u more", remark->others);
    if (remark->warning)
        conf_report_warning(report, remark->line, NULL, "%s (%s%s)", remark->text,
                            remark->board.text, others);
    else
        conf_report_error(report, remark->line, NULL, "%s (%s%s)", remark->text, remark->board.text,
                          others);
}

void remarks_print(const struct remarks *remarks, const char *file, bool warnings, FILE *out)
{
    struct conf_report *all = calloc(1, sizeof(*all));
    if (!all) {
        fprintf(out, "%s:0: out of memory\n", file);
        return;
    }
    for (int i = 0; i < remarks->count; i++) {
        if (warnings || !remarks->remark[i].warning)
            report(all, &remarks->remark[i]);
    }
    all->dropped += remarks->dropped;
    conf_report_print(all, file, out);
    free(all);
}
