# SPDX-License-Identifier: GPL-2.0
"""The directories of the host that the guest of `make run` and `make shell` sees, at their paths.

They are the checkout and the directory in which the user called make. A directory where the guest
has files of its own cannot be shared.
"""

import os

import build
import chroot
import root
from report import say


def working_directory():
    """Returns the directory where the user called make, or the checkout if it does not exist."""
    cwd = os.environ.get("VFENCE_PWD") or os.getcwd()
    return cwd if os.path.isdir(cwd) else build.CHECKOUT


def _is_of_guest(path, guest_root):
    """Returns whether the guest with root file system `guest_root` needs its own `path`."""
    parts = path.split("/")
    # `init` mounts file systems on these.
    if path == "/tmp" or parts[1] in ("dev", "proc", "run", "sys"):
        return True
    if os.path.commonpath([path, chroot.MOUNT]) in (path, chroot.MOUNT):
        return True
    # The guest needs none of the files in /root.
    inside = guest_root + path
    return path != "/root" and (os.path.islink(inside) or
                                os.path.isdir(inside) and bool(os.listdir(inside)))


def binds(cwd):
    """Returns the mounts of the checkout and of `cwd`, unless `cwd` is part of the checkout.

    Says so if `cwd` cannot be shared.
    """
    if os.path.commonpath([cwd, build.CHECKOUT]) == build.CHECKOUT:
        return build.HERE
    if _is_of_guest(cwd, root.path()):
        say(f"vfence: the guest does not see the files of this machine in {cwd}: call make in "
            "another directory to share that one")
        return build.HERE
    return [(cwd, cwd), *build.HERE]
