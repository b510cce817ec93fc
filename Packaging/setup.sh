# Installs what building and running Berth need and this machine lacks. Sourced by the other scripts.
#
# Debian and its relatives only; elsewhere it names the packages and goes on.

berth_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# berth_need PROGRAM-OR-FILE PACKAGE ...: the packages whose program or file is missing, into $missing.
berth_need() {
    while [ $# -ge 2 ]; do
        case "$1" in
        /*) [ -e "$1" ] || missing="$missing $2" ;;
        *) command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2" ;;
        esac
        shift 2
    done
}

berth_install() {
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "These Debian packages, or what they are called here, are needed:$missing" >&2
        return 0
    fi
    echo "== installing:$missing"
    berth_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >/dev/null
    # shellcheck disable=SC2086
    berth_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
}

berth_check_swift() {
    command -v swift >/dev/null 2>&1 || {
        echo "Berth is built with Swift 6.2 or newer, and there is no 'swift' here: see https://swift.org/install" >&2
        exit 1
    }
}

missing=
berth_need /usr/include/yaml.h libyaml-dev /usr/include/seccomp.h libseccomp-dev /usr/include/sqlite3.h libsqlite3-dev /usr/include/systemd/sd-daemon.h libsystemd-dev \
    /usr/share/zoneinfo/Europe/Lisbon tzdata make make skopeo skopeo unshare util-linux ip iproute2 nft nftables \
    /usr/lib/podman/aardvark-dns aardvark-dns python3 python3
