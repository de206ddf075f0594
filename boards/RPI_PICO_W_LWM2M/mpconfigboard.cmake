# A Raspberry Pi Pico W: the stock board's Wi-Fi, without Bluetooth.
set(PICO_BOARD "pico_w")
set(MICROPY_PY_LWIP ON)
set(MICROPY_PY_NETWORK_CYW43 ON)
include(${MICROPY_BOARD_DIR}/../../firmware/rp2/lwm2m.cmake)
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO_W/pins.csv)
