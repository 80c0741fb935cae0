/* The board as the HAL is asked for it. */
#include "conf/conf.h"

struct hal_board conf_hal_board(const struct conf *conf, const char *role)
{
    return (struct hal_board){
        .backend = conf->hal, .socket = conf->hal_socket, .name = conf->node_id.text, .role = role
    };
}

static struct hal_line_config line_config(const struct conf_resource *resource,
                                          const struct conf_output *output,
                                          const struct conf_line *line)
{
    return (struct hal_line_config){ .chip = line->chip,
                                     .line_name = line->name,
                                     .line = line->line,
                                     .resource = resource->name.text,
                                     .output = output->name.text };
}

struct hal_line_config conf_hal_output(const struct conf_resource *resource,
                                       const struct conf_output *output)
{
    struct hal_line_config config = line_config(resource, output, &output->line);
    config.active_low = output->active_low;
    return config;
}

struct hal_line_config conf_hal_readback(const struct conf_resource *resource,
                                         const struct conf_output *output)
{
    struct hal_line_config config = line_config(resource, output, &output->readback);
    config.active_low = output->readback_active_low;
    config.bias = output->readback_bias;
    return config;
}

const char *conf_line_text(const struct conf_line *line, char text[CONF_LINE_TEXT_MAX + 1])
{
    int used = snprintf(text, CONF_LINE_TEXT_MAX + 1, "%s line", line->chip);
    if (line->line != HAL_LINE_BY_NAME)
        used += snprintf(text + used, CONF_LINE_TEXT_MAX + 1 - (size_t)used, " %u",
                         (unsigned)line->line);
    if (line->name[0] != '\0')
        snprintf(text + used, CONF_LINE_TEXT_MAX + 1 - (size_t)used, " \"%s\"", line->name);
    return text;
}
