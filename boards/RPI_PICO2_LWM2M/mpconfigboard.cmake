# A Raspberry Pi Pico 2, which has no radio of its own: PPP over a UART, as cellular modems speak it.
set(PICO_BOARD "pico2")
set(PICO_PLATFORM "rp2350")
set(MICROPY_PY_LWIP ON)
# As in mpconfigboard.h; from MicroPython 1.29 on the linker asks for them.
set(MICROPY_HW_ROMFS_BYTES 524288)
set(MICROPY_HW_FLASH_STORAGE_BYTES 2621440)
include(${MICROPY_BOARD_DIR}/../../firmware/rp2/lwm2m.cmake)
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO2/pins.csv)
