/* What the broken plugin needs of the host: types it only passes on, field keys, helpers. */
#ifndef BROKEN_H
#define BROKEN_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t protoop_arg_t;
typedef uint16_t access_key_t;
typedef struct picoquic_cnx picoquic_cnx_t;
typedef struct picoquic_path picoquic_path_t;

#define AK_CNX_INPUT 0x00
#define AK_PATH_SMOOTHED_RTT 0x0e

#define CNX_LOST 0
#define PATH_RTT 0

protoop_arg_t get_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param);
void set_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_cnx_metadata(picoquic_cnx_t *cnx, int index);
void set_cnx_metadata(picoquic_cnx_t *cnx, int index, protoop_arg_t value);
protoop_arg_t get_path(picoquic_path_t *path, access_key_t key, uint16_t param);
void set_path(picoquic_path_t *path, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_path_metadata(picoquic_cnx_t *cnx, picoquic_path_t *path, int index);
void set_path_metadata(picoquic_cnx_t *cnx, picoquic_path_t *path, int index, protoop_arg_t value);

#endif
