# SPDX-License-Identifier: GPL-2.0
"""The suite `vfence-vm`: the command runs a small project, and judges it as it must.

The project is a directory of its own, with a script that prints TAP. The guest's root file system
is that of the tools.
"""

import os
import re
import subprocess
import tempfile
import typing
import xml.etree.ElementTree as xml

import build
import ktap
import root
import vm_kit
from report import Failure, Step

_COMMAND = os.path.join(build.CHECKOUT, "tools", "vfence-vm", "vfence-vm")
# Seconds; a busy machine emulates the guest slowly.
_LIMIT = 300
_REPORT = "report.xml"
_SCRIPT = """#!/bin/sh
case $1 in
pass)
    # The shell is the guest's, and the variable is not that of vfence-vm's script.
    case $(readlink /proc/$$/exe) in *busybox*) exit 3 ;; esac
    [ "$out" = host ] || exit 3
    echo '1..2'
    [ "$(id -u)" != 0 ] && [ -r /dev/vfence -a -w /dev/vfence ] && echo 'ok 1 node' || exit 3
    printf '#include <linux/vfence.h>\\nint x = VFENCE_IOCTL_TYPE;\\n' |
        gcc -c -x c -o /tmp/x.o - && echo 'ok 2 header' || exit 3
    ;;
fail) echo 'not ok 1 fence'; exit 3 ;;
skip) echo 'ok 1 fence # SKIP no reason' ;;
log) echo '<4>WARNING: of the test' > /dev/kmsg; dmesg --clear; echo 'ok 1 fence' ;;
slow) sleep 100 & sleep 200 ;;
die) echo c > /proc/sysrq-trigger; sleep 100 ;;
esac
"""


class Case(typing.NamedTuple):
    """A run: the script's argument, options, and the exit status and a line that it must have."""
    argument: str
    options: list
    status: int
    line: str = ""


CASES = [
    Case("pass", ["--user", "render", "--param", "watchdog_ms=1500", "--env", "out=host",
                  "--junit", _REPORT], 0),
    Case("fail", [], 3),
    Case("skip", [], 1, "vfence-vm: every test was skipped"),
    Case("log", [], 1, r"vfence-vm: kernel log: .*WARNING: of the test"),
    Case("slow", ["--timeout", "3"], 124, "vfence-vm: the command did not end within"),
    Case("die", [], 125, "vfence-vm: the guest died: .*Kernel panic"),
    Case("parameter", ["--param", "no_such=1"], 125, "vfence-vm: .* no parameter no_such; it has:"),
]


def _report_problem(directory):
    """Returns what is wrong with the JUnit file of the case `pass`; None if it is right."""
    try:
        cases = [case.get("name") for case in
                 xml.parse(os.path.join(directory, _REPORT)).iter("testcase")]
    except (OSError, xml.ParseError) as error:
        return f"{_REPORT}: {error}"
    expected = ["node", "header", "command", "guest", "results"]
    return None if cases == expected else f"{_REPORT} has the cases {cases}"


def _problem(case, directory):
    """Runs `case` in `directory` and returns (what is wrong or None, the output)."""
    words = [_COMMAND, "run", "--root", root.path(), *case.options,
             "--", "sh", "check", case.argument]
    try:
        done = subprocess.run(words, cwd=directory, stdin=subprocess.DEVNULL, timeout=_LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired as error:
        return f"did not end within {_LIMIT} s", (error.stdout or b"").decode(errors="replace")
    output = done.stdout.decode(errors="replace")
    if done.returncode != case.status:
        return f"exit status {done.returncode}, not {case.status}", output
    if case.line and not re.search(f"^{case.line}", output, re.MULTILINE):
        return f"no line '{case.line}'", output
    return (_report_problem(directory) if _REPORT in case.options else None), output


def suites():
    """Yields the suite."""
    suite = ktap.Suite("vfence-vm")
    with tempfile.TemporaryDirectory(prefix="vfence-project-") as directory, \
            Step("vfence-vm", f"{len(CASES)} runs"):
        try:
            # Not within the time limit of a run.
            vm_kit.stages("stock")
        except Failure as failure:
            suite.fail("stages", str(failure))
            yield suite
            return
        # The case `pass` runs as an ordinary user.
        os.chmod(directory, 0o755)
        path = os.path.join(directory, "check")
        with open(path, "w") as out:
            out.write(_SCRIPT)
        os.chmod(path, 0o755)
        for case in CASES:
            try:
                problem, output = _problem(case, directory)
            except Failure as failure:
                problem, output = str(failure), ""
            suite.results.append(ktap.Result(case.argument, "failed" if problem else "passed",
                                             problem or ""))
            if problem:
                suite.output += output
    yield suite
