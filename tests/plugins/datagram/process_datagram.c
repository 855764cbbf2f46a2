#include "datagram.h"

/* Replaces process_frame: input 0 is the parsed frame. The message goes to the application's socket, or is lost. */
protoop_arg_t process_datagram(picoquic_cnx_t *cnx)
{
    datagram_t *frame = (datagram_t *) get_cnx(cnx, AK_CNX_INPUT, 0);
    int descriptor = (int) get_cnx_metadata(cnx, DATAGRAM_SOCKET);
    if (frame == NULL) {
        return 0;
    }
    if (descriptor <= 0 || write(descriptor, frame->bytes, frame->length) < 0) {
        set_cnx_metadata(cnx, DATAGRAMS_LOST, get_cnx_metadata(cnx, DATAGRAMS_LOST) + 1);
    }
    return 0;
}
