/* Every line: there, free, at which level, and what becomes of it when its owner dies. */
#include <string.h>

#include "preflight/preflight.h"

struct place {
    const struct preflight *preflight;
    const struct conf_resource *resource;
    const struct conf_output *output;
    char topic[FINDING_TOPIC_MAX + 1];
};

static const char *level_word(const struct hal_line_facts *facts)
{
    return !facts->level_known ? "level not known" : facts->on ? "on" : "off";
}

/* False if there is nothing more to look at. */
static bool look(const struct place *at, const char *what, const struct conf_line *line,
                 const struct hal_line_config *config, struct hal_line_facts *facts)
{
    const struct hal *hal = at->preflight->system->hal;
    struct findings *findings = at->preflight->findings;
    enum hal_result result = hal->output->look(hal->context, config, facts);
    if (result != HAL_OK) {
        char text[CONF_LINE_TEXT_MAX + 1];
        const char *why = hal->why(hal->context);
        finding_add(findings, FINDING_REFUSED, at->topic, "the guard does not start",
                    "%s (%s): %s%s%s", what, conf_line_text(line, text), hal_result_name(result),
                    why[0] != '\0' ? ": " : "", why);
        return false;
    }
    if (facts->used) {
        bool ours = strncmp(facts->consumer, "holdfast ", 9) == 0;
        finding_add(findings, ours ? FINDING_NOTE : FINDING_REFUSED, at->topic,
                    ours ? "" : "the guard does not start",
                    "%s is %s [%s] line %u, in use by \"%s\"%s", what, facts->chip, facts->label,
                    (unsigned)facts->line, facts->consumer,
                    ours ? ": a guard runs, so it is not looked at" : "");
        return false;
    }
    finding_add(findings, FINDING_GOOD, at->topic, "", "%s is %s [%s] line %u \"%s\", free, %s, %s",
                what, facts->chip, facts->label, (unsigned)facts->line, facts->name,
                facts->output ? "an output" : "an input", level_word(facts));
    return true;
}

/* Chips of which it is known without a try. */
static bool keeps_levels(const struct place *at, const struct hal_line_facts *facts)
{
    static const char *const modules[][2] = {
        { "pinctrl-bcm", "/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs" },
        { "pinctrl-rp1", "/sys/module/pinctrl_rp1/parameters/persist_gpio_outputs" },
    };
    char text[8];
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        if (strncmp(facts->label, modules[i][0], strlen(modules[i][0])) == 0 &&
            preflight_read(at->preflight, modules[i][1], text, sizeof(text)))
            return text[0] == 'Y';
    }
    return strstr(facts->label, "pl061") != NULL;
}

/* Driven once at the level that means off, by a child that is killed. */
static bool seen_driven(const struct place *at, const struct hal_line_config *config, bool *tried)
{
    const struct preflight_system *system = at->preflight->system;
    struct hal_line_facts facts;
    *tried = system->hold_and_die(system->context, system->hal, config) == HAL_OK &&
             system->hal->output->look(system->hal->context, config, &facts) == HAL_OK;
    return *tried && facts.output;
}

static void check_death(const struct place *at, const struct hal_line_config *config,
                        const struct hal_line_facts *facts)
{
    struct findings *findings = at->preflight->findings;
    bool process = at->output->covers == CONF_COVERS_PROCESS;
    bool known = keeps_levels(at, facts);
    bool tried = false;
    bool driven = at->preflight->try_lines && seen_driven(at, config, &tried);
    if (driven || (known && !tried))
        finding_add(
            findings, process ? FINDING_REFUSED : FINDING_NOTE, at->topic,
            process ? "declared is 0, by covers = \"process\"; it is not bounded: the guard "
                      "does not start, say covers = \"kernel\" with a watchdog" :
                      "covered: the watchdog resets the board when the guard is gone",
            "%s: the chip goes on driving after its owner died", driven ? "tried" : "known");
    else if (tried)
        finding_add(findings, FINDING_GOOD, at->topic, "",
                    "tried: the chip lets go of the line when its owner dies");
    else if (at->preflight->try_lines)
        finding_add(findings, FINDING_WARN, at->topic, "not known, where covers is \"process\"",
                    "what becomes of it when its owner dies could not be tried");
    else
        finding_add(findings, FINDING_NOTE, at->topic, "",
                    "what becomes of it when its owner dies was not tried: --try-lines");
}

/* An input at its pull: that is what a board that was reset does to the output. */
static void check_pull(const struct place *at, const struct hal_line_facts *facts)
{
    if (facts->level_known && facts->on)
        finding_add(at->preflight->findings, FINDING_REFUSED, at->topic,
                    "a reset does not end it: the output stays on, or comes on by itself",
                    "on while nobody holds it: %s",
                    facts->output ? "the chip still drives what a former owner set" :
                                    "its pull is not the level that means off");
}

static void check_output(struct place *at)
{
    const struct hal_line_config config = conf_hal_output(at->resource, at->output);
    struct hal_line_facts facts;
    snprintf(at->topic, sizeof(at->topic), "%s/%s", at->resource->name.text, at->output->name.text);
    if (look(at, "output", &at->output->line, &config, &facts) &&
        at->output->kind == CONF_OUTPUT_GPIO) {
        check_pull(at, &facts);
        check_death(at, &config, &facts);
    }
    if (!at->output->has_readback)
        return;
    const struct hal_line_config readback = conf_hal_readback(at->resource, at->output);
    if (look(at, "readback", &at->output->readback, &readback, &facts) && facts.level_known &&
        facts.on)
        finding_add(at->preflight->findings, FINDING_WARN, at->topic,
                    "the guard starts with a fault, unless the contact is only wired the other way "
                    "round",
                    "readback shows on while nobody drives the output");
}

void check_lines(const struct preflight *preflight)
{
    struct place at = { .preflight = preflight };
    for (unsigned i = 0; i < preflight->conf->resource_count; i++) {
        at.resource = &preflight->conf->resource[i];
        for (unsigned number = 0; number < at.resource->output_count; number++) {
            at.output = &at.resource->output[number];
            check_output(&at);
        }
    }
}
