// The stock board ESP32_GENERIC with this project's lock.
#include "ports/esp32/boards/ESP32_GENERIC/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "ESP32 module (LwM2M)"

#include "../../firmware/lock.h"
