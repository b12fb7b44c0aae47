# SPDX-License-Identifier: GPL-2.0
"""Checks that the kernel log of a guest is clean.

A fault report of any checker of the kernel fails the run, and so does a log without the last line
of the guest's script.
"""

import re

_BAD = [re.compile(pattern) for pattern in (
    r"\bWARNING:",
    r"\bBUG\b[: ]",
    r"\bOops\b",
    r"\bKernel panic\b",
    # Some words differ between architectures.
    r"\bCall [Tt]race:",
    r"\bgeneral protection fault\b",
    r"\b[Uu]nable to handle\b",
    r"\bInternal error:",
    r"\bpossible (recursive locking|circular locking|deadlock)",
    r"\binconsistent lock state\b",
    r"\bsuspicious RCU usage\b",
    r"\bINFO: (task|trying to register|possible|rcu)",
    r"\bblocked for more than \d+ seconds",
    r"\brcu.*\bstall",
    r"\b(soft|hard) (lockup|LOCKUP)",
    r"\bsleeping function called from invalid context",
    r"\bKASAN:",
    r"\bUBSAN:",
    r"\bODEBUG:",
    r"\brefcount_t:",
    r"\blist_(add|del) corruption",
    r"\bkmemleak: \d+ new suspected",
    r"\brust_kernel: panicked at\b",
    r"\bstill has locks held\b|\block held when returning to user space\b",
)]

# Lines of the boot that match a pattern above and do not concern vfence, each with its reason.
_ALLOWED = []

# The lines that the guest's script writes to the log; they are not faults.
_ECHO = re.compile(r"vfence-guest:")
_SUITE = re.compile(r"vfence-guest: suite (\S+)")

# A record of /dev/kmsg. Bytes that cannot be printed are escaped.
_RECORD = re.compile(rb"\d+,(\d+),(\d+),[^;]*;(.*)")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def text(records):
    """Returns the lines that dmesg would print for `records`, the bytes that /dev/kmsg has given.

    A log whose beginning is lost cannot be judged, so it has a warning in its place.
    """
    lines = []
    for match in filter(None, map(_RECORD.match, records.splitlines())):
        number, time = int(match.group(1)), int(match.group(2))
        if number and not lines:
            lines.append(f"WARNING: the first {number} lines of the kernel log are lost")
        content = _ESCAPE.sub(lambda escape: bytes([int(escape.group(1), 16)]), match.group(3))
        lines += [f"[{time // 10**6:5d}.{time % 10**6:06d}] {line}"
                  for line in content.decode(errors="replace").splitlines()]
    return "".join(f"{line}\n" for line in lines)


def judge(text, sentinel, allowed=()):
    """Returns the problems in the log `text`, a line each; none if it is clean.

    Each problem names the suite that ran at that time. A line that matches one of the patterns
    `allowed` is no problem.
    """
    problems = []
    ended = False
    during = ""
    for line in text.splitlines():
        if sentinel in line:
            ended = True
            during = ""
        if match := _SUITE.search(line):
            during = f" (while {match.group(1)} ran)"
        if _ECHO.search(line) or any(
                pattern.search(line) for pattern in (*_ALLOWED, *allowed)):
            continue
        if any(pattern.search(line) for pattern in _BAD):
            problems.append(line.strip() + during)
    if not ended:
        last = text.strip().splitlines()[-1:] or ["(nothing)"]
        problems.append("the guest died early; the last line of its log: "
                        f"{last[0].strip()}{during}")
    return problems
