#!/bin/sh
# How fast, against whom: prints a table with the machine and the peers that are installed. It asserts nothing.
# `sh Packaging/bench.sh [quick]`
set -eu
cd "$(dirname "$0")/.."
. Packaging/setup.sh
berth_need busybox busybox-static crun crun runc runc sqlite3 sqlite3
berth_check_swift
berth_install
[ -x .build/release/berthd ] || sh Packaging/build.sh release
sh Packaging/build.sh release ScheduleBenchmark
exec python3 Packaging/bench.py "$@"
