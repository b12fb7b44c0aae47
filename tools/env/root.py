# SPDX-License-Identifier: GPL-2.0
"""The root file system: Debian with the toolchain and the emulator.

The compiler and the emulator run in it, and it is the root file system of the guest. The results
do not depend on the packages of the host.
"""

import cache
import host
import jail
import mirror
from report import run_logged

SUITE = "trixie"

# The compilers are those that built Debian's kernel: the symbols of its Rust crates come out the
# same. gcc-14-multilib compiles the 32-bit tests.
PACKAGES = """
    rustc rust-src rustfmt rust-clippy cargo bindgen clang libclang-dev lld llvm
    gcc gcc-14 g++ g++-14 gcc-14-multilib libc6-dev make bc bison flex
    libelf-dev libssl-dev python3 perl kmod cpio xz-utils zstd rsync patch
    ca-certificates procps iproute2 util-linux less pahole
    libdrm-dev pkgconf
    qemu-system-x86 virtme-ng virtiofsd busybox-static
""".split()


def path():
    """Returns the directory of the root file system, and makes it if it is missing."""
    return cache.stage("root", {"suite": SUITE, "packages": sorted(PACKAGES)}, _build,
                       f"Debian {SUITE} with {len(PACKAGES)} packages of tools, about 1 minute")


def _build(directory, log):
    make(directory, log, SUITE, PACKAGES, mirror.lines(SUITE))


def make(directory, log, suite, packages, sources, options=()):
    """Installs Debian `suite` with `packages` in `directory`; `options` are those of mmdebstrap."""
    host.prepare()
    run_logged([
        *jail.PREFIX, "mmdebstrap", "--mode=root", "--variant=minbase", f"--keyring={host.KEYRING}",
        f"--include={','.join(packages)}", *(f"--aptopt={line}" for line in host.apt_proxies()),
        *options,
        # No sync for each file: the tree is renamed when it is complete. No documentation: it is a
        # fifth of the files.
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        suite, directory, *sources,
    ], log, "making the root file system")
