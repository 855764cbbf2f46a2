#include "pacing.h"

/*
 * After set_next_wake_time: if no path may send a full packet now, sleep until the first one may. Only ever moves the
 * time to later than now, and never beyond what the connection had chosen.
 */
protoop_arg_t wake_for_bucket(picoquic_cnx_t *cnx)
{
    uint64_t now = picoquic_current_time();
    uint64_t chosen = get_cnx(cnx, AK_CNX_NEXT_WAKE_TIME, 0);
    uint64_t paths = get_cnx(cnx, AK_CNX_NB_PATHS, 0);
    uint64_t shortest = UINT64_MAX;

    for (uint16_t i = 0; i < MAX_PATHS; i++) {
        if (i >= paths) {
            break;
        }
        picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_PATH, i);
        uint64_t packet = get_path(path, AK_PATH_SEND_MTU, 0);
        uint64_t bytes = bucket_at(cnx, path, now);
        uint64_t window = get_path(path, AK_PATH_CWIN, 0);
        uint64_t wait = 0;
        if (bytes < packet && window != 0) {
            wait = (packet - bytes) * get_path(path, AK_PATH_SMOOTHED_RTT, 0) / window;
        }
        if (wait < shortest) {
            shortest = wait;
        }
    }
    if (shortest != UINT64_MAX && chosen < now + shortest) {
        set_cnx(cnx, AK_CNX_NEXT_WAKE_TIME, 0, now + shortest);
    }
    return 0;
}
