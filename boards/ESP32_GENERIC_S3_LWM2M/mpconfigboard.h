// The stock board ESP32_GENERIC_S3 with this project's lock.
#include "ports/esp32/boards/ESP32_GENERIC_S3/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "ESP32-S3 module (LwM2M)"

#include "../../firmware/lock.h"
