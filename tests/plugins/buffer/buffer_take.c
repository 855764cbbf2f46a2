#include "ring.h"

/* Input 0 points to room for SLOT_BYTES, input 1 to where the length goes. Empties the oldest slot. */
protoop_arg_t buffer_take(picoquic_cnx_t *cnx)
{
    uint8_t *to = (uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 0);
    void *length_to = (void *) get_cnx(cnx, AK_CNX_INPUT, 1);
    ring_t *ring = get_ring(cnx);
    if (ring == NULL) {
        return RING_EMPTY;
    }
    uint32_t slot = ring->next_out % RING_SLOTS;
    uint8_t *bytes = ring->bytes[slot];
    if (bytes == NULL) {
        return RING_EMPTY;
    }
    uint64_t length = ring->length[slot];
    my_memcpy(to, bytes, length);
    my_memcpy(length_to, &length, sizeof(length));
    my_free(cnx, bytes);
    ring->bytes[slot] = NULL;
    ring->next_out = slot + 1;
    return RING_OK;
}
