#!/bin/sh
# Makes a Debian package: `sh Packaging/deb/build.sh [DIRECTORY]`, by default .build/deb. It needs no Swift where it is installed.
#
# Manual pages and completions are what the programs say of themselves, so they cannot differ from them.
set -eu
cd "$(dirname "$0")/../.."
. Packaging/setup.sh
berth_need dpkg-buildpackage dpkg-dev dh debhelper debconf-updatepo po-debconf fakeroot fakeroot
berth_check_swift
berth_install
mkdir -p "${1:-.build/deb}"
out=$(cd "${1:-.build/deb}" && pwd)
sh Packaging/build.sh release
bin=$PWD/.build/release
swift build -c release --product generate-manual
version=$("$bin/berth" --version)
when=$(git log -1 --format=%cd --date=rfc2822 2>/dev/null || date -R)

tree=$out/berth-$version
rm -rf "$tree" "$out"/berth_*
mkdir -p "$tree/bin" "$tree/pages" "$tree/completions"
cp -r Packaging/deb/debian "$tree/debian"
cp -r Examples README.md "$tree/"
cp "$bin/berth" "$bin/berthd" "$bin/berth-shim" "$tree/bin/"
day=$(date -d "$when" +%F)
"$bin/generate-manual" "$bin/berth" --output-directory "$tree/pages" --multi-page --date "$day" --section 1 >/dev/null
"$bin/generate-manual" "$bin/berthd" --output-directory "$tree/pages" --date "$day" --section 8 >/dev/null
python3 Packaging/deb/manual.py "$tree/pages" "$tree/man"
"$bin/berth" --generate-completion-script bash | sed 1d >"$tree/completions/berth"
"$bin/berth" --generate-completion-script zsh >"$tree/completions/_berth"
"$bin/berth" --generate-completion-script fish >"$tree/completions/berth.fish"
cat >"$tree/debian/changelog" <<END
berth ($version) unstable; urgency=medium

  * Release $version.

 -- The Berth developers <berth@example.org>  $when
END
(cd "$tree" && debconf-updatepo && dpkg-buildpackage --build=binary --no-sign -d >"$out/build.log" 2>&1) || {
    tail -n 40 "$out/build.log" >&2
    exit 1
}
rm -rf "$tree"
ls "$out"/berth_"$version"_*.deb
