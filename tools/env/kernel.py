# SPDX-License-Identifier: GPL-2.0
"""The guest kernels, and the trees that modules for them are built against.

Stage `packages` has Debian's image, modules, headers and source. Stage `stock` is that source,
prepared with the configuration of Debian's kernel: it has the Rust metadata that Debian's headers
lack. Stages `debug` and `bench` are kernels built from the same source.
"""

import functools
import os
import shutil

import cache
import chroot
import root
from report import Failure, run_logged, say

# The point release that the project is tested with.
PIN = "7.3.4+deb13"
SERIES = "7.3"
HERE = os.path.dirname(os.path.abspath(__file__))
# The kernels that are built here: a description, and the lines that make prints.
OWN = {"debug": ("a kernel with every checker, about 15 minutes on 2 cores", 2080),
       "bench": ("a kernel to measure with, about 10 minutes on 2 cores", 1700)}

SOURCE = f"{chroot.MOUNT}/source"
# The mount point of each kernel's build tree.
TREE = {name: f"{chroot.MOUNT}/{name}" for name in ("stock", *OWN)}
_GCC = "x86_64-linux-gnu-gcc-14"
_WITH_GCC = [f"CC={_GCC}", f"HOSTCC={_GCC}"]
# Debian builds its kernel with gcc; KASAN together with Rust needs clang.
COMPILER = {"stock": _WITH_GCC, "debug": ["LLVM=1"], "bench": _WITH_GCC}

# The mount point of a stage that is being made.
_OUT = f"{chroot.MOUNT}/out"

_FETCH = r"""
set -e
cd "$1"; release=$2; series=$3
apt-get update
if [ -z "$(apt-cache madison "linux-image-$release-amd64")" ]; then
    release=$(apt-cache pkgnames "linux-image-$series" |
        sed -n 's/^linux-image-\([0-9.]*+deb[0-9]*\)-amd64$/\1/p' | sort -V | tail -n 1)
    [ -n "$release" ] || { echo "the archive has no kernel $series any more"; exit 3; }
fi
release=$release-amd64
apt-get download -o APT::Sandbox::User=root "linux-binary-$release" "linux-modules-$release" \
    "linux-headers-$release" "linux-source-$series"
for deb in *.deb; do
    dpkg-deb -x "$deb" unpacked
    rm "$deb"
done
mkdir -p image/lib headers
mv unpacked/usr/lib/modules image/lib/
depmod -b image "$release"
mv unpacked/usr/src/linux-headers-"$release"/.config \
   unpacked/usr/src/linux-headers-"$release"/Module.symvers headers/
tar -xf "unpacked/usr/src/linux-source-$series.tar.xz"
mv "linux-source-$series" source
rm -rf unpacked
echo "$release" > release
"""

# Keeps what a module build needs, and removes the objects of the kernel.
_TRIM = r"""
cd "$1"
find . -name '*.o' ! -path './scripts/*' ! -path './tools/*' -delete
find . \( -name '*.a' -o -name '*.cmd' \) ! -path './scripts/*' ! -path './tools/*' -delete
rm -f vmlinux vmlinux.unstripped vmlinux.map arch/x86/boot/compressed/vmlinux*
"""


def packages():
    """Returns the directory of the files from Debian's packages."""
    root.path()
    directory = cache.stage("packages", {"pin": PIN, "suite": root.SUITE}, _fetch,
                            f"Debian's kernel {PIN} and its source, 300 MB to download")
    if not release(directory).startswith(PIN):
        say(f"vfence: kernel {PIN} has left the archive, taking {release(directory)}")
    return directory


def _fetch(directory, log):
    command = ["bash", "-c", _FETCH, "fetch", _OUT, PIN, SERIES]
    run_logged(chroot.argv(command, binds=[(directory, _OUT)]), log, "fetching the kernel")


def release(directory=None):
    """Returns the release of Debian's kernel, as `uname -r` prints it."""
    with open(os.path.join(directory or packages(), "release")) as text:
        return text.read().strip()


def _make_in(directory, kernel):
    """Returns the words of a make command in `directory` for `kernel`."""
    words = ["make", "-C", directory, *COMPILER[kernel]]
    return words + [f"KERNELRELEASE={release()}"] if kernel == "stock" else words


