#include "telemetry.h"

/* After connection_state_changed: when all is over, the totals go to the descriptor that the application left us. */
protoop_arg_t report(picoquic_cnx_t *cnx)
{
    if (get_cnx(cnx, AK_CNX_STATE, 0) != STATE_DISCONNECTED) {
        return 0;
    }
    int descriptor = (int) get_cnx_metadata(cnx, CNX_DESCRIPTOR);
    if (descriptor <= 0) {
        return 0;
    }
    telemetry_report_t totals;
    totals.sent = get_cnx_metadata(cnx, CNX_SENT);
    totals.lost = get_cnx_metadata(cnx, CNX_LOST);
    totals.lost_per_thousand = totals.sent == 0 ? 0 : totals.lost * 1000 / totals.sent;
    write(descriptor, &totals, sizeof(totals));
    return 0;
}
