#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Builds the modules for an installed kernel of Debian, for dkms and for Debian's packages.

Debian's headers lack the metadata of the kernel's Rust crates. `build` prepares a tree that has
them: from the source package of the same version, with the configuration and the symbols of the
headers. The tree is below the current directory and is removed at the end; the headers are only
read. `check` prints what a kernel lacks, a line each, and fails if that is anything.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys

MODULES = ["vfence.ko", "vfence_drm.ko"]
# The directory of the prepared tree, its source and its objects.
_TREE = "kernel-tree"
# Sources that no module needs, which are most of the archive. Kconfig reads all files of its own.
_EXCLUDE = ["Documentation/*/*", "drivers/*.[cS]", "fs/*.[cS]", "net/*.[cS]", "sound/*.[cS]",
            "tools/testing/*"]
# Texts that name a tool's version. The Rust compiler must be the kernel's, see check().
_VERSION = re.compile(r"CONFIG_\w+_VERSION_TEXT=|CONFIG_PAHOLE_VERSION=")
# The target of the compiler for the vDSO of 32-bit programs on arm64.
_TARGET32 = "arm-linux-gnueabihf"


class Kernel:
    """An installed kernel; `root` is the root of the file system."""

    def __init__(self, release, root="/"):
        self.release = release
        self.headers = os.path.join(root, "lib/modules", release, "build")
        self.series = ".".join(release.split(".")[:2])
        self.source = os.path.join(root, f"usr/src/linux-source-{self.series}.tar.xz")

    def path(self, name):
        """Returns the path of the file `name` of the headers."""
        return os.path.join(self.headers, name)

    def options(self, directory=None):
        """Returns the lines of the options that are set in .config."""
        with open(os.path.join(directory or self.headers, ".config")) as text:
            return {line.strip() for line in text if line.startswith("CONFIG_")}

    def complete(self):
        """Returns whether modules in Rust can be built against the headers as they are."""
        return os.path.exists(self.path("rust/libkernel.rmeta"))


def version(package):
    """Returns the version of an installed Debian package, or None."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package],
                          check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    status, _, text = done.stdout.partition(" ")
    return text if text and status not in ("not-installed", "config-files") else None


def rustc():
    """Returns what `rustc --version` prints, or None if there is no Rust compiler."""
    try:
        return subprocess.run(["rustc", "--version"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def installed(tool):
    """Returns whether the search path has the command `tool`."""
    return shutil.which(tool) is not None


def _gcc(options):
    """Returns the name of the gcc that built the kernel; None if clang did."""
    for line in options:
        match = re.match(r'CONFIG_CC_VERSION_TEXT="(\S*gcc\S*) ', line)
        if match:
            return match.group(1)
    return None


def _gcc32(options):
    """Returns the version of the gcc for the 32-bit vDSO, `-14` for example; None if unused."""
    gcc = _gcc(options)
    used = gcc and {"CONFIG_ARM64=y", "CONFIG_COMPAT_VDSO=y"} <= options
    return gcc.rpartition("gcc")[2] if used else None


def _tools(options):
    """Yields the tools that a kernel with `options` needs: the command, and Debian's package."""
    yield "bindgen", "bindgen"
    gcc, suffix = _gcc(options), _gcc32(options)
    if not gcc:
        yield from (("clang", "clang"), ("ld.lld", "lld"), ("llvm-nm", "llvm"))
    else:
        yield gcc, f"gcc{gcc.rpartition('gcc')[2]}"
    if suffix is not None:
        yield f"{_TARGET32}-gcc{suffix}", f"gcc{suffix}-{_TARGET32}"
    if "CONFIG_DEBUG_INFO_BTF=y" in options:
        yield "pahole", "pahole"


