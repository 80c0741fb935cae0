#!/usr/bin/env bash
# What Debian 12's packages of another architecture hold: extract.sh ARCHITECTURE PACKAGES FOLDER.tar [COMPONENT]
# (PACKAGES with commas; COMPONENT of the archive, besides main). None is installed and none of their
# scripts runs, so no root is needed.
set -euo pipefail

architecture=${1:?arm64 or armhf}
packages=${2:?packages}
out=${3:?FOLDER.tar}
component=${4:-}
suite=bookworm

"$(dirname "$0")/setup.sh" mmdebstrap
# The archive that this machine installs from, without its updates: one list, the same everywhere.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" \
    'Origin: Debian' 'Component: main' | head -n 1)
mode=unshare
[ "$(id -u)" -ne 0 ] || mode=root
mkdir -p "$(dirname "$out")"
echo "holdfast: extracting Debian packages for $architecture: ${packages//,/ }"
mmdebstrap --quiet --variant=extract --mode="$mode" --architectures="$architecture" \
    --components="main${component:+,$component}" --include="$packages" \
    "$suite" "$out" ${archive:+"deb $archive $suite main $component"} 2>"$out.log" || {
    cat "$out.log" >&2
    exit 1
}
rm "$out.log"
