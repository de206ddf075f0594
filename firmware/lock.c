// The lock of a device in the field: see lock.h.
// MIT license; Copyright (c) 2026 The lwm2m firmware authors

#include <string.h>

#include "py/mpconfig.h"
#include "py/frozenmod.h"
#include "py/lexer.h"
#include "lock.h"

#if defined(PICO_FLASH_SIZE_BYTES)

#include "hardware/regs/addressmap.h"
#include "hardware/watchdog.h"
#include "pico.h"

bool lwm2m_locked(void) {
    const char *word = (const char *)(XIP_BASE + PICO_FLASH_SIZE_BYTES - LWM2M_AREA_BYTES);
    return memcmp(word, LWM2M_LOCK_WORD, sizeof(LWM2M_LOCK_WORD) - 1) == 0;
}

void lwm2m_reset(void) {
    watchdog_reboot(0, 0, 0);
    for (;;) {
    }
}

#else

#include "esp_partition.h"
#include "esp_system.h"

bool lwm2m_locked(void) {
    char word[sizeof(LWM2M_LOCK_WORD) - 1];
    const esp_partition_t *area =
        esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_ANY, "lwm2m");
    return area != NULL
           && esp_partition_read(area, 0, word, sizeof(word)) == ESP_OK
           && memcmp(word, LWM2M_LOCK_WORD, sizeof(word)) == 0;
}

void lwm2m_reset(void) {
    esp_restart();
}

#endif

// Whether what pyexec.c runs is main.py: its path, or the data of a frozen module.
bool lwm2m_is_main(const void *source, bool frozen) {
    if (!frozen) {
        return strcmp(source, "main.py") == 0;
    }
    int type;
    void *data;
    return mp_find_frozen_module("main.py", &type, &data) == MP_IMPORT_STAT_FILE && data == source;
}
