# SPDX-License-Identifier: GPL-2.0
"""Whether a guest's kernel log is clean.

A line that a checker of the kernel prints about a fault fails the run, whoever
caused it; so does a log that ends before the guest said it was done.
"""

import re

_BAD = [re.compile(pattern) for pattern in (
    r"\bWARNING:",
    r"\bBUG\b[: ]",
    r"\bOops\b",
    r"\bKernel panic\b",
    r"\bCall Trace:",
    r"\bgeneral protection fault\b",
    r"\bunable to handle\b",
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

# Lines of a guest's boot that match the above and are not about vfence, each
# with its reason. None so far.
_ALLOWED = []

# What the guest's driver writes into the log says what runs, and judges nothing.
_ECHO = re.compile(r"vfence-guest:")
_SUITE = re.compile(r"vfence-guest: suite (\S+)")


def judge(text, sentinel):
    """Returns what is wrong with the log `text`, a line each; empty when clean.

    A problem names the suite that ran when the kernel said it.
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
        if _ECHO.search(line) or any(pattern.search(line) for pattern in _ALLOWED):
            continue
        if any(pattern.search(line) for pattern in _BAD):
            problems.append(line.strip() + during)
    if not ended:
        last = text.strip().splitlines()[-1:] or ["(nothing)"]
        problems.append("the guest died early; the last line of its log: "
                        f"{last[0].strip()}{during}")
    return problems
