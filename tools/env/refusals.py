# SPDX-License-Identifier: GPL-2.0
"""Checks that each errno with which the driver refuses a call has a reason.

A reason is a debug message: the errno is the first argument of `refuse!`, in `rust/vfence/`
`refusal.rs`. An abstraction of `rust/kernel/` that passes on the errno of another subsystem has no
reason of its own, so the driver gives one with `map_err()`.
"""

import glob
import os
import re

import imports
import ktap

# The driver; the scheduler in rust/vfence/sched refuses nothing.
_FILES = ("rust/vfence/**/*.rs", "rust/vfence_misc/**/*.rs", "rust/vfence_drm/**/*.rs",
          "rust/vfence_main.rs", "rust/vfence_drm_main.rs")
_TESTS = "#[kernel::macros::kunit_tests"

_ERRNOS = ("2BIG ACCES AGAIN BADF BUSY CANCELED CONNREFUSED DEADLK EXIST FAULT FBIG HOSTDOWN INTR"
           " INVAL IO ISDIR MFILE MSGSIZE NAMETOOLONG NFILE NOBUFS NODATA NODEV NOENT NOEXEC NOLCK"
           " NOMEM NOSPC NOSYS NOTBLK NOTDIR NOTSUPP NOTTY NXIO OPNOTSUPP OVERFLOW PERM PIPE PROTO"
           " RANGE REMOTEIO RESTARTSYS ROFS SPIPE SRCH STALE TIME TIMEDOUT TOOSMALL TXTBSY"
           " USERS XDEV")
_ERRNO = re.compile(rf"\bE(?:{'|'.join(_ERRNOS.split())})\b")
_REASON = re.compile(r"\brefuse!\(\s*$")
_FORMAT = re.compile(r'\brefuse!\(\s*\w+,\s*(?:concat!\(\$name, )?"((?:\\.|[^"\\])*)"', re.S)
# Uses of an errno that refuse nothing: comparisons, patterns, and the number in a fence.
_COMPARED = re.compile(r"[=!]=\s*(?:Some\(|Err\()?$")
_PATTERN_OR_NUMBER = re.compile(r"\)?\s*=>|\.to_errno\(\)")
# The names of errnos in `use` declarations.
_USE = re.compile(r"\buse\b[^;]*;")

# Errnos that need no reason, because they have one cause.
_PLAIN = {"ENOMEM"}

# The other uses of an errno, and the calls that need no map_err(): the file, and the line with its
# reason.
_UNREACHABLE = "the code before has checked it"
_FENCE = "the error of a fence"
_LOGGED = "an error in the log has the reason"
_CALLER = "the caller has the reason"
_ALLOWED = {
    "rust/vfence/buffer/operations.rs": {
        ".ok_or(EINVAL)": _UNREACHABLE,
    },
    "rust/vfence/buffer/resv.rs": {
        "let resv = self.index(used).ok_or(EINVAL)?;": _UNREACHABLE,
        "ERESTARTSYS": "a signal interrupts the call",
    },
    "rust/vfence/client.rs": {
        "cache.as_ref().ok_or(ENOENT)": _UNREACHABLE,
    },
    "rust/vfence/ioctl/job.rs": {
        "return Err(ETIME);": "the result of a wait",
    },
    "rust/vfence/ioctl/submit.rs": {
        "let syncs = rest.first_mut().ok_or(EINVAL)?;": _UNREACHABLE,
        "reservations.last_mut().ok_or(EINVAL)?": _UNREACHABLE,
    },
    "rust/vfence/job/in_fences.rs": {
        "let start = usize::try_from(address).map_err(|_| inaccessible(EFAULT))?;":
            "the closure has the reason",
    },
    "rust/vfence/settings.rs": {
        "return Err(EINVAL);": _LOGGED,
    },
    "rust/vfence/sw_sync/timeline.rs": {
        "ValueState::GivenUp => Err(ETIMEDOUT),": _FENCE,
        "self.signal(self.state.lock(), u64::MAX, Err(ENOENT));": _FENCE,
    },
    "rust/vfence/sw_sync/watchdog.rs": {
        "fence.complete_with(&guard, Err(ETIMEDOUT), expiry);": _FENCE,
    },
    "rust/vfence_misc/mod.rs": {
        "DmaBuf::from_fd(used.fd)": _CALLER,
    },
    "rust/vfence_misc/sw_sync.rs": {
        "return Err(EINVAL);": _LOGGED,
    },
    "rust/vfence_drm/control.rs": {
        "self.device.lose(&presence, ENODEV);": "the error of later calls",
        "self.device.lose(&plugged.presence, EIO);": "the error of later calls",
    },
    "rust/vfence_drm/mod.rs": {
        "result.map_err(|error| if error == EAGAIN { EBUSY } else { error })?;":
            "the error has its reason",
    },
    "rust/vfence_drm/syncobj.rs": {
        "return DmaBuf::from_fd(used.fd);": _CALLER,
        "let object = Object::lookup(self.file, used.fd as u32)?;": _CALLER,
    },
    "rust/vfence_drm/virtual_device.rs": {
        "return Err(EINVAL);": _LOGGED,
        "Err(EINVAL)": _LOGGED,
    },
}

