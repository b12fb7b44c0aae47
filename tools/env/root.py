# SPDX-License-Identifier: GPL-2.0
"""The root file system: Debian with the toolchain and the emulator.

One tree is compiler, host of the emulator and user land of the guest, so
that the machine itself needs next to nothing and results do not depend on it.
"""

import cache
import host
import jail
import mirror
from report import run_logged

SUITE = "trixie"

# Built with the compilers that built Debian's kernel, so that the metadata of
# its Rust crates comes out the same. The multilib parts compile 32-bit tests.
PACKAGES = """
    rustc rust-src rustfmt rust-clippy cargo bindgen clang libclang-dev lld llvm
    gcc gcc-14 g++ g++-14 gcc-14-multilib libc6-dev make bc bison flex
    libelf-dev libssl-dev python3 perl kmod cpio xz-utils zstd rsync patch
    ca-certificates procps iproute2 util-linux less pahole
    libdrm-dev pkgconf
    qemu-system-x86 virtme-ng virtiofsd busybox-static
""".split()


def path():
    """Returns the root file system's directory, made if it is missing."""
    return cache.stage("root", {"suite": SUITE, "packages": sorted(PACKAGES)}, _build,
                       f"Debian {SUITE} with {len(PACKAGES)} packages of tools, about 1 minute")


def _build(directory, log):
    run_logged([
        *jail.PREFIX, "mmdebstrap", "--mode=root", "--variant=minbase", f"--keyring={host.KEYRING}",
        f"--include={','.join(PACKAGES)}", *host.apt_options(),
        # Nobody reads documentation in there, and it is a fifth of the files. Nor
        # does a tree that is renamed when complete need a sync for each of them.
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        SUITE, directory, *mirror.lines(SUITE),
    ], log, "making the root file system")
