#!/bin/sh
# Feeds every reader of text and bytes with what nobody would send, under sanitizers: the shim's launch spec, and the readers of
# recipes, env files, crontabs, units, calendars, schedules, time zones, images' configurations, requests and records.
# What was found is kept in the corpora. `sh Packaging/fuzz.sh SECONDS`
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

# All readers in one module, so that nothing but them is built: what they import of each other is left out, and so is the
# digest of a recipe's text, which reads nothing.
mkdir "$out/swift" "$out/texts"
for module in Schedules WorkloadModel Ledger RecipeFile RecipeImport ControlAPI; do
    for file in Sources/"$module"/*.swift; do
        # Makes messages, and reads none.
        [ "$file" = Sources/ControlAPI/Conversions.swift ] && continue
        grep -vE '^(public |package |internal )?import (Schedules|WorkloadModel|Ledger|RecipeFile|RecipeImport|ControlAPI|Crypto)$' "$file" >"$out/swift/$module-$(basename "$file")"
    done
done
for file in Sources/EngineAPI/EngineError.swift Sources/EngineNative/ImageConfiguration.swift Sources/EngineNative/RunDirectory.swift \
    Sources/EngineNative/MountTable.swift Sources/HostOS/HostFile.swift Tests/Fuzz/Fuzz.swift; do
    grep -vE '^(public |package |internal )?import (Schedules|WorkloadModel|EngineAPI|HostOS)$' "$file" >"$out/swift/Other-$(basename "$file")"
done
cat >"$out/swift/Digest.swift" <<'END'
struct SHA256 {
    mutating func update(data: [UInt8]) {}
    func finalize() -> [UInt8] { [] }
}
END
cp Tests/Fuzz/corpus/* "$out/texts/"
swiftc -parse-as-library -O -swift-version 6 -package-name berth -module-name Fuzz -sanitize=fuzzer,address -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault \
    -I Sources/CYAML -Xcc -fmodule-map-file=Sources/CYAML/module.modulemap -lyaml -o "$out/texts-fuzz" "$out"/swift/*.swift >"$out/build" 2>&1 || {
    cat "$out/build"
    exit 1
}
# Swift's own report of a trap would hide it from the fuzzer.
SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 "$out/texts-fuzz" -max_total_time="$1" -max_len=4096 -timeout=5 -rss_limit_mb=2048 \
    -artifact_prefix="${BERTH_FUZZ_ARTIFACTS:-$out/}" -print_final_stats=1 "$out/texts" >"$out/log" 2>&1 || {
    tail -60 "$out/log"
    exit 1
}
grep -E 'stat::number_of_executed_units|DONE|cov:' "$out/log" | tail -2