# Functions of rust/kernel/ that fail because of what user space passes.
_FOREIGN = re.compile(
    r"\b(?:sync_file::get_fence|DmaBuf::from_fd|find_buffer|Syncobj::find|Object::lookup|find_fence"
    r"|Attachment::new|attachment\.map|Vmap::new|get_unused_fd_flags|map_counters|set_size"
    r"|object\.mmap_offset|reader\.read_slice|reader\.read::<\w+>|writer\.write_slice"
    r"|writer\(\)\.write)\(")
_DEFINITION = re.compile(r"\bfn\s+$")
# How far behind the call its map_err() is, in characters.
_NEAR = 120


def _lines(text):
    return [line.strip() for line in text.split("\n")]


def _sources(checkout):
    """Yields the path and the text of each file of the driver."""
    for pattern in _FILES:
        for path in sorted(glob.glob(os.path.join(checkout, pattern), recursive=True)):
            with open(path) as source:
                yield os.path.relpath(path, checkout), source.read()


def reasons(checkout):
    """Returns the format of each reason."""
    return [re.sub(r"\\\n\s*", "", match.group(1))
            for _, text in _sources(checkout) for match in _FORMAT.finditer(text)]


def problems(file, text):
    """Returns the errnos without a reason in the source `text` of `file`, a line each."""
    code = imports.strip(text.split(_TESTS)[0])
    code = _USE.sub(lambda match: re.sub(r"\S", " ", match.group()), code)
    lines = _lines(text)
    # Each exception is for one line.
    allowed = set(_ALLOWED.get(file, {}))
    found = []

    def check(match, has_reason, message):
        number = code.count("\n", 0, match.start()) + 1
        line = lines[number - 1]
        if has_reason:
            return
        if line in allowed:
            allowed.remove(line)
            return
        found.append(f"line {number}: {message}")

    for match in _ERRNO.finditer(code):
        before, after = code[:match.start()], code[match.end():]
        check(match, match.group() in _PLAIN or _REASON.search(before) or _COMPARED.search(before)
              or _PATTERN_OR_NUMBER.match(after),
              f"{match.group()} without a reason: use refuse!()")
    for match in _FOREIGN.finditer(code):
        check(match, _DEFINITION.search(code[:match.start()])
              or "map_err(" in code[match.end():match.end() + _NEAR],
              f"{match.group()[:-1]}() without a reason: add map_err()")
    found += [f"no line {line!r}, which tools/env/refusals.py allows"
              for line in sorted(allowed)]
    return found


def suite(checkout):
    """Returns a failed result for each file with errnos without a reason, as a suite."""
    checks = {}
    for file, text in _sources(checkout):
        if found := problems(file, text):
            checks[file] = found
    for file in _ALLOWED:
        if not os.path.exists(os.path.join(checkout, file)):
            checks[file] = ["no such file, which tools/env/refusals.py allows"]
    return ktap.problems("refusals", checks or {"driver": []})