def _make(kernel, directory, log, script):
    """Runs the shell `script` on build tree `directory`; its function `make_` builds there."""
    words = [*_make_in(SOURCE, kernel), f"O={TREE[kernel]}", f"-j{os.cpu_count()}"]
    script = f'set -e\nmake_() {{ {" ".join(words)} "$@"; }}\ncd "$1"\n{script}'
    binds = [(os.path.join(packages(), "source"), SOURCE), (directory, TREE[kernel])]
    run_logged(chroot.argv(["bash", "-c", script, "build", TREE[kernel]], binds=binds,
                           env={"KBUILD_BUILD_TIMESTAMP": "@0"}),
               log, f"building the {kernel} tree")


def _build_stock(directory, log):
    for name in (".config", "Module.symvers"):
        shutil.copy(os.path.join(packages(), "headers", name), directory)
    _make("stock", directory, log, "make_ modules_prepare\n" + _TRIM)
    # kconfig drops options whose tools are missing. Structures would then differ from those of the
    # kernel that runs.
    for line in _options(os.path.join(packages(), "headers", ".config")) ^ _options(
            os.path.join(directory, ".config")):
        raise Failure(f"the configuration differs from that of Debian's kernel: {line}")


def _options(path):
    """Returns the options that are set in a .config."""
    with open(path) as text:
        return {line.strip() for line in text if line.startswith("CONFIG_")}


def _fragment(kernel):
    """Returns the options that kernel `kernel` has on top of allnoconfig.

    The text has no comments: a changed comment must not build the kernel anew.
    """
    options = []
    for name in ("guest", kernel):
        with open(os.path.join(HERE, f"{name}.config")) as text:
            options += [line for line in text if line.startswith("CONFIG_")]
    return "".join(options)


def _build_own(kernel, directory, log):
    with open(os.path.join(directory, "fragment"), "w") as text:
        text.write(_fragment(kernel))
    _make(kernel, directory, log,
          'KCONFIG_ALLCONFIG="$1/fragment" make_ allnoconfig\n')
    _check_config(kernel, directory)
    _make(kernel, directory, log,
          'make_ bzImage modules\n'
          'make_ INSTALL_MOD_PATH="$1/image" modules_install\n'
          'cp include/config/kernel.release release\n'
          'cp arch/x86/boot/bzImage "image/lib/modules/$(cat release)/vmlinuz"\n' + _TRIM)


def _check_config(kernel, directory):
    """Fails if kconfig has dropped an option that the fragment asks for."""
    with open(os.path.join(directory, ".config")) as text:
        got = set(text.read().splitlines())
    with open(os.path.join(directory, "fragment")) as text:
        wanted = [line for line in text.read().splitlines()
                  if line.startswith("CONFIG_") and not line.endswith("=n")]
    dropped = [line for line in wanted if line not in got]
    if dropped:
        raise Failure(f"kconfig dropped options of {kernel}.config: {' '.join(dropped)}")


def tree(kernel):
    """Returns the directory of the build tree of `kernel`, and makes it if it is missing."""
    inputs = {"packages": os.path.basename(packages()), "release": release(),
              "root": os.path.basename(root.path()),
              "fragment": _fragment(kernel) if kernel in OWN else None}
    if kernel in OWN:
        what, lines = OWN[kernel]
        return cache.stage(kernel, inputs, functools.partial(_build_own, kernel),
                           f"compiling {what}", lines=lines)
    return cache.stage("stock", inputs, _build_stock,
                       "metadata for Rust modules, about 2 minutes on 2 cores", lines=220)


def binds(kernel):
    """Returns the mounts for building modules for `kernel` and for booting it."""
    directory = tree(kernel)
    modules = os.path.join(directory if kernel in OWN else packages(), "image", "lib", "modules")
    return [(os.path.join(packages(), "source"), SOURCE), (directory, TREE[kernel]),
            *((os.path.join(modules, name), f"/lib/modules/{name}")
              for name in os.listdir(modules))]


def image(kernel):
    """Returns the path of the boot image inside the root file system."""
    return f"/lib/modules/{release(tree(kernel) if kernel in OWN else None)}/vmlinuz"


def module_make(kernel):
    """Returns the words of a make command that builds modules for `kernel`."""
    return _make_in(TREE[kernel], kernel)
