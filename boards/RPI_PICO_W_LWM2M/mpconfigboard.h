// The stock board RPI_PICO_W with this project's lock and map of the flash.
#undef MICROPY_HW_FLASH_STORAGE_BYTES
#include "ports/rp2/boards/RPI_PICO_W/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico W (LwM2M)"

// The map of its 2 MB of flash, which is fixed for good: tools/lwm2m_factory/flash_map.py.
#undef MICROPY_HW_ROMFS_BYTES
#undef MICROPY_HW_FLASH_STORAGE_BYTES
#define MICROPY_HW_ROMFS_BYTES         (256 * 1024) // slots A and B
#define MICROPY_HW_FLASH_STORAGE_BYTES (848 * 1024) // the file system and the factory area

#include "../../firmware/lock.h"
