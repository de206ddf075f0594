// The unix port with a board's set of features: ESP32 and RP2040 builds have this level too.
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

// m_tracked_calloc, which mbedTLS uses when it allocates on the MicroPython heap.
#define MICROPY_TRACKED_ALLOC (1)

#include "variants/mpconfigvariant_common.h"
