# The stock board ESP32_GENERIC with this project's options, partitions and modules.
include(boards/ESP32_GENERIC/mpconfigboard.cmake)
include(${MICROPY_BOARD_DIR}/../../firmware/esp32/lwm2m.cmake)
