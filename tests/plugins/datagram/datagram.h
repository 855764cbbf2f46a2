/* What the datagram plugin needs of the host: types it only passes on, field keys, helpers. */
#ifndef DATAGRAM_H
#define DATAGRAM_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t protoop_arg_t;
typedef uint16_t access_key_t;
typedef struct picoquic_cnx picoquic_cnx_t;
typedef struct picoquic_path picoquic_path_t;

#define AK_CNX_INPUT 0x00
#define AK_CNX_OUTPUT 0x01
#define AK_CNX_NB_PATHS 0x2d
#define AK_CNX_PATH 0x2e
#define AK_PATH_SEND_MTU 0x15

#define FRAME_DATAGRAM 0x30
#define FRAME_HAS_LENGTH 0x01

/* Metadata of the connection. */
#define DATAGRAM_SOCKET 0
#define DATAGRAMS_LOST 1

#define FRAME_OK 0
#define FRAME_NO_ROOM 1

#define MAX_PATHS 8
/* Packet header, packet number and authentication tag, at their largest; then frame type and length. */
#define PACKET_OVERHEAD (1 + 20 + 4 + 16)
#define FRAME_OVERHEAD (1 + 4)

/* A parsed frame, or one that waits to be written. */
typedef struct {
    uint64_t length;
    uint8_t *bytes;
} datagram_t;

/* What the host wants to know about a frame to be scheduled: the layout is the host's. */
typedef struct {
    size_t nb_bytes;
    uint64_t flags;
    uint64_t frame_type;
    void *plugin;
    void *frame_ctx;
} reserve_frame_slot_t;

protoop_arg_t get_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param);
void set_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_cnx_metadata(picoquic_cnx_t *cnx, int index);
void set_cnx_metadata(picoquic_cnx_t *cnx, int index, protoop_arg_t value);
protoop_arg_t get_path(picoquic_path_t *path, access_key_t key, uint16_t param);
void *my_malloc(picoquic_cnx_t *cnx, unsigned int size);
void my_free(picoquic_cnx_t *cnx, void *pointer);
void *my_memcpy(void *to, const void *from, size_t size);
size_t picoquic_varint_decode(const uint8_t *bytes, size_t room, uint64_t *value);
size_t picoquic_varint_encode(uint8_t *bytes, size_t room, uint64_t value);
size_t reserve_frames(picoquic_cnx_t *cnx, uint8_t count, reserve_frame_slot_t *slots);
int64_t write(int descriptor, const void *from, size_t size);

/* Bytes that a value takes as a variable-length integer (RFC 9000 section 16). */
static inline __attribute__((always_inline)) size_t varint_size(uint64_t value)
{
    return value < 64 ? 1 : value < 16384 ? 2 : value < 1073741824 ? 4 : 8;
}

/* The largest message that fits into one packet on every path. */
static inline __attribute__((always_inline)) uint64_t max_datagram_size(picoquic_cnx_t *cnx)
{
    uint64_t paths = get_cnx(cnx, AK_CNX_NB_PATHS, 0);
    uint64_t least = UINT64_MAX;
    for (uint16_t i = 0; i < MAX_PATHS; i++) {
        if (i >= paths) {
            break;
        }
        uint64_t mtu = get_path((picoquic_path_t *) get_cnx(cnx, AK_CNX_PATH, i), AK_PATH_SEND_MTU, 0);
        if (mtu < least) {
            least = mtu;
        }
    }
    if (least == UINT64_MAX || least <= PACKET_OVERHEAD + FRAME_OVERHEAD) {
        return 0;
    }
    return least - PACKET_OVERHEAD - FRAME_OVERHEAD;
}

#endif
