/* What the buffer plugin needs of the host: types it only passes on, field keys, helpers. */
#ifndef RING_H
#define RING_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t protoop_arg_t;
typedef uint16_t access_key_t;
typedef struct picoquic_cnx picoquic_cnx_t;

#define AK_CNX_INPUT 0x00
#define AK_CNX_STATE 0x0e

#define STATE_DISCONNECTED 18

#define RING_METADATA 0
#define RING_SLOTS 16
#define SLOT_BYTES 1200

#define RING_OK 0
#define RING_FULL 1
#define RING_EMPTY 2
#define RING_NO_MEMORY 3
#define RING_TOO_LARGE 4

typedef struct {
    uint32_t next_in;
    uint32_t next_out;
    uint64_t length[RING_SLOTS];
    uint8_t *bytes[RING_SLOTS];
} ring_t;

protoop_arg_t get_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param);
void set_cnx(picoquic_cnx_t *cnx, access_key_t key, uint16_t param, protoop_arg_t value);
protoop_arg_t get_cnx_metadata(picoquic_cnx_t *cnx, int index);
void set_cnx_metadata(picoquic_cnx_t *cnx, int index, protoop_arg_t value);
void *my_malloc(picoquic_cnx_t *cnx, unsigned int size);
void my_free(picoquic_cnx_t *cnx, void *pointer);
void *my_memcpy(void *to, const void *from, size_t size);

static inline __attribute__((always_inline)) ring_t *get_ring(picoquic_cnx_t *cnx)
{
    return (ring_t *) get_cnx_metadata(cnx, RING_METADATA);
}

#endif
