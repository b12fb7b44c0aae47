# SPDX-License-Identifier: GPL-2.0
"""`make install` without KDIR: installs the modules for Debian's kernel."""

import os
import shutil
import subprocess

import build
import kernel
from report import Failure, say


def run(destination):
    """Copies the modules below `destination`, "" for the running system, which depmod updates."""
    release = kernel.release()
    modules = f"{destination}/lib/modules/{release}"
    if not destination:
        if not os.path.isdir(modules):
            raise Failure(f"this machine has no kernel {release}: install linux-image-{release}, "
                          "or set KDIR to the tree of another kernel")
        if not shutil.which("depmod"):
            raise Failure("missing: depmod; install with: apt-get install kmod")
    updates = os.path.join(modules, "updates")
    paths = build.modules("stock")
    os.makedirs(updates, exist_ok=True)
    for path in paths:
        target = shutil.copy(path, updates)
        os.chmod(target, 0o644)
        say(f"vfence: {target}")
    if not destination and subprocess.run(["depmod", release], check=False).returncode:
        raise Failure(f"'depmod {release}' failed: see above")
