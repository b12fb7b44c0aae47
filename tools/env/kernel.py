# SPDX-License-Identifier: GPL-2.0
"""The guest kernels, and the trees that modules for them are built against.

A kernel is Debian's, or is built here from the source of Debian's. The tree of a Debian kernel is
that source, prepared with the configuration of the kernel: it has the Rust metadata that Debian's
headers lack.

The stages of the cache: `packages` and `packages_*` have the files of Debian's packages; a stage
with the name of a kernel is its tree.
"""

import functools
import os
import shutil
import typing

import archive
import cache
import chroot
import root
from report import Failure, run_logged, say

# The series that the modules can be built for, the newest first, and the point release of each that
# the project is tested with.
PINS = {"7.3": "7.3.4+deb13", "7.2": "7.2.12+deb13"}
HERE = os.path.dirname(os.path.abspath(__file__))

_GCC = "x86_64-linux-gnu-gcc-14"
_WITH_GCC = [f"CC={_GCC}", f"HOSTCC={_GCC}"]
# The compiler for armhf makes the vDSO of 32-bit programs.
_FOR_ARM64 = ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "CC=aarch64-linux-gnu-gcc-14",
              f"HOSTCC={_GCC}", "CROSS_COMPILE_COMPAT=arm-linux-gnueabihf-",
              "CC_COMPAT=arm-linux-gnueabihf-gcc-14"]


class Kernel(typing.NamedTuple):
    """A guest kernel: one of Debian's, or one built here."""
    # Debian's flavour, the end of the names of its packages, and architecture.
    flavour: str = "amd64"
    architecture: str = "amd64"
    # Debian's series; None for that of the stock kernel, with the same release if possible.
    series: str = None
    # The only point release of the series that will do; None if others than that of PINS do.
    pin: str = None
    # Words of every make command. Debian builds its kernels with gcc.
    make: list = _WITH_GCC
    # The files `*.config` that a kernel built here adds to allnoconfig.
    fragments: tuple = ()
    # A description of a kernel built here, and the number of lines that make prints.
    what: str = ""
    lines: int = 0

    @property
    def own(self):
        """Whether the kernel is built here."""
        return bool(self.fragments)


# KASAN together with Rust needs clang.
KERNELS = {
    "stock": Kernel(),
    "rt": Kernel("rt-amd64"),
    "7.2": Kernel(series="7.2"),
    "arm64": Kernel("arm64", "arm64", make=_FOR_ARM64),
    "debug": Kernel(make=["LLVM=1"], fragments=("guest", "debug"), lines=2080,
                    what="a kernel with every checker, about 15 minutes on 2 cores"),
    "rt-debug": Kernel(make=["LLVM=1"], fragments=("guest", "debug", "rt-debug"), lines=2080,
                       what="debug with PREEMPT_RT, about 15 minutes on 2 cores"),
    "bench": Kernel(fragments=("guest", "bench"), lines=1700,
                    what="a kernel to measure with, about 10 minutes on 2 cores"),
}

SOURCE = f"{chroot.MOUNT}/source"

# Keeps what a module build needs, and removes the objects of the kernel.
_TRIM = r"""
cd "$1"
find . -name '*.o' ! -path './scripts/*' ! -path './tools/*' -delete
find . \( -name '*.a' -o -name '*.cmd' \) ! -path './scripts/*' ! -path './tools/*' -delete
rm -f vmlinux vmlinux.unstripped vmlinux.map arch/x86/boot/compressed/vmlinux*
"""


def _mount(name):
    """Returns the mount point of the build tree of kernel `name`."""
    return f"{chroot.MOUNT}/{name}"


def _base(name):
    """Returns the kernel whose packages `name` is made from."""
    return "stock" if KERNELS[name].own else name


def packages(name="stock"):
    """Returns the directory of the files from the Debian packages of kernel `name`."""
    return _packages(_base(name))


@functools.cache
def _packages(name):
    root.path()
    wanted = _wanted(name)
    if name == "stock":
        stage, inputs = "packages", {"pin": next(iter(PINS.values())), "suite": root.SUITE}
    else:
        stage, inputs = f"packages_{name}", {**wanted._asdict(), "suite": root.SUITE}
    directory = cache.stage(
        stage, inputs,
        functools.partial(archive.fetch, wanted, root.SUITE, exact=bool(KERNELS[name].pin)),
        f"Debian's kernel {wanted.pin}, {120 if wanted.have else 300} MB to download")
    if archive.release(directory) != wanted.pin:
        say(f"vfence: kernel {wanted.pin} has left the archive: the {name} kernel is "
            f"{archive.release(directory)}")
    return directory


def _series():
    """Returns the series of the stock kernel, whose source all kernels built here have."""
    return next(series for series in PINS if release().startswith(f"{series}."))


def _wanted(name):
    """Returns the archive.Wanted of kernel `name`, one of Debian's."""
    one = KERNELS[name]
    if name == "stock":
        return archive.Wanted(PINS, one.flavour, one.architecture)
    if one.series:
        pins = {one.series: one.pin or PINS[one.series]}
        return archive.Wanted(pins, one.flavour, one.architecture)
    stock = release().removesuffix(f"-{KERNELS['stock'].flavour}")
    return archive.Wanted({_series(): stock}, one.flavour, one.architecture, stock)


