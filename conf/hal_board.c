#include "conf/conf.h"

struct hal_board conf_hal_board(const struct conf *conf, const char *role)
{
    return (struct hal_board){
        .backend = conf->hal, .socket = conf->hal_socket, .name = conf->node_id.text, .role = role
    };
}
