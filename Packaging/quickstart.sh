#!/bin/sh
# From a clone to a running Berth: installs what is missing, builds, starts the example, and shows it at work. Where Berth is installed, or a
# package of these sources was built (Packaging/deb/build.sh), nothing is built.
# `sh Packaging/quickstart.sh stop` ends it and removes what it made.
set -eu
cd "$(dirname "$0")/.."
home=${BERTH_QUICKSTART_DIR:-/tmp/berth-first}
berth=$PWD/.build/release/berth
berthd=$PWD/.build/release/berthd
export BERTH_SOCKET="$home/run/berth.sock"

stop() {
    for installed in "$home/package/usr/bin/berth" /usr/bin/berth; do [ -x "$berth" ] || berth=$installed; done
    if [ -S "$BERTH_SOCKET" ]; then
        berth_root "$berth" down first >/dev/null 2>&1 || true
        berth_root kill "$(berth_root cat "$home/state/berthd.pid")" 2>/dev/null || true
        while [ -S "$BERTH_SOCKET" ]; do sleep 0.1; done
    fi
    berth_root rm -rf "$home"
}

. Packaging/setup.sh
if [ "${1:-}" = stop ]; then
    stop
    echo "Berth's example is stopped, and $home is removed."
    exit 0
fi
# shellcheck disable=SC2012
package=$(ls -t .build/deb/berth_*.deb 2>/dev/null | head -n 1)
if [ -n "$package" ] && [ -n "$(find Sources Package.swift -newer "$package" | head -n 1)" ]; then package=; fi
if [ -x /usr/bin/berth ] && [ -x /usr/sbin/berthd ]; then
    echo "== Berth is installed: it is used as it is"
    berth=/usr/bin/berth berthd=/usr/sbin/berthd package=
    stop
elif [ -n "$package" ]; then
    berth_install
    stop
    echo "== unpacking $package"
    mkdir -p "$home"
    dpkg -x "$package" "$home/package"
    berth=$home/package/usr/bin/berth berthd=$home/package/usr/sbin/berthd
else
    berth_check_swift
    berth_install
    echo "== building (a few minutes the first time)"
    sh Packaging/build.sh release
    stop
fi
mkdir -p "$home"
echo "== starting berthd"
berth_root sh -c "nohup '$berthd' --state-dir '$home/state' --runtime-dir '$home/run' --recipe-dir '$home/none' \
    --stop-all >'$home/berthd.log' 2>&1 &"
tries=0
until [ -S "$BERTH_SOCKET" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || {
        cat "$home/berthd.log" >&2
        exit 1
    }
    sleep 0.1
done

echo "== berth up -f Examples/first/berth.yaml"
berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$berth" up -f Examples/first/berth.yaml

show() {
    [ -t 1 ] && printf '\033[H\033[2J'
    echo
    echo "\$ berth ps"
    berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$berth" ps
    echo
    echo "\$ berth runs -n 12"
    berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$berth" runs -n 12
}

# Until a backup has failed and been tried again, which the example does every few seconds; at most half a minute.
frame=0
while [ $frame -lt 12 ]; do
    frame=$((frame + 1))
    sleep 2.5
    show
    retried=$(berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$berth" runs backup -n 100 --json | grep -c '"trigger":"retry"' || true)
    [ $frame -ge 4 ] && [ "$retried" -gt 0 ] && break
done
cat <<END

Berth is running. Go on with (as root):
  export BERTH_SOCKET=$BERTH_SOCKET PATH=${berth%/*}:\$PATH
  berth ps --watch          everything, as it stands
  berth logs -f web         what the web server writes; its page is http://127.0.0.1:18080/
  berth runs --failed       what went wrong
  berth run backup --wait   a backup now
  sqlite3 'file:$home/state/berth.db?mode=ro' 'select name, outcome, count(*) from runs group by 1, 2'
and end it with: sh Packaging/quickstart.sh stop
END
