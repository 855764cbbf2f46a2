#include "telemetry.h"

/* After header_prepared: input 1 is the path. */
protoop_arg_t packet_sent(picoquic_cnx_t *cnx)
{
    picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    count_on_path(cnx, path, PATH_SENT);
    set_cnx_metadata(cnx, CNX_SENT, get_cnx_metadata(cnx, CNX_SENT) + 1);
    return 0;
}
