# A Raspberry Pi Pico W: the stock board's Wi-Fi, without Bluetooth.
set(PICO_BOARD "pico_w")
set(MICROPY_PY_LWIP ON)
set(MICROPY_PY_NETWORK_CYW43 ON)
# As in mpconfigboard.h; from MicroPython 1.29 on the linker asks for them.
set(MICROPY_HW_ROMFS_BYTES 262144)
set(MICROPY_HW_FLASH_STORAGE_BYTES 868352)
include(${MICROPY_BOARD_DIR}/../../firmware/rp2/lwm2m.cmake)
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO_W/pins.csv)
