// The lock of a device in the field, for a board's mpconfigboard.h: a locked device has no REPL.
// MIT license; Copyright (c) 2026 The lwm2m firmware authors
//
// The factory area's first sector tells it: device/area.py writes LWM2M_LOCK_WORD there, and erases
// it. Any other content is not locked, so that a chip with some other firmware's remains is not.
//
// A locked device ignores Ctrl-C from reset on, whatever Python does meanwhile but micropython.kbd_intr,
// never runs what comes in at a REPL, and resets when main.py ends, for whatever reason. It does not
// hinder the BOOTSEL button, SWD or esptool: where no fuses are set, they read the flash and write it.
#ifndef LWM2M_LOCK_H
#define LWM2M_LOCK_H

#include <stdbool.h>

#define LWM2M_AREA_BYTES (20480) // as the map has it: tools/lwm2m_factory/flash_map.py
#define LWM2M_LOCK_WORD "LwM2M: locked \r\n" // 16 bytes

bool lwm2m_locked(void);
bool lwm2m_is_main(const void *source, bool frozen);
void lwm2m_reset(void);

// shared/runtime/pyexec.c calls these around all that it runs; `source` is its own.
#define MICROPY_BOARD_BEFORE_PYTHON_EXEC(input_kind, exec_flags) \
    do { \
        if (lwm2m_locked()) { \
            if (exec_flags & (EXEC_FLAG_IS_REPL | EXEC_FLAG_SOURCE_IS_READER | EXEC_FLAG_SOURCE_IS_VSTR)) { \
                lwm2m_reset(); \
            } \
            exec_flags |= EXEC_FLAG_NO_INTERRUPT; \
        } \
    } while (0)

#define MICROPY_BOARD_AFTER_PYTHON_EXEC(input_kind, exec_flags, ret_val, ret) \
    do { \
        if ((exec_flags & (EXEC_FLAG_SOURCE_IS_FILENAME | EXEC_FLAG_SOURCE_IS_RAW_CODE)) \
            && lwm2m_locked() \
            && lwm2m_is_main(source, exec_flags & EXEC_FLAG_SOURCE_IS_RAW_CODE)) { \
            lwm2m_reset(); \
        } \
    } while (0)

#endif
