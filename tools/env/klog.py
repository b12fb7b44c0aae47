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
