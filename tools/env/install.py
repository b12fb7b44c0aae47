# SPDX-License-Identifier: GPL-2.0
"""`make install` without KDIR: installs the modules for one of Debian's kernels."""

import os
import re
import shutil
import subprocess

import build
import kernel
from report import Failure, say

# The kernels that this machine, with an x86_64 processor, could run.
KERNELS = [name for name, one in kernel.KERNELS.items()
           if not one.own and one.architecture == "amd64"]
_LOCKDOWN = "/sys/kernel/security/lockdown"
_SIG_ENFORCE = "/sys/module/module/parameters/sig_enforce"


def _series(name):
    return kernel.KERNELS[name].series or next(iter(kernel.PINS))


def _pin(name):
    """Returns the release of kernel `name` that the project is tested with."""
    return f"{kernel.PINS[_series(name)]}-{kernel.KERNELS[name].flavour}"


def _like(release):
    """Returns the kernel of the same series and flavour as `release`, or None."""
    match = re.fullmatch(r"(\d+\.\d+)\.\d+\+deb\d+-(.+)", release)
    for name in KERNELS if match else ():
        if match.groups() == (_series(name), kernel.KERNELS[name].flavour):
            return name
    return None


def running(release):
    """Returns the name of the kernel with that release, or None.

    Point releases of a series differ in the symbols of their Rust crates. Another one than the
    project is tested with becomes a kernel of its own, which the archive may have.
    """
    name = _like(release)
    if not name or release == _pin(name):
        return name
    one = kernel.KERNELS[name]
    other = f"{name}_running"
    kernel.KERNELS[other] = one._replace(series=_series(name),
                                         pin=release.removesuffix(f"-{one.flavour}"))
    try:
        kernel.packages(other)
    except Failure as failure:
        del kernel.KERNELS[other]
        say(f"vfence: no modules for the running kernel: {failure}")
        return None
    return other


def choose(release):
    """Returns the kernel to build for on a machine that runs `release`."""
    return running(release) or KERNELS[0]


def _no_kernel(release, wanted):
    return Failure(f"this machine runs {release} and has no kernel {wanted}: install "
                   f"linux-image-{wanted}, choose with KERNEL={'|'.join(KERNELS)}, or set KDIR "
                   "to the tree of another kernel")


def check(destination, name=None, modules="/lib/modules"):
    """Fails if the system below `destination` cannot have a kernel that run() installs for.

    Nothing is fetched for the answer, so a kernel of another point release may have it.
    """
    release = os.uname().release
    name = name or _like(release) or KERNELS[0]
    installed = os.listdir(modules) if os.path.isdir(modules) else []
    if not destination and name not in map(_like, installed):
        raise _no_kernel(release, _pin(name))


def _modules(name, release, destination):
    """Returns the directory of the modules of kernel `name` below `destination`.

    Fails if the running system, with a kernel of that `release`, has no such kernel.
    """
    wanted = kernel.release(name)
    path = f"{destination}/lib/modules/{wanted}"
    if destination:
        return path
    if not os.path.isdir(path):
        raise _no_kernel(release, wanted)
    if not shutil.which("depmod"):
        raise Failure("missing: depmod; install with: apt-get install kmod")
    if wanted != release:
        say(f"vfence: this machine runs {release}; the modules are for {wanted}, which is "
            "installed: boot that one")
    return path


def _signed_only(lockdown=_LOCKDOWN, sig_enforce=_SIG_ENFORCE):
    """Returns whether the running kernel refuses modules without a signature."""
    for path, pattern in ((lockdown, r"\[(integrity|confidentiality)\]"), (sig_enforce, "Y")):
        if os.path.exists(path):
            with open(path) as text:
                if re.search(pattern, text.read()):
                    return True
    return False


def run(destination, name=None):
    """Copies the modules of kernel `name`, by default that of the machine, below `destination`.

    An empty `destination` is the running system, which depmod updates.
    """
    release = os.uname().release
    name = name or choose(release)
    updates = os.path.join(_modules(name, release, destination), "updates")
    paths = build.modules(name)
    os.makedirs(updates, exist_ok=True)
    for path in paths:
        target = shutil.copy(path, updates)
        os.chmod(target, 0o644)
        say(f"vfence: {target}")
    if destination:
        return
    if subprocess.run(["depmod", kernel.release(name)], check=False).returncode:
        raise Failure(f"'depmod {kernel.release(name)}' failed: see above")
    if _signed_only():
        say("vfence: this kernel loads only signed modules (Secure Boot, lockdown): install the "
            "package vfence-dkms, which signs them with the machine's key, or see MODULES in "
            "vfence(4)")
