/* What the pacing plugin needs of the host: types it only passes on, field keys, helpers. */
#ifndef PACING_H
#define PACING_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t protoop_arg_t;
typedef uint16_t access_key_t;
typedef struct picoquic_cnx picoquic_cnx_t;
typedef struct picoquic_path picoquic_path_t;

#define AK_CNX_INPUT 0x00
#define AK_CNX_STATE 0x0e
#define AK_CNX_NEXT_WAKE_TIME 0x16
#define AK_CNX_NB_PATHS 0x2d
#define AK_CNX_PATH 0x2e
#define AK_PATH_SMOOTHED_RTT 0x0e
#define AK_PATH_SEND_MTU 0x15
#define AK_PATH_CWIN 0x17

#define STATE_CLIENT_READY 12
#define STATE_SERVER_READY 13

/* Paths beyond these are sent on without pacing. */
#define MAX_PATHS 8
/* Packets that may leave in one burst. */
#define BURST_PACKETS 10

/* Metadata of a path: bytes in its bucket, and when it was last filled (microseconds). */
#define BUCKET_BYTES 0
#define BUCKET_TIME 1

protoop_arg_t get_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param);
void set_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_cnx_metadata(picoquic_cnx_t *cnx, int index);
void set_cnx_metadata(picoquic_cnx_t *cnx, int index, protoop_arg_t value);
protoop_arg_t get_path(picoquic_path_t *path, access_key_t key, uint16_t param);
void set_path(picoquic_path_t *path, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_path_metadata(picoquic_cnx_t *cnx, picoquic_path_t *path, int index);
void set_path_metadata(picoquic_cnx_t *cnx, picoquic_path_t *path, int index, protoop_arg_t value);
uint64_t picoquic_current_time(void);

/* Bytes that the bucket holds at `now`, at a rate of one congestion window per round trip. */
static inline __attribute__((always_inline)) uint64_t bucket_at(picoquic_cnx_t *cnx, picoquic_path_t *path,
                                                                uint64_t now)
{
    uint64_t rtt = get_path(path, AK_PATH_SMOOTHED_RTT, 0);
    uint64_t most = get_path(path, AK_PATH_SEND_MTU, 0) * BURST_PACKETS;
    uint64_t elapsed = now - get_path_metadata(cnx, path, BUCKET_TIME);
    if (rtt == 0 || elapsed > rtt) {
        return most;
    }
    uint64_t bytes = get_path_metadata(cnx, path, BUCKET_BYTES);
    bytes += get_path(path, AK_PATH_CWIN, 0) * elapsed / rtt;
    return bytes < most ? bytes : most;
}

#endif
