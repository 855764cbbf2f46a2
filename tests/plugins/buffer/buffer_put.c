#include "ring.h"

/* Input 0 points to bytes, input 1 says how many. Copies them into the next slot. */
protoop_arg_t buffer_put(picoquic_cnx_t *cnx)
{
    const uint8_t *from = (const uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 0);
    uint64_t length = get_cnx(cnx, AK_CNX_INPUT, 1);
    ring_t *ring = get_ring(cnx);
    if (ring == NULL) {
        return RING_NO_MEMORY;
    }
    if (length == 0 || length > SLOT_BYTES) {
        return RING_TOO_LARGE;
    }
    uint32_t slot = ring->next_in % RING_SLOTS;
    if (ring->bytes[slot] != NULL) {
        return RING_FULL;
    }
    uint8_t *bytes = (uint8_t *) my_malloc(cnx, SLOT_BYTES);
    if (bytes == NULL) {
        return RING_NO_MEMORY;
    }
    my_memcpy(bytes, from, length);
    ring->bytes[slot] = bytes;
    ring->length[slot] = length;
    ring->next_in = slot + 1;
    return RING_OK;
}
