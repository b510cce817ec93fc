#ifndef BERTH_NO_LOCALE_DATA_H
#define BERTH_NO_LOCALE_DATA_H

#include <stdint.h>

/// ICU's data package (`DataHeader` of its `ucmndata.h`) with a table of contents of no entries.
struct berth_icu_package {
    uint16_t header_size;
    uint8_t magic1, magic2;
    uint16_t info_size, reserved_word;
    uint8_t is_big_endian, charset_family, char16_size, reserved_byte;
    uint8_t format[4], format_version[4], data_version[4];
    uint8_t padding[8];
    uint32_t entries, reserved[3];
};

extern const struct berth_icu_package icudt76_dat;

#endif
