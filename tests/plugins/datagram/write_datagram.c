#include "datagram.h"

/*
 * Replaces write_frame: inputs 0 and 1 are the room, input 2 the frame that send_datagram made. Outputs are the bytes
 * written and whether the frame is to be sent again when lost. The frame is gone afterwards, written or not.
 */
protoop_arg_t write_datagram(picoquic_cnx_t *cnx)
{
    uint8_t *bytes = (uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 0);
    const uint8_t *end = (const uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    datagram_t *frame = (datagram_t *) get_cnx(cnx, AK_CNX_INPUT, 2);
    protoop_arg_t result = FRAME_NO_ROOM;
    size_t used = 0;

    if (frame == NULL) {
        return FRAME_OK;
    }
    size_t room = end - bytes;
    if (1 + varint_size(frame->length) + frame->length <= room) {
        used = picoquic_varint_encode(bytes, room, FRAME_DATAGRAM | FRAME_HAS_LENGTH);
        used += picoquic_varint_encode(bytes + used, room - used, frame->length);
        my_memcpy(bytes + used, frame->bytes, frame->length);
        used += frame->length;
        result = FRAME_OK;
    }
    my_free(cnx, frame->bytes);
    my_free(cnx, frame);
    set_cnx(cnx, AK_CNX_OUTPUT, 0, used);
    set_cnx(cnx, AK_CNX_OUTPUT, 1, 0);
    return result;
}
