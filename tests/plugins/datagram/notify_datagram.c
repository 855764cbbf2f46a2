#include "datagram.h"

/* Replaces notify_frame: input 1 says whether the frame arrived. Nothing is sent again; losses are counted. */
protoop_arg_t notify_datagram(picoquic_cnx_t *cnx)
{
    if (get_cnx(cnx, AK_CNX_INPUT, 1) == 0) {
        set_cnx_metadata(cnx, DATAGRAMS_LOST, get_cnx_metadata(cnx, DATAGRAMS_LOST) + 1);
    }
    return 0;
}
