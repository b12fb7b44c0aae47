# SPDX-License-Identifier: GPL-2.0
"""The commands `vfence-vm cache`: the cache as a CI's cache step keeps it, in one file.

A CI saves a file from one job to the next, as an ordinary user. The stages are root file systems,
whose files belong to many users, so they are saved in an archive.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import cache
import vm_kit
import vm_root
from report import Failure, say, size

# The stages that vfence-vm boots from; the others are only needed to make these.
_PREFIX = "vm_"
# The name that a stage is unpacked under.
_SCRATCH = f"{_PREFIX}restore-"
# Seconds after its last use for which a root file system is kept.
_KEPT = 30 * 86400
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
    """Adds the stages in the archive `path` to the cache, if there is such a file.

    A file that is no archive, such as an incomplete one, is renamed: a CI job then saves a new one.
    """
    if not os.path.exists(path):
        say(f"vfence-vm: nothing to restore: no file {path}")
        return
    with _scratch() as scratch:
        try:
            _run([*_TAR, "--extract", "--file", path, "--directory", scratch],
                 f"cannot restore {path}: not an archive that 'vfence-vm cache save' has written")
        except Failure as failure:
            os.rename(path, f"{path}.bad")
            say(f"vfence-vm: {failure}; renamed it to {path}.bad")
            return
        names = sorted(os.listdir(scratch))
        for name in names:
            if not cache.is_stage(name) or not name.startswith(_PREFIX):
                raise Failure(f"cannot restore {path}: {name} is not a stage of vfence-vm")
        for name in names:
            _add(os.path.join(scratch, name), name)


@contextlib.contextmanager
def _scratch():
    """Makes a directory in the cache for the stages that are unpacked, and removes it."""
    lock = os.path.join(cache.directory(), f"{_PREFIX}restore.lock")
    with cache.lock(lock, "changing the cache"):
        _remove_scratch()
        path = tempfile.mkdtemp(prefix=_SCRATCH, dir=cache.directory())
        try:
            yield path
        finally:
            shutil.rmtree(path)


def _remove_scratch():
    """Removes the directories that killed runs have left; the caller holds the lock."""
    for name in os.listdir(cache.directory()):
        if name.startswith(_SCRATCH):
            shutil.rmtree(os.path.join(cache.directory(), name))


def _add(source, name):
    """Moves the stage in the directory `source` to its place, unless it is in the cache."""
    target = os.path.join(cache.directory(), name)
    stage = name.rpartition("-")[0]
    with cache.lock(os.path.join(cache.directory(), f"{stage}.lock"), f"making {stage}"):
        if not os.path.exists(target):
            # Not the time of its last use when it was saved.
            os.utime(source)
            os.rename(source, target)
            say(f"vfence-vm: restored {name}")


def prune():
    """Removes the stages that no run needs, unless one uses them.

    They are those that only the building of others needs, and the root file systems that have not
    been used for a month.
    """
    with _scratch():
        for name in sorted(os.listdir(cache.directory())):
            path = os.path.join(cache.directory(), name)
            if cache.is_stage(name) and not _is_needed(name, path):
                say(f"vfence-vm: {'removed' if cache.remove(path) else 'in use, kept'}: {name}")


def _is_needed(name, path):
    if name.startswith(vm_root.STAGE):
        return time.time() - os.stat(path).st_mtime < _KEPT
    return name.startswith(_PREFIX)


def _run(command, problem):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failure(f"{problem} ({lines[0]})")
