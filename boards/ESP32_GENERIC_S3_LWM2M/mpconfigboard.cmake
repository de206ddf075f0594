# The stock board ESP32_GENERIC_S3 with this project's options, partitions and modules.
include(boards/ESP32_GENERIC_S3/mpconfigboard.cmake)
include(${MICROPY_BOARD_DIR}/../../firmware/esp32/lwm2m.cmake)
