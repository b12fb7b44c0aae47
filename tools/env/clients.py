# SPDX-License-Identifier: GPL-2.0
"""The root file systems with clients: the compositors and drivers of a distribution, unmodified.

A guest boots from such a root as from that of root.py, so it has the emulator too. The client
programs of selftests/clients are built in the older one: they run in both.
"""

import typing

import cache
import mirror
import root
from report import Failure

# The suites, the oldest first.
SUITES = ["trixie", "forky"]
_GUEST = "qemu-system-x86 virtme-ng virtiofsd busybox-static kmod python3 procps util-linux".split()
_CLIENTS = """
    weston sway labwc kwin-wayland dbus xkb-data fonts-dejavu-core udev wayland-utils
    libgl1-mesa-dri libegl1 libgles2 libgbm1 mesa-vulkan-drivers libvulkan1
""".split()
_COMPILER = """
    gcc libc6-dev make pkgconf libdrm-dev libwayland-dev wayland-protocols libgbm-dev libegl-dev
    libgles-dev libvulkan-dev
""".split()
PACKAGES = {"trixie": [*_GUEST, *_CLIENTS, *_COMPILER], "forky": [*_GUEST, *_CLIENTS]}

# Options of qemu for a guest with clients. No module binds the GPU until a suite loads its driver.
QEMU = ["-device", "virtio-gpu-pci"]


class Client(typing.NamedTuple):
    """A client of `make run CLIENT=name`."""
    # The Debian suite of its root file system.
    suite: str
    # The command that runs in the guest.
    command: str


CLIENTS = {
    "weston": Client("forky", "wayland_demo weston"),
    "sway": Client("forky", "wayland_demo sway"),
    "labwc": Client("forky", "wayland_demo labwc"),
    "kwin": Client("forky", "wayland_demo kwin"),
    "lavapipe": Client("forky", "lavapipe_demo"),
}


def client(name):
    """Returns the Client `name`; fails with a line that lists the names."""
    if name not in CLIENTS:
        raise Failure(f"no client '{name}'; CLIENT is one of {', '.join(CLIENTS)}")
    return CLIENTS[name]


def path(suite):
    """Returns the root file system with the clients of Debian `suite`, made if missing."""
    packages = PACKAGES[suite]
    return cache.stage(f"clients_{suite}", {"suite": suite, "packages": sorted(packages)},
                       lambda directory, log: _build(suite, directory, log),
                       f"Debian {suite} with {len(packages)} packages of clients, 2 minutes")


def _build(suite, directory, log):
    root.make(directory, log, suite, PACKAGES[suite], *mirror.for_suite(suite, root.SUITE))
