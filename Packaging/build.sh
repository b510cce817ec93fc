#!/bin/sh
# Builds berth, berthd and berth-shim, or one other product: `sh Packaging/build.sh [debug|release] [PRODUCT]`. They are in
# .build/CONFIGURATION.
set -eu
cd "$(dirname "$0")/.."
configuration=${1:-release}
options=
# A release carries Swift's libraries in itself, so it runs where no Swift is installed, and starts faster.
# Nothing is loaded into it that asks for its symbols: they need not be kept, nor what only they keep.
if [ "$configuration" = release ]; then
    options="--static-swift-stdlib -Xlinker --no-export-dynamic -Xcc -ffunction-sections -Xcc -fdata-sections"
    # Swift's own linker folds what is there twice.
    options="$options -Xswiftc -use-ld=lld -Xlinker --gc-sections -Xlinker --icf=safe -Xlinker -O2"
    # The addresses that a program corrects at its start are a fifth of that start, unless they are packed: glibc unpacks them since 2.36.
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2)
    if [ "$(printf '%s\n2.36\n' "${glibc:-0}" | sort -V | head -n 1)" = 2.36 ]; then
        options="$options -Xlinker -z -Xlinker pack-relative-relocs"
    fi
fi
for product in ${2:-berthd berth}; do
    # shellcheck disable=SC2086
    swift build -c "$configuration" $options --product "$product"
done
compiler=$(command -v clang || command -v gcc || echo cc)
make -s -C Sources/berth-shim CC="$compiler" OUT="$PWD/.build/$configuration/berth-shim"
