# What mpconfigboard.cmake of each RP2040 board of this project includes.
set(LWM2M_DIR ${MICROPY_BOARD_DIR}/../../firmware)
set(MBEDTLS_CONFIG_FILE "${LWM2M_DIR}/rp2/mbedtls_config_rp2.h")
# The pass that looks for names (qstrs) would take the port's own, and miss those of our options.
list(APPEND MICROPY_CPP_DEF_EXTRA "MBEDTLS_CONFIG_FILE=\"${MBEDTLS_CONFIG_FILE}\"")
list(APPEND MICROPY_SOURCE_BOARD ${LWM2M_DIR}/lock.c)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
