// ports/unix/mbedtls/mbedtls_config_port.h with ../mbedtls_lwm2m.h added. It cannot include that
// file: there only the coverage variant may allocate on the MicroPython heap.
#ifndef MBEDTLS_CONFIG_VARIANT_H
#define MBEDTLS_CONFIG_VARIANT_H

#define MBEDTLS_CIPHER_MODE_CTR // for cryptolib
#define MBEDTLS_TIMING_C // DTLS retransmission

#include "extmod/mbedtls/mbedtls_config_common.h"

#if MICROPY_MBEDTLS_CONFIG_BARE_METAL
// Bench builds allocate as a board does, but take entropy from the system.
#undef MBEDTLS_ENTROPY_HARDWARE_ALT
#undef MBEDTLS_NO_PLATFORM_ENTROPY
#endif

#include "../mbedtls_lwm2m.h"

#endif
