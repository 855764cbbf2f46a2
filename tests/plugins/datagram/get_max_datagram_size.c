#include "datagram.h"

/* Called by the application before it sends. */
protoop_arg_t get_max_datagram_size(picoquic_cnx_t *cnx)
{
    return max_datagram_size(cnx);
}
