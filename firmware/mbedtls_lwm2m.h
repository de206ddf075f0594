// What this project wants of mbedTLS beyond MicroPython's own choice: a board's or a port's mbedTLS
// configuration includes it last, after extmod/mbedtls/mbedtls_config_common.h.
#ifndef MBEDTLS_LWM2M_H
#define MBEDTLS_LWM2M_H

// TLS_PSK_WITH_AES_128_CCM_8 is what RFC 7925 4.2 asks of devices; stock builds lack CCM.
#define MBEDTLS_CCM_C
#define MBEDTLS_KEY_EXCHANGE_PSK_ENABLED
#undef MBEDTLS_PSK_MAX_LEN
#define MBEDTLS_PSK_MAX_LEN (64) // RFC 4279 5.3

// A datagram of ours carries 1,152 bytes at most (RFC 7252 4.6); peers may send a little more. A
// handshake message has to fit too: a side's certificates may take some 1,260 bytes together.
#undef MBEDTLS_SSL_MAX_CONTENT_LEN
#undef MBEDTLS_SSL_IN_CONTENT_LEN
#undef MBEDTLS_SSL_OUT_CONTENT_LEN
#define MBEDTLS_SSL_IN_CONTENT_LEN (1280)
#define MBEDTLS_SSL_OUT_CONTENT_LEN (1280)

// What a peer may make a handshake keep of messages that came too early or in fragments.
#define MBEDTLS_SSL_DTLS_MAX_BUFFERING (4096)

// Raw public keys instead of certificates (RFC 7250), which firmware/patches add to mbedTLS and to
// tls; where they are not applied nobody asks for it.
#define MBEDTLS_SSL_RAW_PUBLIC_KEY

// Connection ids (RFC 9146), and sessions that are saved and go on from there. Ids have up to 32 bytes,
// mbedTLS's default, in both directions: with less in one, a flight that fills one side's buffer would
// not fit in the other's. Records are not padded, as those without ids are not.
#define MBEDTLS_SSL_DTLS_CONNECTION_ID
#define MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY (1)
#define MBEDTLS_SSL_CONTEXT_SERIALIZATION

// A peer with a wrong pre-shared key is told so, instead of being left to its time-out.
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES

#endif
