#include "telemetry.h"

/* After update_rtt: input 1 is the path. Keeps the largest round trip seen beside the smallest that the host keeps. */
protoop_arg_t rtt_updated(picoquic_cnx_t *cnx)
{
    picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    uint64_t rtt = get_path(path, AK_PATH_SMOOTHED_RTT, 0);
    if (rtt < get_path(path, AK_PATH_RTT_MIN, 0)) {
        return 0;
    }
    if (rtt > get_path_metadata(cnx, path, PATH_RTT_MAX)) {
        set_path_metadata(cnx, path, PATH_RTT_MAX, rtt);
    }
    return 0;
}
