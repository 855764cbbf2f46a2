#include "datagram.h"

/* Called by the application: input 0 points to a message, input 1 is its length. Returns 0 once it waits to be sent. */
protoop_arg_t send_datagram(picoquic_cnx_t *cnx)
{
    const uint8_t *message = (const uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 0);
    uint64_t length = get_cnx(cnx, AK_CNX_INPUT, 1);
    if (length == 0 || length > max_datagram_size(cnx)) {
        return FRAME_NO_ROOM;
    }
    reserve_frame_slot_t *slot = (reserve_frame_slot_t *) my_malloc(cnx, sizeof(reserve_frame_slot_t));
    if (slot == NULL) {
        return FRAME_NO_ROOM;
    }
    datagram_t *frame = (datagram_t *) my_malloc(cnx, sizeof(datagram_t));
    if (frame == NULL) {
        goto free_slot;
    }
    frame->bytes = (uint8_t *) my_malloc(cnx, (unsigned int) length);
    if (frame->bytes == NULL) {
        goto free_frame;
    }
    my_memcpy(frame->bytes, message, length);
    frame->length = length;

    slot->nb_bytes = 1 + varint_size(length) + length;
    slot->flags = 0;
    slot->frame_type = FRAME_DATAGRAM | FRAME_HAS_LENGTH;
    slot->plugin = NULL;
    slot->frame_ctx = frame;
    if (reserve_frames(cnx, 1, slot) >= slot->nb_bytes) {
        return FRAME_OK;
    }
    my_free(cnx, frame->bytes);
free_frame:
    my_free(cnx, frame);
free_slot:
    my_free(cnx, slot);
    return FRAME_NO_ROOM;
}
