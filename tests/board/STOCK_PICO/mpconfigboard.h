// As RPI_PICO_W has it, but for Wi-Fi.
#define MICROPY_HW_BOARD_NAME               "Raspberry Pi Pico"
#define MICROPY_HW_FLASH_STORAGE_BYTES      (848 * 1024)

#define MICROPY_PY_NETWORK                  (1)
#define MICROPY_PY_NETWORK_PPP_LWIP         (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "pico"
#define MICROPY_PY_WEBREPL                  (0)
