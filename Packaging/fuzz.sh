#!/bin/sh
# Feeds the launch spec's parser with what nobody would send, under address and undefined-behaviour sanitizers.
# `sh Packaging/fuzz.sh SECONDS`
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
clang=$(command -v clang || true)
if [ -z "$clang" ]; then
    echo "no clang, no fuzzing" >&2
    exit "${BERTH_STRICT:+1}"
fi
# Built into a folder of its own, with the parser's own sources and nothing else.
"$clang" -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o "$out/fuzz" \
    Tests/ShimTests/fuzz_spec.c Sources/berth-shim/spec.c Sources/berth-shim/util.c 2>"$out/build" || {
    cat "$out/build"
    exit 1
}
mkdir "$out/corpus"
cp Tests/ShimTests/corpus/* "$out/corpus/"
"$out/fuzz" -max_total_time="$1" -max_len=4096 -print_final_stats=1 "$out/corpus" >"$out/log" 2>&1 || {
    cat "$out/log"
    exit 1
}
grep -E 'stat::number_of_executed_units|DONE|cov:' "$out/log" | tail -2
