// A Raspberry Pi Pico with PPP over a UART: 2 MB of flash, of which the second half is the file system
// and, behind it, the factory area.
#define MICROPY_HW_BOARD_NAME               "Raspberry Pi Pico (LwM2M)"
#define MICROPY_HW_FLASH_STORAGE_BYTES      (1024 * 1024)

#define MICROPY_PY_NETWORK                  (1)
#define MICROPY_PY_NETWORK_PPP_LWIP         (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "pico-lwm2m"
#define MICROPY_PY_WEBREPL                  (0)
#define MICROPY_PY_WEBSOCKET                (0)

// The UARTs belong to the modem and the application. The REPL is on USB.
#define MICROPY_HW_ENABLE_UART_REPL         (0)

#include "../../firmware/lock.h"
