#include "ring.h"

/* After connection_state_changed: at the end everything goes back. */
protoop_arg_t buffer_close(picoquic_cnx_t *cnx)
{
    ring_t *ring = get_ring(cnx);
    if (ring == NULL || get_cnx(cnx, AK_CNX_STATE, 0) != STATE_DISCONNECTED) {
        return 0;
    }
    for (int i = 0; i < RING_SLOTS; i++) {
        if (ring->bytes[i] != NULL) {
            my_free(cnx, ring->bytes[i]);
        }
    }
    my_free(cnx, ring);
    set_cnx_metadata(cnx, RING_METADATA, 0);
    return 0;
}
