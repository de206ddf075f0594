# What mpconfigboard.cmake of each RP2040 board of this project includes.
set(LWM2M_DIR ${MICROPY_BOARD_DIR}/../../firmware)
set(MBEDTLS_CONFIG_FILE "${LWM2M_DIR}/rp2/mbedtls_config_rp2.h")
list(APPEND MICROPY_SOURCE_BOARD ${LWM2M_DIR}/lock.c)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