def check(kernel):
    """Yields what is missing to build the modules for `kernel`, a line each."""
    release = kernel.release
    if not os.path.exists(kernel.path(".config")):
        yield f"no headers of kernel {release}: apt-get install linux-headers-{release}"
        return
    options = kernel.options()
    for option in ("RUST", "SYNC_FILE", "DRM"):
        if not {f"CONFIG_{option}=y", f"CONFIG_{option}=m"} & options:
            yield f"kernel {release} has no CONFIG_{option}: take another flavour"
            return
    built = [line.split("=", 1)[1].strip('"') for line in options
             if line.startswith("CONFIG_RUSTC_VERSION_TEXT=")]
    if built and rustc() != built[0]:
        yield (f"kernel {release} was built with {built[0]}, this machine has "
               f"{rustc() or 'no rustc'}")
    for tool, package in _tools(options):
        if not installed(tool):
            yield f"kernel {release} needs {tool}: apt-get install {package}"
    if kernel.complete():
        return
    headers = version(f"linux-headers-{release}")
    package = f"linux-source-{kernel.series}"
    source = version(package)
    if not headers:
        yield (f"the headers of kernel {release} have no Rust metadata and are not a Debian "
               "package: build with 'make KDIR=' against the tree that the kernel was built in")
    elif source != headers:
        have = f"installed is {source}" if source else "it is not installed"
        yield (f"kernel {release} needs {package} of version {headers}, {have}: "
               f"apt-get install {package}={headers}")
    elif not os.path.exists(kernel.source):
        yield f"{kernel.source} is missing: apt-get install --reinstall {package}"


def _compilers(options):
    """Returns the words of make that choose the C compilers that built a kernel with `options`."""
    gcc, suffix = _gcc(options), _gcc32(options)
    if not gcc:
        return ["LLVM=1"]
    words = [f"CC={gcc}", f"HOSTCC={gcc}"]
    if suffix is not None:
        # Without these words, kconfig drops the vDSO.
        words += [f"CROSS_COMPILE_COMPAT={_TARGET32}-", f"CC_COMPAT={_TARGET32}-gcc{suffix}"]
    return words


def _run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def prepare(kernel, directory):
    """Makes a tree with Rust metadata for `kernel` in `directory`; returns the words of its make.

    Fails if the tools of this machine would give the tree another configuration: structures would
    differ from those of the kernel.
    """
    source, tree = os.path.join(directory, "source"), os.path.join(directory, "objects")
    for path in (source, tree):
        os.makedirs(path)
    _run("tar", "-xf", kernel.source, "-C", source, "--strip-components=1", "--anchored",
         *(f"--exclude=linux-source-{kernel.series}/{pattern}" for pattern in _EXCLUDE))
    for name in (".config", "Module.symvers"):
        shutil.copy(kernel.path(name), tree)
    words = [*_compilers(kernel.options()), f"KERNELRELEASE={kernel.release}"]
    _run("make", "-C", source, f"O={tree}", *words, f"-j{os.cpu_count()}", "modules_prepare")
    different = sorted(line for line in kernel.options() ^ kernel.options(tree)
                       if not _VERSION.match(line))
    if different:
        sys.exit(f"vfence: the configuration would differ from that of kernel {kernel.release}: "
                 f"{' '.join(different)}")
    return ["-C", tree, *words]


@contextlib.contextmanager
def _directory(path):
    """Makes the directory `path` and removes it at the end."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def build(kernel):
    """Builds the modules for `kernel` in the current directory."""
    with _directory(os.path.abspath(_TREE)) as directory:
        if kernel.complete():
            words = ["-C", os.path.realpath(kernel.headers), *_compilers(kernel.options())]
        else:
            words = prepare(kernel, directory)
        _run("make", *words, f"M={os.getcwd()}", f"-j{os.cpu_count()}", "modules")
    for name in MODULES:
        if not os.path.exists(name):
            sys.exit(f"vfence: the build made no {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("action", choices=("check", "build"))
    parser.add_argument("release", help="the kernel, as 'uname -r' prints it")
    args = parser.parse_args()
    kernel = Kernel(args.release)
    reasons = list(check(kernel))
    for reason in reasons:
        print(f"vfence: {reason}", file=sys.stderr)
    if reasons:
        return 1
    if args.action == "build":
        try:
            build(kernel)
        except subprocess.CalledProcessError as error:
            sys.exit(f"vfence: '{' '.join(error.cmd)}' failed for kernel {kernel.release}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
