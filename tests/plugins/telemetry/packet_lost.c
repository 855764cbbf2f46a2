#include "telemetry.h"

/* Losses per thousand packets above which a path's window is halved. */
#define HEAVY_LOSS 100
/* Packets after which the share of lost ones means something. */
#define ENOUGH_PACKETS 200

/* Before packet_was_lost: input 1 is the path. */
protoop_arg_t packet_lost(picoquic_cnx_t *cnx)
{
    picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    uint64_t lost = count_on_path(cnx, path, PATH_LOST);
    set_cnx_metadata(cnx, CNX_LOST, get_cnx_metadata(cnx, CNX_LOST) + 1);

    uint64_t sent = get_path_metadata(cnx, path, PATH_SENT);
    if (sent >= ENOUGH_PACKETS && lost * 1000 > sent * HEAVY_LOSS) {
        uint64_t half = get_path(path, AK_PATH_CWIN, 0) / 2;
        uint64_t least = get_path(path, AK_PATH_SEND_MTU, 0) * 2;
        set_path(path, AK_PATH_CWIN, 0, half > least ? half : least);
        set_cnx(cnx, AK_CNX_WAKE_NOW, 0, 1);
    }
    return 0;
}
