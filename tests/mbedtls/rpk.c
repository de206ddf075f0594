// Raw public keys (firmware/patches/0002-mbedtls-rpk.patch) in memory, for tests/test_mbedtls.py:
// what each side answers to a Certificate message that is not as it should be, and, under a
// sanitizer, messages changed at random.
//
//   rpk table             a line for each: the message, who answers, the alert's number
//   rpk fuzz COUNT SEED   changed messages, COUNT for each of three places; status 1 for a finding

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mbedtls/ctr_drbg.h"
#include "mbedtls/ecp.h"
#include "mbedtls/entropy.h"
#include "mbedtls/pk.h"
#include "mbedtls/ssl.h"
#include "mbedtls/timing.h"

enum { CLIENT, SERVER, OTHER };
enum { CLIENT_HELLO = 1, SERVER_HELLO = 2, CERTIFICATE = 11 };

#define HEAD (13 + 12) // of a record, and of the handshake message that is alone in it (RFC 6347 4.1, 4.2.2)
#define ROOM 4096

typedef struct {
    unsigned char data[ROOM];
    size_t len;
} bytes_t;

// What a side has sent and the other one has not read: datagrams.
typedef struct {
    bytes_t sent[16];
    int count;
    int read;
} way_t;

typedef struct {
    mbedtls_pk_context key;
    bytes_t spki;
    mbedtls_x509_crt own;
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    mbedtls_timing_delay_context timer;
    int result;
} side_t;

static mbedtls_ctr_drbg_context rng;
static side_t sides[3];
static bytes_t p384;
static way_t ways[2]; // by who has sent it
static const int suites[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, 0 };

static void check(int ret, const char *what) {
    if (ret != 0) {
        printf("%s: -0x%04x\n", what, -ret);
        exit(2);
    }
}

static int send_datagram(void *ctx, const unsigned char *data, size_t len) {
    way_t *way = ctx;
    if (way->count < 16 && len <= ROOM) {
        memcpy(way->sent[way->count].data, data, len);
        way->sent[way->count++].len = len;
    }
    return len;
}

static int receive_datagram(void *ctx, unsigned char *data, size_t len) {
    way_t *way = &ways[(way_t *)ctx == &ways[CLIENT] ? SERVER : CLIENT];
    if (way->read == way->count) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    bytes_t *next = &way->sent[way->read++];
    len = next->len < len ? next->len : len;
    memcpy(data, next->data, len);
    return len;
}

// The peer's key is the one of the other side.
static int verify(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags) {
    side_t *peer = &sides[ctx == &sides[CLIENT] ? SERVER : CLIENT];
    (void)depth;
    if (crt->raw.len == peer->spki.len && memcmp(crt->raw.p, peer->spki.data, peer->spki.len) == 0) {
        *flags = 0;
    }
    return 0;
}

static void make_key(mbedtls_pk_context *key, mbedtls_ecp_group_id curve, bytes_t *spki) {
    mbedtls_pk_init(key);
    check(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), "setup");
    check(mbedtls_ecp_gen_key(curve, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random, &rng), "gen_key");
    int len = mbedtls_pk_write_pubkey_der(key, spki->data, ROOM);
    check(len < 0 ? len : 0, "write_pubkey");
    memmove(spki->data, spki->data + ROOM - len, len);
    spki->len = len;
}

