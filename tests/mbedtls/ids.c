// Records with connection ids (RFC 9146), changed at random, in memory and under a sanitizer, for
// tests/test_mbedtls.py:
//
//   ids COUNT SEED   COUNT changed records to each side of a session that has ids both ways: they are
//                    dropped, and it goes on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/ctr_drbg.h"
#include "mbedtls/entropy.h"
#include "mbedtls/ssl.h"
#include "mbedtls/timing.h"

enum { CLIENT, SERVER };

#define ROOM 4096
#define ID 6 // bytes
#define KEPT 8 // records that are changed, from the newest

typedef struct {
    unsigned char data[ROOM];
    size_t len;
} bytes_t;

typedef struct {
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    mbedtls_timing_delay_context timer;
    bytes_t in; // the datagram to be read, of length 0 where there is none
} side_t;

static mbedtls_ctr_drbg_context rng;
static side_t sides[2];
static bytes_t kept[2][KEPT]; // what each side has sent
static unsigned sent[2];
static const int suites[] = { MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0 };
static unsigned seed;

static void check(int ret, const char *what) {
    if (ret != 0) {
        printf("%s: -0x%04x\n", what, ret < 0 ? -ret : ret);
        exit(2);
    }
}

static unsigned below(unsigned n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static int send_datagram(void *ctx, const unsigned char *data, size_t len) {
    int i = ctx == &sides[SERVER];
    bytes_t *to = &sides[!i].in;
    bytes_t *copy = &kept[i][sent[i]++ % KEPT];
    check(len > ROOM, "too long");
    memcpy(to->data, data, len);
    memcpy(copy->data, data, len);
    to->len = copy->len = len;
    return len;
}

static int receive_datagram(void *ctx, unsigned char *data, size_t len) {
    bytes_t *in = &((side_t *)ctx)->in;
    if (in->len == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    len = in->len < len ? in->len : len;
    memcpy(data, in->data, len);
    in->len = 0;
    return len;
}

static void begin(void) {
    unsigned char id[2][ID] = { "client", "server" };
    for (int i = 0; i < 2; i++) {
        side_t *side = &sides[i];
        mbedtls_ssl_config_init(&side->conf);
        check(mbedtls_ssl_config_defaults(&side->conf, i == SERVER, MBEDTLS_SSL_TRANSPORT_DATAGRAM, 0), "defaults");
        mbedtls_ssl_conf_rng(&side->conf, mbedtls_ctr_drbg_random, &rng);
        mbedtls_ssl_conf_ciphersuites(&side->conf, suites);
        mbedtls_ssl_conf_dtls_cookies(&side->conf, NULL, NULL, NULL); // they are no part of this
        check(mbedtls_ssl_conf_psk(&side->conf, (const unsigned char *)"0123456789abcdef", 16,
            (const unsigned char *)"id", 2), "psk");
        check(mbedtls_ssl_conf_cid(&side->conf, ID, MBEDTLS_SSL_UNEXPECTED_CID_IGNORE), "conf_cid");
        mbedtls_ssl_init(&side->ssl);
        check(mbedtls_ssl_setup(&side->ssl, &side->conf), "setup");
        check(mbedtls_ssl_set_cid(&side->ssl, MBEDTLS_SSL_CID_ENABLED, id[i], ID), "set_cid");
        mbedtls_ssl_set_timer_cb(&side->ssl, &side->timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
        mbedtls_ssl_set_bio(&side->ssl, side, send_datagram, receive_datagram, NULL);
    }
    int client = 1, server = 1;
    for (int turn = 0; turn < 20 && (client || server); turn++) {
        client = mbedtls_ssl_handshake(&sides[CLIENT].ssl);
        server = mbedtls_ssl_handshake(&sides[SERVER].ssl);
    }
    check(client, "the client's handshake");
    check(server, "the server's handshake");
}

// What a side says arrives.
static void talk(int i) {
    unsigned char data[200];
    int len = 1 + below(100);
    memset(data, 'x', len);
    check(mbedtls_ssl_write(&sides[i].ssl, data, len) != len, "write");
    check(sides[!i].in.data[0] != MBEDTLS_SSL_MSG_CID, "a record without an id");
    check(mbedtls_ssl_read(&sides[!i].ssl, data, sizeof(data)) != len, "it does not work any more");
}

// The length of the whole records of a datagram: the scrap behind them would end the session, so
// lwm2m.dtls cuts it off.
static size_t whole(const bytes_t *datagram) {
    size_t at = 0;
    while (at + 13 < datagram->len) {
        size_t n = at + 13 + (datagram->data[at] == MBEDTLS_SSL_MSG_CID ? ID : 0);
        if (n >= datagram->len) {
            break;
        }
        n += datagram->data[n - 2] << 8 | datagram->data[n - 1];
        if (n > datagram->len) {
            break;
        }
        at = n;
    }
    return at;
}

// A record that a side has sent, changed, to the other one, which must drop it and go on.
static void change(int i) {
    unsigned char data[ROOM];
    bytes_t *in = &sides[!i].in;
    const bytes_t *of = &kept[i][below(sent[i] < KEPT ? sent[i] : KEPT)];
    memcpy(in->data, of->data, of->len);
    in->len = of->len;
    in->data[10] += 1 + below(9); // a newer number: or it would be dropped as an old one
    for (unsigned n = below(4); n > 0; n--) {
        size_t at = below(below(2) ? in->len : 13 + ID);
        in->data[at] = below(2) ? in->data[at] ^ 1 << below(8) : below(256);
    }
    if (below(4) == 0) {
        in->len = 1 + below(in->len);
    } else if (below(4) == 0) { // more behind it: rubbish, or another one
        size_t more = below(2) ? below(200) : of->len;
        memcpy(in->data + in->len, of->data, more);
        in->len += more;
    }
    in->len = whole(in);
    if (in->len > 0) {
        check(mbedtls_ssl_read(&sides[!i].ssl, data, sizeof(data)) != MBEDTLS_ERR_SSL_WANT_READ, "not dropped");
    }
}

int main(int argc, char **argv) {
    mbedtls_entropy_context entropy;
    unsigned count = argc == 3 ? atoi(argv[1]) : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&rng);
    check(mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0), "seed");
    seed = argc == 3 ? atoi(argv[2]) : 0;
    begin();
    for (unsigned i = 0; i < 2 * count; i++) {
        if (i % 20 == 0) {
            talk(CLIENT);
            talk(SERVER);
        }
        change(i & 1);
    }
    talk(CLIENT);
    talk(SERVER);
    printf("%u changed records to each side\n", count);
    for (int i = 0; i < 2; i++) {
        mbedtls_ssl_free(&sides[i].ssl);
        mbedtls_ssl_config_free(&sides[i].conf);
    }
    mbedtls_ctr_drbg_free(&rng);
    mbedtls_entropy_free(&entropy);
    return 0;
}
