// The RP2 port's choice of mbedTLS with ../mbedtls_lwm2m.h added.
#ifndef MBEDTLS_CONFIG_RP2_H
#define MBEDTLS_CONFIG_RP2_H

#include "ports/rp2/mbedtls/mbedtls_config_port.h"
#include "../mbedtls_lwm2m.h"

#endif
