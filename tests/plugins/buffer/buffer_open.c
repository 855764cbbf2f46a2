#include "ring.h"

/* Makes the ring, unless there is one. */
protoop_arg_t buffer_open(picoquic_cnx_t *cnx)
{
    if (get_ring(cnx) != NULL) {
        return RING_OK;
    }
    ring_t *ring = (ring_t *) my_malloc(cnx, sizeof(ring_t));
    if (ring == NULL) {
        return RING_NO_MEMORY;
    }
    ring->next_in = 0;
    ring->next_out = 0;
    for (int i = 0; i < RING_SLOTS; i++) {
        ring->length[i] = 0;
        ring->bytes[i] = NULL;
    }
    set_cnx_metadata(cnx, RING_METADATA, (protoop_arg_t) ring);
    return RING_OK;
}
