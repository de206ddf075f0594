# Stock MicroPython for a Raspberry Pi Pico, with the network that a stock Pico W has and the emulated
# board does not: PPP in place of Wi-Fi. Nothing of this project is in it.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP ON)
set(MICROPY_BOARD_PINS ${MICROPY_PORT_DIR}/boards/RPI_PICO/pins.csv)
