# A Raspberry Pi Pico, which has no radio of its own: PPP over a UART, as cellular modems speak it.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP ON)
# As in mpconfigboard.h; from MicroPython 1.29 on the linker asks for them.
set(MICROPY_HW_ROMFS_BYTES 262144)
set(MICROPY_HW_FLASH_STORAGE_BYTES 1048576)
include(${MICROPY_BOARD_DIR}/../../firmware/rp2/lwm2m.cmake)
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO/pins.csv)
