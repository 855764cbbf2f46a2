#include "pacing.h"

/* After header_prepared: input 1 is the path, input 3 the packet's length. */
protoop_arg_t drain_bucket(picoquic_cnx_t *cnx)
{
    picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    uint64_t length = get_cnx(cnx, AK_CNX_INPUT, 3);
    uint64_t now = picoquic_current_time();
    uint64_t bytes = bucket_at(cnx, path, now);
    set_path_metadata(cnx, path, BUCKET_BYTES, bytes > length ? bytes - length : 0);
    set_path_metadata(cnx, path, BUCKET_TIME, now);
    return 0;
}
