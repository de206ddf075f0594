// The stock board RPI_PICO_W with this project's lock. Of its 848 KB of storage the factory area takes
// the end.
#include "ports/rp2/boards/RPI_PICO_W/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Raspberry Pi Pico W (LwM2M)"

#include "../../firmware/lock.h"
