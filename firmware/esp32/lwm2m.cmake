# What mpconfigboard.cmake of each ESP32 board of this project includes, behind the stock board's.
set(LWM2M_DIR ${MICROPY_BOARD_DIR}/../../firmware)
# ESP-IDF expands nothing in an sdkconfig, and looks for the table in its project's folder.
file(WRITE ${CMAKE_BINARY_DIR}/sdkconfig.partitions
    "CONFIG_PARTITION_TABLE_CUSTOM=y\n"
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${MICROPY_BOARD_DIR}/partitions.csv\"\n"
)
list(APPEND SDKCONFIG_DEFAULTS
    ${LWM2M_DIR}/esp32/sdkconfig.lwm2m
    ${MICROPY_BOARD_DIR}/sdkconfig.board
    ${CMAKE_BINARY_DIR}/sdkconfig.partitions
)
list(APPEND MICROPY_SOURCE_BOARD ${LWM2M_DIR}/lock.c)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
