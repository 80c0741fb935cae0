#include "preflight/finding.h"

#include <stdarg.h>
#include <string.h>

static const char *const levels[] = {
    [FINDING_GOOD] = "good",
    [FINDING_NOTE] = "note",
    [FINDING_WARN] = "warning",
    [FINDING_REFUSED] = "refused",
};

void finding_add(struct findings *findings, enum finding_level level, const char *topic,
                 const char *fence, const char *format, ...)
{
    va_list arguments;
    if (findings->count == FINDINGS_MAX) {
        findings->left_out++;
        return;
    }
    struct finding *finding = &findings->finding[findings->count++];
    finding->level = level;
    snprintf(finding->topic, sizeof(finding->topic), "%s", topic);
    snprintf(finding->fence, sizeof(finding->fence), "%s", fence);
    va_start(arguments, format);
    vsnprintf(finding->says, sizeof(finding->says), format, arguments);
    va_end(arguments);
}

size_t findings_refused(const struct findings *findings)
{
    size_t refused = findings->left_out;
    for (size_t i = 0; i < findings->count; i++)
        refused += findings->finding[i].level == FINDING_REFUSED;
    return refused;
}

void findings_print(const struct findings *findings, const char *node, FILE *out)
{
    fprintf(out, "preflight of node %s\n", node);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->finding[i];
        fprintf(out, "  %-8s %-20s %s\n", levels[finding->level], finding->topic, finding->says);
        if (finding->fence[0] != '\0')
            fprintf(out, "  %-8s %-20s   F: %s\n", "", "", finding->fence);
    }
    if (findings->left_out > 0)
        fprintf(out, "  refused  %zu findings more than there is room for\n", findings->left_out);
    size_t refused = findings_refused(findings);
    if (refused > 0)
        fprintf(out, "%zu refused: this board does not keep what its file declares\n", refused);
    else
        fprintf(out, "nothing refused\n");
}

/* What the kernel calls a chip may hold any byte. */
static void print_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

void findings_print_json(const struct findings *findings, const char *node, FILE *out)
{
    fprintf(out, "{\"node\":");
    print_text(node, out);
    fprintf(out, ",\"findings\":[");
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->finding[i];
        fprintf(out, "%s{\"level\":\"%s\",\"topic\":", i > 0 ? "," : "", levels[finding->level]);
        print_text(finding->topic, out);
        fprintf(out, ",\"says\":");
        print_text(finding->says, out);
        fprintf(out, ",\"fence\":");
        print_text(finding->fence, out);
        fputc('}', out);
    }
    fprintf(out, "],\"left_out\":%zu,\"refused\":%zu}\n", findings->left_out,
            findings_refused(findings));
}
