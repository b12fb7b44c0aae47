# SPDX-License-Identifier: GPL-2.0
"""The cache of stages: the root file system, the kernels, their sources.

A stage is a directory whose name has a hash of its inputs: a changed input makes a new directory.
A stage is built under another name and renamed when it is complete, so an interrupted run never
leaves an incomplete one.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil

from report import Failure, Step, count_lines, percent, say, size


# Marks the directory as a cache for backup programs, and as this environment's for distclean.
_TAG = "CACHEDIR.TAG"
_TAG_TEXT = """Signature: 8a477f597d28d172789f06886806bc55
# This is the cache of vfence's environment; `make distclean` removes it.
"""
# The end of the name of a stage's directory, after the name of the stage.
_SUFFIX = r"-[0-9a-f]{12}(\.partial|\.old)*"
# The names that `make distclean` may remove: stages, those of kernels among them, and files.
_STAGE = re.compile(r"(root|guest|packages|clients|stock|rt|7\.2|arm64|debug|rt-debug|bench|vm)"
                    rf"(_[\w.-]+)?{_SUFFIX}")
_OURS = re.compile(rf"{_STAGE.pattern}|vm_restore-\w+|cargo|logs|mnt|kvm-probe"
                   r"|[\w.-]+\.lock|CACHEDIR\.TAG")

# The stages that this process uses, each with a descriptor that holds a shared lock.
_held = {}


def directory():
    """Returns the cache directory, and makes it if it is missing."""
    path = os.environ.get("VFENCE_CACHE")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        path = os.path.join(base, "vfence")
    path = os.path.abspath(path)
    tag = os.path.join(path, _TAG)
    if not os.path.exists(tag):
        os.makedirs(path, exist_ok=True)
        # Caches of older versions have no tag.
        if not all(_OURS.fullmatch(name) for name in os.listdir(path)):
            raise Failure(f"{path} has files that are not part of the cache")
        with open(tag, "w") as text:
            text.write(_TAG_TEXT)
    os.makedirs(os.path.join(path, "logs"), exist_ok=True)
    return path


def key(inputs):
    """Returns a short name for `inputs`, anything that JSON can hold."""
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextlib.contextmanager
def lock(path, what):
    """Holds the lock file `path`; prints a line when it must wait for another process."""
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"vfence: another process is {what}, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _hold(path):
    """Locks the stage `path` against removal until this process ends; False if it is gone."""
    if path in _held:
        return True
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(handle, fcntl.LOCK_SH)
    # Another run may have removed it before flock() returned.
    if os.path.isdir(path) and os.path.samestat(os.fstat(handle), os.stat(path)):
        _held[path] = handle
        return True
    os.close(handle)
    return False


def remove(path):
    """Removes a stage and returns True; returns False if a run uses it.

    The stage is renamed first, so that no run finds an incomplete one.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        doomed = f"{path}.old"
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(path, doomed)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    shutil.rmtree(doomed)
    return True


def is_stage(name):
    """Returns whether the entry `name` of the cache is a stage, complete or not."""
    return _STAGE.fullmatch(name) is not None


def clear():
    """Removes all known names from the cache; returns the names that are left."""
    path = directory()
    busy = [name for name in sorted(os.listdir(path))
            if is_stage(name) and not remove(os.path.join(path, name))]
    if not busy:
        for name in os.listdir(path):
            if _OURS.fullmatch(name):
                entry = os.path.join(path, name)
                if os.path.isdir(entry):
                    shutil.rmtree(entry)
                else:
                    os.unlink(entry)
    rest = sorted(os.listdir(path))
    if not rest:
        os.rmdir(path)
    return rest


def stage(name, inputs, build, detail="", lines=None):
    """Returns the directory of stage `name` for `inputs`, locked until this process ends.

    If it is missing, calls `build(directory, log)` to fill a new one. `lines` is the number of
    lines that the build writes to its log, for the progress. Stages of the same name with other
    inputs, and those that an interrupted build left, are removed.
    """
    final = os.path.join(directory(), f"{name}-{key(inputs)}")
    if _hold(final):
        return final
    with lock(os.path.join(directory(), f"{name}.lock"), f"making {name}"):
        if _hold(final):
            return final
        for entry in os.listdir(directory()):
            if re.fullmatch(re.escape(name) + _SUFFIX, entry):
                remove(os.path.join(directory(), entry))
        partial = f"{final}.partial"
        os.makedirs(partial)
        _hold(partial)
        log = os.path.join(directory(), "logs", f"{name}.log")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        progress = (lambda: percent(count_lines(log), lines)) if lines else None
        with Step(name, detail, progress=progress):
            build(partial, log)
            os.rename(partial, final)
        _held[final] = _held.pop(partial)
        say(f"vfence: {name}: {size(final)} in {final}")
        return final
