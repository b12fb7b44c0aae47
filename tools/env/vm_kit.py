# SPDX-License-Identifier: GPL-2.0
"""The stages that `vfence-vm` boots a kernel from: emulator, kernel's image, and modules.

Stage `vm_emulator` is a root file system with the emulator. A stage `vm_<kernel>` has a kernel and
its modules, and vfence and vfence_drm, which are built when the stage is made. With both stages in
the cache, neither a compiler nor the kernel's source is needed.
"""

import functools
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

import build
import cache
import chroot
import guest
import kernel
import mirror
import root

# The kernels that vfence-vm boots.
KERNELS = [name for name, one in kernel.KERNELS.items()
           if one.flavour.endswith("amd64") and name != "bench"]
_EMULATOR = "qemu-system-x86 virtme-ng virtiofsd busybox-static kmod python3 util-linux".split()
# The files that decide what the modules are, in the checkout.
_SOURCES = ["Kbuild", "NEWS", "include", "rust"]
# Other files are made by builds in the checkout.
_SOURCE = re.compile(r".*(?<!_generated)\.(rs|c|h|mk)|Kbuild|NEWS")
# The mount point of the modules vfence and vfence_drm, in the emulator's root.
KIT = f"{chroot.MOUNT}/kit"


def emulator():
    """Returns the root file system with the emulator, and makes it if it is missing."""
    return cache.stage("vm_emulator", emulator_inputs(), _make_emulator,
                       "Debian with the emulator, about 1 minute")


def emulator_inputs():
    """Returns the inputs of stage `vm_emulator`."""
    return {"suite": root.SUITE, "packages": sorted(_EMULATOR)}


def _make_emulator(directory, log):
    root.make(directory, log, root.SUITE, _EMULATOR, mirror.lines(root.SUITE))


def path(name):
    """Returns the directory with kernel `name` and the modules, and makes it if it is missing."""
    return cache.stage(f"vm_{name}", inputs(name), functools.partial(_make, name),
                       f"the {name} kernel, and the modules built for it")


def _pin(one):
    """Returns the release that `one`, a kernel.Kernel, is tested with."""
    return kernel.PINS[one.series or next(iter(kernel.PINS))]


def inputs(name):
    """Returns the inputs of stage `vm_<name>`. They do not depend on the content of the cache."""
    one = kernel.KERNELS[name]
    # The archive decides which series a kernel that is built here has, and so which linux-*.config.
    names = [*one.fragments, "linux-*"] if one.own else []
    fragments = [_hash(file) for name_ in names
                 for file in sorted(glob.glob(os.path.join(kernel.HERE, f"{name_}.config")))]
    return {"sources": sources(), "packages": sorted(root.PACKAGES), "suite": root.SUITE,
            "pin": _pin(one), "flavour": one.flavour, "make": one.make, "fragments": fragments}


def describe(name):
    """Returns a description of kernel `name`: its release, or that which will be taken."""
    one = kernel.KERNELS[name]
    made = os.path.join(_stage(name), "lib")
    found = os.listdir(made) if os.path.isdir(made) else []
    if one.what:
        return one.what
    if found:
        return f"Debian's kernel {found[0]}, unmodified"
    return (f"Debian's kernel {_pin(one)}-{one.flavour}, unmodified, or the newest of its series "
            "if the archive no longer has that")


def _stage(name):
    """Returns the path of the directory that path() makes."""
    return os.path.join(cache.directory(), f"vm_{name}-{cache.key(inputs(name))}")


def sources(checkout=build.CHECKOUT):
    """Returns a hash of the sources of the modules."""
    return cache.key([(name, _hash(os.path.join(checkout, name))) for name in _files(checkout)])


def _hash(path_):
    with open(path_, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _files(checkout):
    """Returns the paths of the sources of the modules, sorted."""
    found = []
    for source in _SOURCES:
        if os.path.isfile(os.path.join(checkout, source)):
            found.append(source)
        for directory, _, names in os.walk(os.path.join(checkout, source)):
            found += [os.path.relpath(os.path.join(directory, name), checkout)
                      for name in names if _SOURCE.fullmatch(name) and not name.endswith(".mod.c")]
    return sorted(found)


def _make(name, directory, log):
    with tempfile.TemporaryDirectory(prefix="vfence-modules-") as scratch:
        for module in build.modules(name, scratch):
            shutil.copy(module, directory)
    modules = os.path.join(directory, "lib")
    os.makedirs(modules)
    for source, target in kernel.binds(name):
        if target.startswith("/lib/modules/"):
            with open(log, "ab") as out:
                subprocess.run(["cp", "-a", source, modules], stdout=out, stderr=out, check=True)
    with open(os.path.join(directory, "image"), "w") as text:
        text.write(kernel.image(name))


def modules(name):
    """Returns the paths of vfence.ko and vfence_drm.ko for kernel `name`."""
    return [os.path.join(path(name), f"{module}.ko") for module in build.MODULES]


def machine(name):
    """Returns the guest.Machine that boots kernel `name`."""
    directory = path(name)
    with open(os.path.join(directory, "image")) as text:
        image = text.read()
    lib = os.path.join(directory, "lib")
    binds = [(directory, KIT), *((os.path.join(lib, entry), f"/lib/modules/{entry}")
                                 for entry in os.listdir(lib))]
    return guest.Machine(image, binds, emulator())


def parameters(path):
    """Returns the names of the parameters of the module at `path`, sorted."""
    with open(path, "rb") as module:
        found = re.findall(rb"\0parmtype=(\w+):", module.read())
    return sorted({name.decode() for name in found})


def stages(name):
    """Returns the directories that booting kernel `name` needs, made if missing."""
    return [emulator(), path(name)]
