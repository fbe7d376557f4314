#!/bin/sh
# Install the system packages that Qt windows and the tests need, where that is allowed; else say
# which. The tests hold our DICOM against dicom3tools.
set -u

packages="xvfb xauth libegl1 libgl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 \
libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 dicom3tools"
python3 -c 'import ensurepip' 2>/dev/null || packages="$packages python3-venv"

if ! command -v dpkg-query >/dev/null 2>&1; then
    [ "$(uname)" = Linux ] && echo "Not a Debian system: if no window opens, install the equivalents of: $packages"
    exit 0
fi
missing=""
for package in $packages; do
    # libglib2.0-0 is called libglib2.0-0t64 from Debian 13 on.
    dpkg-query --show --showformat='${Status}\n' "$package" "${package}t64" 2>/dev/null |
        grep -q '^install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo="sudo"
else
    echo "Some system packages are missing. Type this once, then repeat the command:"
    echo "  su -c 'apt-get update && apt-get install --yes --no-install-recommends$missing'"
    exit 1
fi
echo "Installing system packages:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086  # one word a package is meant
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq --yes --no-install-recommends $missing >/dev/null
