#include "broken.h"

/* Before packet_was_lost. Nothing is wrong with this one. */
protoop_arg_t packet_lost(picoquic_cnx_t *cnx)
{
    set_cnx_metadata(cnx, CNX_LOST, get_cnx_metadata(cnx, CNX_LOST) + 1);
    return 0;
}
