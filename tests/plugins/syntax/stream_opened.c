#include "syntax.h"

/* After stream_opened. The semicolon after the first statement is missing. */
protoop_arg_t stream_opened(picoquic_cnx_t *cnx)
{
    uint64_t streams = get_cnx_metadata(cnx, CNX_STREAMS)
    set_cnx_metadata(cnx, CNX_STREAMS, streams + 1);
    return 0;
}