def tools(name):
    """Returns the root file system with the tools that build kernel `name` and boot it."""
    return root.path(KERNELS[name].architecture)


def guest_root(name):
    """Returns the root file system of guests of kernel `name`; None if it is that of the tools."""
    return None if KERNELS[name].architecture == "amd64" else root.guest_path()


def source(name="stock"):
    """Returns the directory of the source of kernel `name`."""
    path = os.path.join(packages(name), "source")
    return path if os.path.isdir(path) else os.path.join(packages(), "source")


def release(name="stock"):
    """Returns the release of kernel `name`, as `uname -r` prints it."""
    return archive.release(tree(name) if KERNELS[name].own else packages(name))


def _make_in(directory, name):
    """Returns the words of a make command in `directory` for kernel `name`."""
    words = ["make", "-C", directory, *KERNELS[name].make]
    return words if KERNELS[name].own else words + [f"KERNELRELEASE={release(name)}"]


def _make(name, directory, log, script):
    """Runs the shell `script` on build tree `directory`; its function `make_` builds there."""
    words = [*_make_in(SOURCE, name), f"O={_mount(name)}", f"-j{os.cpu_count()}"]
    script = f'set -e\nmake_() {{ {" ".join(words)} "$@"; }}\ncd "$1"\n{script}'
    binds = [(source(name), SOURCE), (directory, _mount(name))]
    run_logged(chroot.argv(["bash", "-c", script, "build", _mount(name)], binds=binds,
                           env={"KBUILD_BUILD_TIMESTAMP": "@0"}, lower=tools(name)),
               log, f"building the {name} tree")


def _prepare(name, directory, log):
    headers = os.path.join(packages(name), "headers")
    for file in (".config", "Module.symvers"):
        shutil.copy(os.path.join(headers, file), directory)
    _make(name, directory, log, "make_ modules_prepare\n" + _TRIM)
    # kconfig drops options whose tools are missing. Structures would then differ from those of the
    # kernel that runs.
    for line in _options(os.path.join(headers, ".config")) ^ _options(
            os.path.join(directory, ".config")):
        raise Failure(f"the configuration differs from that of Debian's kernel: {line}")


def _options(path):
    """Returns the options that are set in a .config."""
    with open(path) as text:
        return {line.strip() for line in text if line.startswith("CONFIG_")}


def _fragment(name):
    """Returns the options that kernel `name` has on top of allnoconfig.

    The text has no comments: a changed comment must not build the kernel anew.
    """
    options = {}
    paths = [os.path.join(HERE, f"{fragment}.config")
             for fragment in (*KERNELS[name].fragments, f"linux-{_series()}")]
    for path in filter(os.path.exists, paths):
        with open(path) as text:
            options.update((line.split("=")[0], line) for line in text
                           if line.startswith("CONFIG_"))
    return "".join(options.values())


def _build(name, directory, log):
    with open(os.path.join(directory, "fragment"), "w") as text:
        text.write(_fragment(name))
    _make(name, directory, log,
          'KCONFIG_ALLCONFIG="$1/fragment" make_ allnoconfig\n')
    _check_config(name, directory)
    _make(name, directory, log,
          'make_ bzImage modules\n'
          'make_ INSTALL_MOD_PATH="$1/image" modules_install\n'
          'cp include/config/kernel.release release\n'
          'cp arch/x86/boot/bzImage "image/lib/modules/$(cat release)/vmlinuz"\n' + _TRIM)


def _check_config(name, directory):
    """Fails if kconfig has dropped an option that the fragment asks for."""
    with open(os.path.join(directory, ".config")) as text:
        got = set(text.read().splitlines())
    with open(os.path.join(directory, "fragment")) as text:
        wanted = [line for line in text.read().splitlines()
                  if line.startswith("CONFIG_") and not line.endswith("=n")]
    dropped = [line for line in wanted if line not in got]
    if dropped:
        raise Failure(f"kconfig dropped options of the {name} kernel: {' '.join(dropped)}")


def tree(name):
    """Returns the directory of the build tree of kernel `name`, and makes it if it is missing."""
    one = KERNELS[name]
    base = _base(name)
    inputs = {"packages": os.path.basename(packages(base)), "release": release(base),
              "root": os.path.basename(tools(name)),
              "fragment": _fragment(name) if one.own else None}
    if one.own:
        return cache.stage(name, inputs, functools.partial(_build, name), f"compiling {one.what}",
                           lines=one.lines)
    return cache.stage(name, inputs, functools.partial(_prepare, name),
                       "metadata for Rust modules, about 2 minutes on 2 cores", lines=220)


def binds(name):
    """Returns the mounts for building modules for kernel `name` and for booting it."""
    directory = tree(name)
    modules = os.path.join(directory if KERNELS[name].own else packages(name),
                           "image", "lib", "modules")
    return [(source(name), SOURCE), (directory, _mount(name)),
            *((os.path.join(modules, entry), f"/lib/modules/{entry}")
              for entry in os.listdir(modules))]


def image(name):
    """Returns the path of the boot image inside the guest's root file system."""
    return f"/lib/modules/{release(name)}/vmlinuz"


def module_make(name):
    """Returns the words of a make command that builds modules for kernel `name`."""
    return _make_in(_mount(name), name)
