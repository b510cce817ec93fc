#!/bin/sh
# From a clone to a running Berth: installs what is missing, builds, starts the example, and shows it at work.
# `sh Packaging/quickstart.sh stop` ends it and removes what it made.
set -eu
cd "$(dirname "$0")/.."
home=${BERTH_QUICKSTART_DIR:-/tmp/berth-first}
bin=$PWD/.build/release
export BERTH_SOCKET="$home/run/berth.sock"

stop() {
    if [ -S "$BERTH_SOCKET" ]; then
        berth_root "$bin/berth" down first >/dev/null 2>&1 || true
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
berth_check_swift
berth_install
echo "== building (a few minutes the first time)"
sh Packaging/build.sh release
stop
mkdir -p "$home"
echo "== starting berthd"
berth_root sh -c "nohup '$bin/berthd' --state-dir '$home/state' --runtime-dir '$home/run' --recipe-dir '$home/none' \
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
berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$bin/berth" up -f Examples/first/berth.yaml

show() {
    [ -t 1 ] && printf '\033[H\033[2J'
    echo
    echo "\$ berth ps"
    berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$bin/berth" ps
    echo
    echo "\$ berth runs -n 12"
    berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$bin/berth" runs -n 12
}

# Until a backup has failed and been tried again, which the example does every few seconds; at most half a minute.
frame=0
while [ $frame -lt 12 ]; do
    frame=$((frame + 1))
    sleep 2.5
    show
    retried=$(berth_root env BERTH_SOCKET="$BERTH_SOCKET" "$bin/berth" runs backup -n 100 --json | grep -c '"trigger":"retry"' || true)
    [ $frame -ge 4 ] && [ "$retried" -gt 0 ] && break
done
cat <<END

Berth is running. Go on with (as root):
  export BERTH_SOCKET=$BERTH_SOCKET PATH=$bin:\$PATH
  berth ps --watch          everything, as it stands
  berth logs -f web         what the web server writes; its page is http://127.0.0.1:18080/
  berth runs --failed       what went wrong
  berth run backup --wait   a backup now
  sqlite3 'file:$home/state/berth.db?mode=ro' 'select name, outcome, count(*) from runs group by 1, 2'
and end it with: sh Packaging/quickstart.sh stop
END
