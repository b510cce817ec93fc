#include "NoLocaleData.h"

// ICU finds its data by a symbol, and takes the first that the linker meets (ICU's own "stubdata" is this). Swift's static
// Foundation brings 31 MB of it, of every language and zone there is. The daemon prints nothing by locale, and reads zones
// itself, so it carries an empty package instead. Without data ICU's functions report that there is none: formatters give
// empty texts, TimeZone(identifier:) gives nil; texts of errors, JSON, paths and numbers do not need it.
//
// The name has ICU's version in it: with a Swift that has another one, this is not used and the data is linked as before.
__attribute__((aligned(16))) const struct berth_icu_package icudt76_dat = {
    .header_size = 32,
    .magic1 = 0xda,
    .magic2 = 0x27,
    .info_size = 20,
    .is_big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
    .char16_size = 2,
    .format = {'T', 'o', 'C', 'P'},
    .format_version = {1},
};
