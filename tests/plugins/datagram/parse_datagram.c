#include "datagram.h"

/*
 * Replaces parse_frame: inputs 0 and 1 are where the frame begins and where its packet ends. Outputs are the parsed
 * frame, whether to acknowledge it, and whether it is a retransmission. Returns where it ends, or NULL.
 */
protoop_arg_t parse_datagram(picoquic_cnx_t *cnx)
{
    const uint8_t *bytes = (const uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 0);
    const uint8_t *end = (const uint8_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    const uint8_t *after = NULL;
    uint64_t type = 0, length = 0;

    size_t used = picoquic_varint_decode(bytes, end - bytes, &type);
    datagram_t *frame = used == 0 ? NULL : (datagram_t *) my_malloc(cnx, sizeof(datagram_t));
    if (frame == NULL) {
        goto out;
    }
    bytes += used;
    if (type & FRAME_HAS_LENGTH) {
        used = picoquic_varint_decode(bytes, end - bytes, &length);
        bytes += used;
        if (used == 0 || length > (uint64_t) (end - bytes)) {
            my_free(cnx, frame);
            frame = NULL;
            goto out;
        }
    } else {
        length = end - bytes;
    }
    /* Points into the packet, which outlives the frame. */
    frame->bytes = (uint8_t *) bytes;
    frame->length = length;
    after = bytes + length;
out:
    set_cnx(cnx, AK_CNX_OUTPUT, 0, (protoop_arg_t) frame);
    set_cnx(cnx, AK_CNX_OUTPUT, 1, 1);
    set_cnx(cnx, AK_CNX_OUTPUT, 2, 0);
    return (protoop_arg_t) after;
}
