#!/bin/sh
# Builds berth, berthd and berth-shim, or one other product: `sh Packaging/build.sh [debug|release] [PRODUCT]`. They are in
# .build/CONFIGURATION.
set -eu
cd "$(dirname "$0")/.."
configuration=${1:-release}
options=
# A release carries Swift's libraries in itself, so it runs where no Swift is installed, and starts faster.
# Nothing is loaded into it that asks for its symbols: they need not be kept, nor what only they keep.
[ "$configuration" = release ] && options="--static-swift-stdlib -Xlinker --no-export-dynamic -Xcc -ffunction-sections -Xcc -fdata-sections"
for product in ${2:-berthd berth}; do
    # shellcheck disable=SC2086
    swift build -c "$configuration" $options --product "$product"
done
compiler=$(command -v clang || command -v gcc || echo cc)
make -s -C Sources/berth-shim CC="$compiler" OUT="$PWD/.build/$configuration/berth-shim"
