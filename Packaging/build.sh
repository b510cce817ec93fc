#!/bin/sh
# Builds berth, berthd and berth-shim: `sh Packaging/build.sh [debug|release]`. They are in .build/CONFIGURATION.
set -eu
cd "$(dirname "$0")/.."
configuration=${1:-release}
options=
# A release carries Swift's libraries in itself, so it runs where no Swift is installed, and starts faster.
# Nothing is loaded into it that asks for its symbols: they need not be kept, nor what only they keep.
[ "$configuration" = release ] && options="--static-swift-stdlib -Xlinker --no-export-dynamic -Xcc -ffunction-sections -Xcc -fdata-sections"
# shellcheck disable=SC2086
swift build -c "$configuration" $options --product berthd
# shellcheck disable=SC2086
swift build -c "$configuration" $options --product berth
compiler=$(command -v clang || command -v gcc || echo cc)
make -s -C Sources/berth-shim CC="$compiler" OUT="$PWD/.build/$configuration/berth-shim"