// Both at the start of a handshake.
static void begin(void) {
    memset(ways, 0, sizeof(ways));
    for (int i = 0; i < 2; i++) {
        side_t *side = &sides[i];
        mbedtls_ssl_config_init(&side->conf);
        check(mbedtls_ssl_config_defaults(&side->conf, i == SERVER, MBEDTLS_SSL_TRANSPORT_DATAGRAM, 0), "defaults");
        mbedtls_ssl_conf_rng(&side->conf, mbedtls_ctr_drbg_random, &rng);
        mbedtls_ssl_conf_authmode(&side->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_ciphersuites(&side->conf, suites);
        mbedtls_ssl_conf_verify(&side->conf, verify, side);
        mbedtls_ssl_conf_raw_public_keys(&side->conf, 1);
        mbedtls_ssl_conf_dtls_cookies(&side->conf, NULL, NULL, NULL); // they are no part of this
        mbedtls_x509_crt_init(&side->own);
        check(mbedtls_ssl_parse_raw_public_key(&side->own, side->spki.data, side->spki.len), "parse");
        check(mbedtls_ssl_conf_own_cert(&side->conf, &side->own, &side->key), "own_cert");
        mbedtls_ssl_init(&side->ssl);
        check(mbedtls_ssl_setup(&side->ssl, &side->conf), "ssl_setup");
        mbedtls_ssl_set_timer_cb(&side->ssl, &side->timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
        mbedtls_ssl_set_bio(&side->ssl, &ways[i], send_datagram, receive_datagram, NULL);
        side->result = MBEDTLS_ERR_SSL_WANT_READ;
    }
}

static void end(void) {
    for (int i = 0; i < 2; i++) {
        mbedtls_ssl_free(&sides[i].ssl);
        mbedtls_ssl_config_free(&sides[i].conf);
        mbedtls_x509_crt_free(&sides[i].own);
    }
}

static void drive(int i) {
    if (sides[i].result == MBEDTLS_ERR_SSL_WANT_READ) {
        sides[i].result = mbedtls_ssl_handshake(&sides[i].ssl);
    }
}

// Where a side's message of a type lies that is still to be read: its record, or NULL.
static unsigned char *find(int sender, int type, bytes_t **datagram) {
    way_t *way = &ways[sender];
    for (int i = way->read; i < way->count; i++) {
        bytes_t *d = *datagram = &way->sent[i];
        for (size_t at = 0; at + HEAD <= d->len; at += 13 + (d->data[at + 11] << 8 | d->data[at + 12])) {
            if (d->data[at] == MBEDTLS_SSL_MSG_HANDSHAKE && d->data[at + 13] == type) {
                return d->data + at;
            }
        }
    }
    return NULL;
}

// Let both work until that message is on its way.
static unsigned char *until(int sender, int type, bytes_t **datagram) {
    unsigned char *found = NULL;
    for (int turn = 0; found == NULL && turn < 10; turn++) {
        drive(turn & 1);
        found = find(sender, type, datagram);
    }
    check(found == NULL, "no such message");
    return found;
}

static void put24(unsigned char *p, size_t n) {
    p[0] = n >> 16;
    p[1] = n >> 8;
    p[2] = n;
}

// Put another body in a message; what follows in the datagram stays behind it.
static void replace(bytes_t *datagram, unsigned char *record, const unsigned char *body, size_t len) {
    size_t old = 13 + (record[11] << 8 | record[12]);
    unsigned char *after = record + old;
    size_t behind = datagram->data + datagram->len - after;
    if (len > 1200) {
        len = 1200;
    }
    memmove(record + HEAD + len, after, behind);
    memmove(record + HEAD, body, len);
    record[11] = (12 + len) >> 8;
    record[12] = 12 + len;
    put24(record + 14, len);
    put24(record + 22, len);
    datagram->len = record - datagram->data + HEAD + len + behind;
}

// --- What is answered

static int alert_of(int sender) {
    for (int i = 0; i < ways[sender].count; i++) {
        bytes_t *d = &ways[sender].sent[i];
        if (d->data[0] == MBEDTLS_SSL_MSG_ALERT && d->data[4] == 0) {
            return d->data[14];
        }
    }
    return -1;
}

static void answer(const char *what, int sender, const unsigned char *body, size_t len) {
    bytes_t *datagram;
    begin();
    unsigned char *record = until(sender, CERTIFICATE, &datagram);
    if (body != NULL) {
        replace(datagram, record, body, len);
    }
    for (int i = 0; i < 10; i++) {
        drive(i & 1);
    }
    int other = !sender;
    printf("%s of the %s: %s, alert %d\n", what, sender == CLIENT ? "client" : "server",
        sides[other].result == 0 ? "taken" : "refused", alert_of(other));
    end();
}

// One length, and so many bytes of a key.
static void key_answer(const char *what, int sender, const bytes_t *key, size_t said, size_t len) {
    unsigned char body[ROOM] = { 0 };
    put24(body, said);
    memcpy(body + 3, key->data, key->len < len ? key->len : len);
    answer(what, sender, body, 3 + len);
}

static void table(void) {
    for (int sender = 0; sender < 2; sender++) {
        const bytes_t *key = &sides[sender].spki;
        bytes_t bad = *key;
        key_answer("key", sender, key, key->len, key->len);
        key_answer("another key", sender, &sides[OTHER].spki, key->len, key->len);
        key_answer("another curve", sender, &p384, p384.len, p384.len);
        key_answer("a byte less", sender, key, key->len - 1, key->len - 1);
        key_answer("a byte more", sender, key, key->len + 1, key->len + 1);
        key_answer("a length too short", sender, key, key->len - 1, key->len);
        key_answer("a length too long", sender, key, key->len + 1, key->len);
        key_answer("nothing", sender, key, 0, 0);
        answer("no length", sender, (const unsigned char *)"", 0);
        bad.data[key->len - 1] ^= 1;
        key_answer("no point of the curve", sender, &bad, key->len, key->len);
        memcpy(bad.data, key->data, key->len);
        bad.data[6] ^= 1; // in the algorithm's name
        key_answer("another algorithm", sender, &bad, key->len, key->len);
        // As certificates are: a list, with a length for each.
        memset(bad.data, 0, 3);
        put24(bad.data, key->len);
        memcpy(bad.data + 3, key->data, key->len);
        key_answer("a list of keys", sender, &bad, key->len + 3, key->len + 3);
    }
}

// --- Messages changed at random

static unsigned seed;

static unsigned below(unsigned n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void change(bytes_t *datagram, unsigned char *record) {
    unsigned char body[ROOM] = { 0 };
    size_t len = (record[11] << 8 | record[12]) - 12;
    memcpy(body, record + HEAD, len);
    for (unsigned i = below(4) + 1; i > 0; i--) {
        size_t at = below(len + 1);
        // Half of the changes are where lengths, types and DER are.
        if (below(2)) {
            at = below(len < 40 ? len + 1 : 40);
        }
        size_t n = below(below(8) ? 4 : 300) + 1;
        switch (below(6)) {
            case 0:
                body[at] ^= 1 << below(8);
                break;
            case 1:
                body[at] = "\0\1\2\4\x20\x30\x7f\x80\x81\x82\xff"[below(11)];
                break;
            case 2:
                body[at] = below(256);
                break;
            case 3: // some bytes less
                n = at + n > len ? len - at : n;
                memmove(body + at, body + at + n, len - at - n);
                len -= n;
                break;
            case 4: // and more
                n = len + n > 1200 ? 0 : n;
                memmove(body + at + n, body + at, len - at);
                len += n;
                break;
            default: // a length that is right again
                if (len >= 3) {
                    put24(body, len - 3);
                }
        }
    }
    replace(datagram, record, body, len);
    if (below(8) == 0) { // and now and then the headers too
        record[below(HEAD)] = below(256);
    }
    if (below(16) == 0) {
        datagram->len = below(datagram->len) + 1;
    }
}

// A process of its own for each, as what a sanitizer finds ends it.
static int fuzz(int sender, int type, const char *name, unsigned count, unsigned first) {
    bytes_t *datagram;
    unsigned taken = 0;
    begin();
    unsigned char *record = until(sender, type, &datagram);
    for (unsigned i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            seed = first + i * 2654435761u;
            change(datagram, record);
            drive(!sender);
            drive(!sender);
            int over = sides[!sender].ssl.MBEDTLS_PRIVATE(state) > (sender == SERVER ? 3 : type == CERTIFICATE ? 7 : 1);
            _exit(over ? 0 : 3);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) {
            check(-1, "fork");
        }
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3)) {
            printf("%s, change %u of seed %u: a finding\n", name, i, first);
            return 1;
        }
        taken += WEXITSTATUS(status) == 0;
    }
    printf("%s: %u changed, %u of them taken all the same\n", name, count, taken);
    fflush(stdout);
    end();
    return 0;
}

