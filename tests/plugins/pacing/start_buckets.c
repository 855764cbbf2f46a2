#include "pacing.h"

/* After connection_state_changed: once the connection is ready, every path starts with a full bucket. */
protoop_arg_t start_buckets(picoquic_cnx_t *cnx)
{
    uint64_t state = get_cnx(cnx, AK_CNX_STATE, 0);
    if (state != STATE_CLIENT_READY && state != STATE_SERVER_READY) {
        return 0;
    }
    uint64_t now = picoquic_current_time();
    uint64_t paths = get_cnx(cnx, AK_CNX_NB_PATHS, 0);
    for (uint16_t i = 0; i < MAX_PATHS; i++) {
        if (i >= paths) {
            break;
        }
        picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_PATH, i);
        set_path_metadata(cnx, path, BUCKET_BYTES, get_path(path, AK_PATH_SEND_MTU, 0) * BURST_PACKETS);
        set_path_metadata(cnx, path, BUCKET_TIME, now);
    }
    return 0;
}
