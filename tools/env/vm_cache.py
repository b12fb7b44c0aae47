# SPDX-License-Identifier: GPL-2.0
"""The commands `vfence-vm cache`: the cache as a CI's cache step keeps it, in one file.

A CI saves a file from one job to the next, as an ordinary user. The stages are root file systems,
whose files belong to many users, so they are saved in an archive.
"""

import os
import shutil
import subprocess
import tempfile

import cache
import vm_kit
import vm_root
from report import Failure, say, size

# The stages that vfence-vm boots from; the others are only needed to make these.
_PREFIX = "vm_"
_TAR = ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*"]


def key(options):
    """Returns a word that changes when the stages of a run with these options would."""
    inputs = [vm_kit.emulator_inputs(), vm_kit.inputs(options.kernel), vm_root.inputs(options)]
    return f"{options.kernel}-{cache.key(inputs)}"


def save(path, directories):
    """Writes an archive of the stages that have the `directories` to the file `path`."""
    inside = [os.path.relpath(directory, cache.directory()) for directory in directories]
    # A root file system of the user's own is not in the cache.
    stages = [name.split(os.sep)[0] for name in inside if not name.startswith(os.pardir)]
    partial = f"{path}.partial"
    try:
        _run([*_TAR, "--create", "--file", partial, "--directory", cache.directory(),
              *stages], f"cannot write {path}")
        os.rename(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    say(f"vfence-vm: saved {' '.join(stages)}: {size(path)} in {path}")


def restore(path):
    """Adds the stages in the archive `path` to the cache, if there is such a file."""
    if not os.path.exists(path):
        say(f"vfence-vm: nothing to restore: no file {path}")
        return
    # A name that the cache takes for an interrupted build.
    scratch = tempfile.mkdtemp(prefix=f"{_PREFIX}restore-", dir=cache.directory())
    try:
        _run([*_TAR, "--extract", "--file", path, "--directory", scratch],
             f"cannot restore {path}: it is not an archive that 'vfence-vm cache save' has written")
        for name in sorted(os.listdir(scratch)):
            target = os.path.join(cache.directory(), name)
            if not cache.is_stage(name) or not name.startswith(_PREFIX):
                raise Failure(f"cannot restore {path}: {name} is not a stage of vfence-vm")
            if not os.path.exists(target):
                os.rename(os.path.join(scratch, name), target)
                say(f"vfence-vm: restored {name}")
    finally:
        shutil.rmtree(scratch)


def prune():
    """Removes the stages that only the building of others needs, unless a run uses them."""
    for name in sorted(os.listdir(cache.directory())):
        path = os.path.join(cache.directory(), name)
        if cache.is_stage(name) and not name.startswith(_PREFIX):
            say(f"vfence-vm: {'removed' if cache.remove(path) else 'in use, kept'}: {name}")


def _run(command, problem):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failure(f"{problem} ({lines[0]})")