int main(int argc, char **argv) {
    mbedtls_entropy_context entropy;
    mbedtls_pk_context other;
    setvbuf(stdout, NULL, _IOLBF, 0);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&rng);
    check(mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0), "seed");
    for (int i = 0; i < 3; i++) {
        make_key(&sides[i].key, MBEDTLS_ECP_DP_SECP256R1, &sides[i].spki);
    }
    make_key(&other, MBEDTLS_ECP_DP_SECP384R1, &p384);
    int status = 0;
    if (argc == 4 && strcmp(argv[1], "fuzz") == 0) {
        unsigned count = atoi(argv[2]);
        unsigned first = atoi(argv[3]);
        status = fuzz(SERVER, CERTIFICATE, "the server's Certificate", count, first)
            || fuzz(CLIENT, CERTIFICATE, "the client's Certificate", count, first)
            || fuzz(CLIENT, CLIENT_HELLO, "ClientHello", count, first)
            || fuzz(SERVER, SERVER_HELLO, "ServerHello", count, first);
    } else {
        table();
    }
    mbedtls_pk_free(&other);
    for (int i = 0; i < 3; i++) {
        mbedtls_pk_free(&sides[i].key);
    }
    mbedtls_ctr_drbg_free(&rng);
    mbedtls_entropy_free(&entropy);
    return status;
}
