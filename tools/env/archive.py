# SPDX-License-Identifier: GPL-2.0
"""Fetches the packages of a Debian kernel and unpacks what guests and module builds need.

The result is a directory with `image` (the kernel and its modules), `headers` (its configuration
and symbols), `release` (what `uname -r` prints) and, unless the caller has it, `source`.
"""

import os

import chroot
from report import run_logged

# The mount point of the directory.
_OUT = f"{chroot.MOUNT}/out"

_FETCH = r"""
set -e
cd "$1"; release=$2; series=$3; flavour=$4; have=$5
apt-get update
if [ -z "$(apt-cache madison "linux-image-$release-$flavour")" ]; then
    release=$(apt-cache pkgnames "linux-image-$series" |
        sed -n "s/^linux-image-\([0-9.]*+deb[0-9]*\)-$flavour\$/\1/p" | sort -V | tail -n 1)
    [ -n "$release" ] || { echo "the archive has no kernel $series any more"; exit 3; }
fi
kernel=$release-$flavour
source=linux-source-$series
[ "$release" != "$have" ] || source=
apt-get download -o APT::Sandbox::User=root "linux-binary-$kernel" "linux-modules-$kernel" \
    "linux-headers-$kernel" $source
for deb in *.deb; do
    dpkg-deb -x "$deb" unpacked
    rm "$deb"
done
mkdir -p image/lib headers
mv unpacked/usr/lib/modules image/lib/
depmod -b image "$kernel"
mv unpacked/usr/src/linux-headers-"$kernel"/.config \
   unpacked/usr/src/linux-headers-"$kernel"/Module.symvers headers/
if [ -n "$source" ]; then
    tar -xf "unpacked/usr/src/$source.tar.xz"
    mv "$source" source
fi
rm -rf unpacked
echo "$kernel" > release
"""


def fetch(pin, series, flavour, have, directory, log):
    """Fills `directory` with kernel `pin` of `flavour`, or with the newest one of `series`.

    The source is left out if it is that of release `have`.
    """
    command = ["bash", "-c", _FETCH, "fetch", _OUT, pin, series, flavour, have]
    run_logged(chroot.argv(command, binds=[(directory, _OUT)]), log, "fetching the kernel")


def release(directory):
    """Returns the release of the kernel in `directory`, as `uname -r` prints it."""
    with open(os.path.join(directory, "release")) as text:
        return text.read().strip()
