// A Raspberry Pi Pico 2 with PPP over a UART.
#define MICROPY_HW_BOARD_NAME               "Raspberry Pi Pico 2 (LwM2M)"

// The map of its 4 MB of flash, which is fixed for good: tools/lwm2m_factory/flash_map.py.
#undef MICROPY_HW_ROMFS_BYTES
#undef MICROPY_HW_FLASH_STORAGE_BYTES
#define MICROPY_HW_ROMFS_BYTES              (512 * 1024) // slots A and B
#define MICROPY_HW_FLASH_STORAGE_BYTES      (2560 * 1024) // the file system and the factory area

#define MICROPY_PY_NETWORK                  (1)
#define MICROPY_PY_NETWORK_PPP_LWIP         (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "pico2-lwm2m"
#define MICROPY_PY_WEBREPL                  (0)
#define MICROPY_PY_WEBSOCKET                (0)

// The UARTs belong to the modem and the application. The REPL is on USB.
#define MICROPY_HW_ENABLE_UART_REPL         (0)

#include "../../firmware/lock.h"
