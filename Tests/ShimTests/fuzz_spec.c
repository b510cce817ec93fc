/* libFuzzer's way into the launch spec's parser. A header is put before the input, so that it gets past the first check. */
#include "../../Sources/berth-shim/shim.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + SPEC_HEADER);
    if (!bytes) return 0;
    uint32_t header[3] = { SPEC_MAGIC, SPEC_VERSION, (uint32_t)size };
    memcpy(bytes, header, SPEC_HEADER);
    if (size > 0) memcpy(bytes + SPEC_HEADER, data, size);
    struct spec spec;
    struct error err;
    if (spec_parse(&spec, bytes, size + SPEC_HEADER, &err) == 0) {
        /* What was accepted can be walked to its end. */
        size_t length = 0;
        for (size_t i = 0; i < spec.arguments.count; i++) length += strlen(spec.arguments.items[i]);
        for (size_t i = 0; i < spec.environment.count; i++) length += strlen(spec.environment.items[i]);
        for (size_t i = 0; i < spec.mount_count; i++) length += strlen(spec.mounts[i].source) + strlen(spec.mounts[i].target);
        if (length > size) abort();
    }
    spec_free(&spec);
    /* And the bytes as they are, without our header. */
    if (spec_parse(&spec, data, size, &err) == 0 && spec.arguments.count == 0) abort();
    spec_free(&spec);
    free(bytes);
    return 0;
}
