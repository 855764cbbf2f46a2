#include "broken.h"

/*
 * A pluglet is one function: all others have to be inlined into it. This one is not, so the compiler emits a local call,
 * whose target the runtime takes for the number of a helper.
 */
static __attribute__((noinline)) uint64_t smooth(picoquic_cnx_t *cnx, picoquic_path_t *path, uint64_t rtt)
{
    uint64_t before = get_path_metadata(cnx, path, PATH_RTT);
    return before == 0 ? rtt : (before * 7 + rtt) / 8;
}

/* After update_rtt: input 1 is the path. */
protoop_arg_t smooth_rtt(picoquic_cnx_t *cnx)
{
    picoquic_path_t *path = (picoquic_path_t *) get_cnx(cnx, AK_CNX_INPUT, 1);
    uint64_t rtt = get_path(path, AK_PATH_SMOOTHED_RTT, 0);
    set_path_metadata(cnx, path, PATH_RTT, smooth(cnx, path, rtt));
    return 0;
}
