#!/bin/sh
# Values and declarations only in layers 0 and 1: no clock, no file, no process, no dice of their own.
set -eu
cd "$(dirname "$0")/.."
found=$(grep -nE '\bDate\(\)|\.now\b|\.random\(in:|\.random\(\)|SystemRandom|FileManager|\bProcess\(|ProcessInfo|getenv|\bfopen\(|\bopen\(' \
    -r Sources/Schedules Sources/WorkloadModel Sources/RecipeFile Sources/RecipeImport Sources/Ledger Sources/Scheduling Sources/EngineAPI Sources/ControlAPI --include='*.swift' \
    | grep -v 'using: &' || true)
if [ -n "$found" ]; then
    echo "layers 0 and 1 must not touch the world:" >&2
    echo "$found" >&2
    exit 1
fi
