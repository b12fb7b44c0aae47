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
import shutil

from report import Step, say, size


def directory():
    """Returns the cache directory, made if need be."""
    path = os.environ.get("VFENCE_CACHE")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        path = os.path.join(base, "vfence")
    path = os.path.abspath(path)
    os.makedirs(os.path.join(path, "logs"), exist_ok=True)
    return path


def key(inputs):
    """Returns a short name for `inputs`, anything that JSON can hold."""
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextlib.contextmanager
def lock(name):
    """Holds the lock `name` of the cache; says so when another run has it."""
    with open(os.path.join(directory(), f"{name}.lock"), "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"vfence: {name}: another run is making it, waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove(path):
    """Removes a stage; first out of its name, so that no half of it is ever found."""
    if os.path.isdir(path):
        doomed = f"{path}.old"
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(path, doomed)
        shutil.rmtree(doomed)


def stage(name, inputs, build, detail=""):
    """Returns the directory of stage `name` for `inputs`.

    When it is missing, calls `build(directory, log)` to fill a new one. Stages
    of the same name with other inputs are then stale and go away, and so does
    what an interrupted build has left.
    """
    final = os.path.join(directory(), f"{name}-{key(inputs)}")
    if os.path.isdir(final):
        return final
    with lock(name):
        if os.path.isdir(final):
            return final
        for entry in os.listdir(directory()):
            if entry.startswith(f"{name}-"):
                remove(os.path.join(directory(), entry))
        partial = f"{final}.partial"
        os.makedirs(partial)
        log = os.path.join(directory(), "logs", f"{name}.log")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        with Step(name, detail):
            build(partial, log)
            os.rename(partial, final)
        say(f"vfence: {name}: {size(final)} in {final}")
        return final
