// The unix port with a board's set of features: ESP32 and RP2040 builds have this level too.
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

// m_tracked_calloc, which mbedTLS uses when it allocates on the MicroPython heap.
#define MICROPY_TRACKED_ALLOC (1)

// MicroPython has no umask() and no chmod(): what it writes here, such as a Store's accounts with their
// keys, nobody else may read.
#include <sys/stat.h>
#define MICROPY_PORT_INIT_FUNC umask(umask(0) | 077)

#include "variants/mpconfigvariant_common.h"
