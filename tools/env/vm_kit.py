# SPDX-License-Identifier: GPL-2.0
"""What `vfence-vm` needs to boot a kernel: the emulator, the kernel's image, and the modules.

Stage `vm_emulator` is a root file system with the emulator. A stage `vm_<kernel>` has a kernel and
its modules, and vfence and vfence_drm, which are built when the stage is made. With both stages in
the cache, neither a compiler nor the kernel's source is needed.
"""

import functools
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
    """Returns the inputs of stage `vm_<name>`. They do not depend on what is in the cache."""
    one = kernel.KERNELS[name]
    fragments = [_hash(os.path.join(kernel.HERE, f"{fragment}.config"))
                 for fragment in one.fragments]
    return {"sources": sources(), "packages": sorted(root.PACKAGES), "suite": root.SUITE,
            "pin": _pin(one), "flavour": one.flavour, "fragments": fragments}


def describe(name):
    """Returns what kernel `name` is, in words."""
    one = kernel.KERNELS[name]
    return one.what or f"Debian's kernel {_pin(one)}-{one.flavour}, unmodified"


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
