/* What the telemetry plugin needs of the host: types it only passes on, field keys, helpers. */
#ifndef TELEMETRY_H
#define TELEMETRY_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t protoop_arg_t;
typedef uint16_t access_key_t;
typedef struct picoquic_cnx picoquic_cnx_t;
typedef struct picoquic_path picoquic_path_t;

#define AK_CNX_INPUT 0x00
#define AK_CNX_STATE 0x0e
#define AK_CNX_WAKE_NOW 0x33
#define AK_PATH_SMOOTHED_RTT 0x0e
#define AK_PATH_RTT_MIN 0x11
#define AK_PATH_CWIN 0x17
#define AK_PATH_SEND_MTU 0x15

#define STATE_DISCONNECTED 18

/* Metadata of a path. */
#define PATH_SENT 0
#define PATH_LOST 1
#define PATH_RTT_MAX 2
/* Metadata of the connection: totals over all paths. */
#define CNX_SENT 0
#define CNX_LOST 1
#define CNX_DESCRIPTOR 2

/* What report.c hands to the application, in the byte order of the host. */
typedef struct {
    uint64_t sent;
    uint64_t lost;
    uint64_t lost_per_thousand;
} telemetry_report_t;

protoop_arg_t get_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param);
void set_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_cnx_metadata(picoquic_cnx_t *cnx, int index);
void set_cnx_metadata(picoquic_cnx_t *cnx, int index, protoop_arg_t value);
protoop_arg_t get_path(picoquic_path_t *path, access_key_t key, uint16_t param);
void set_path(picoquic_path_t *path, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_path_metadata(picoquic_cnx_t *cnx, picoquic_path_t *path, int index);
void set_path_metadata(picoquic_cnx_t *cnx, picoquic_path_t *path, int index, protoop_arg_t value);
int64_t write(int descriptor, const void *from, size_t size);

static inline __attribute__((always_inline)) uint64_t count_on_path(picoquic_cnx_t *cnx, picoquic_path_t *path,
                                                                    int index)
{
    uint64_t count = get_path_metadata(cnx, path, index) + 1;
    set_path_metadata(cnx, path, index, count);
    return count;
}

#endif
