# SPDX-License-Identifier: GPL-2.0
"""Where expensive results live, and how they get there safely.

A stage is a directory named after a hash of everything it was made from, so
a changed input makes a new directory and an unchanged one is found again.
It is built under another name and renamed when complete: a directory that
exists is whole, whatever interrupted the run before.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil

from report import Failure, Step, count_lines, percent, say, size


# Says to backup programs, and to us, whose this directory is.
_TAG = "CACHEDIR.TAG"
_TAG_TEXT = """Signature: 8a477f597d28d172789f06886806bc55
# This is the cache of vfence's environment; `make distclean` removes it.
"""
# What `distclean` removes, and nothing else.
_OURS = re.compile(r"(root|packages|stock|debug|bench)-[0-9a-f]{12}(\.partial|\.old)*"
                   r"|cargo|logs|mnt|kvm-probe|\w+\.lock|CACHEDIR\.TAG")

# The stages that this process uses, each with a descriptor that is open until it ends.
_held = {}


def directory():
    """Returns the cache directory, made if need be."""
    path = os.environ.get("VFENCE_CACHE")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        path = os.path.join(base, "vfence")
    path = os.path.abspath(path)
    tag = os.path.join(path, _TAG)
    if not os.path.exists(tag):
        os.makedirs(path, exist_ok=True)
        # One made before there was a tag is welcome.
        if not all(_OURS.fullmatch(name) for name in os.listdir(path)):
            raise Failure(f"{path} is to be the cache, but has something else in it")
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
    """Holds the lock file `path`; says so when another run has it."""
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"vfence: another run is {what}, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _hold(path):
    """Keeps the stage `path` from being removed while this process lives; False if it is gone."""
    if path in _held:
        return True
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    fcntl.flock(handle, fcntl.LOCK_SH)
    # It may have been removed while we waited.
    if os.path.isdir(path) and os.path.samestat(os.fstat(handle), os.stat(path)):
        _held[path] = handle
        return True
    os.close(handle)
    return False


def remove(path):
    """Removes a stage, unless a run uses it: then returns False.

    It goes out of its name first, so that no half of it is ever found.
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


def clear():
    """Removes all that this module and its callers ever put into the cache; returns what stays."""
    path = directory()
    busy = [name for name in sorted(os.listdir(path))
            if re.fullmatch(r"\w+-[0-9a-f]{12}.*", name) and _OURS.fullmatch(name)
            and not remove(os.path.join(path, name))]
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
    """Returns the directory of stage `name` for `inputs`, which stays while this process lives.

    When it is missing, calls `build(directory, log)` to fill a new one; how many
    `lines` that writes to its log, if known, shows how far it is. Stages
    of the same name with other inputs are then stale and go away, and so does
    what an interrupted build has left.
    """
    final = os.path.join(directory(), f"{name}-{key(inputs)}")
    if _hold(final):
        return final
    with lock(os.path.join(directory(), f"{name}.lock"), f"making {name}"):
        if _hold(final):
            return final
        for entry in os.listdir(directory()):
            if entry.startswith(f"{name}-"):
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
