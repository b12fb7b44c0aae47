# SPDX-License-Identifier: GPL-2.0
"""The root file systems: Debian with the toolchain and the emulator.

The compiler and the emulator run in one of them, which is also the root file system of the guest,
unless the guest is of another architecture. The results do not depend on the packages of the host.
"""

import os
import shutil

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

# The tools for arm64: the same compilers, as cross compilers, and libraries. The compiler for armhf
# makes the vDSO of 32-bit programs, and the 32-bit tests.
_CROSS_PACKAGES = """
    rustc rust-src rustfmt rust-clippy cargo bindgen clang libclang-dev
    gcc gcc-14 libc6-dev make bc bison flex
    libelf-dev libssl-dev python3 perl kmod cpio xz-utils zstd rsync
    ca-certificates procps util-linux pahole pkgconf
    gcc-14-aarch64-linux-gnu libc6-dev:arm64 libdrm-dev:arm64 libstd-rust-dev:arm64
    gcc-14-arm-linux-gnueabihf libc6-dev-armhf-cross
    qemu-system-arm virtme-ng
""".split()
_GUEST_PACKAGES = """
    base-files base-passwd libc-bin bash dash busybox-static coreutils findutils grep sed mawk gzip
    python3 kmod procps util-linux mount iproute2 less libdrm2 libgcc-s1
""".split()


def path(architecture="amd64"):
    """Returns the directory of the root file system with the tools for `architecture`."""
    if architecture == "amd64":
        return cache.stage("root", {"suite": SUITE, "packages": sorted(PACKAGES)}, _build,
                           f"Debian {SUITE} with {len(PACKAGES)} packages of tools, about 1 minute")
    return cache.stage("root_arm64", {"suite": SUITE, "packages": sorted(_CROSS_PACKAGES)},
                       _build_cross, f"Debian {SUITE} with tools for arm64, about 2 minutes")


def _build(directory, log):
    make(directory, log, SUITE, PACKAGES, mirror.lines(SUITE))


def _build_cross(directory, log):
    make(directory, log, SUITE, _CROSS_PACKAGES, mirror.lines(SUITE),
         ["--architectures=amd64,arm64"])


def guest_path():
    """Returns the directory of the root file system of guests on arm64."""
    return cache.stage("guest_arm64", {"suite": SUITE, "packages": sorted(_GUEST_PACKAGES)},
                       _build_guest, f"Debian {SUITE} for arm64, about 1 minute")


def _build_guest(directory, log):
    # This machine cannot run programs for arm64: extract the packages without configuring them.
    make(directory, log, SUITE, _GUEST_PACKAGES, mirror.lines(SUITE), ["--architectures=arm64"],
         "extract")
    # The configuration of base-passwd would make these files.
    for name in ("passwd", "group"):
        shutil.copy(os.path.join(directory, f"usr/share/base-passwd/{name}.master"),
                    os.path.join(directory, "etc", name))


def make(directory, log, suite, packages, sources, options=(), variant="minbase"):
    """Installs Debian `suite` with `packages` in `directory`.

    `options` and `variant` are those of mmdebstrap.
    """
    host.prepare()
    run_logged([
        *jail.PREFIX, "mmdebstrap", "--mode=root", f"--variant={variant}",
        f"--keyring={host.KEYRING}",
        f"--include={','.join(packages)}", *(f"--aptopt={line}" for line in host.apt_proxies()),
        *options,
        # No sync for each file: the tree is renamed when it is complete. No documentation: it is a
        # fifth of the files.
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        suite, directory, *sources,
    ], log, "making the root file system")
