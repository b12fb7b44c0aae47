# SPDX-License-Identifier: GPL-2.0
"""Reads the output of test programs and prints it as one KTAP document.

The formats are KTAP or TAP (kselftest, KUnit), that of the Rust test harness and that of Python's
unittest. A program that prints no result has failed.
"""

import re
from dataclasses import dataclass, field

_BAIL = re.compile(r"^ *Bail out!\s*(.*)$")
_RESULT = re.compile(r"^( *)(not ok|ok)\b\s*(\d+)?\s*-?\s*([^#]*?)\s*(?:#\s*(.*))?$")
_PLAN = re.compile(r"^( *)1\.\.(\d+)\s*(?:#\s*(.*))?$")
_STAMP = re.compile(r"^\[\s*\d+\.\d+\] ?")
_LIBTEST = re.compile(r"^test (.+?) +\.\.\. (ok|FAILED|ignored)\b,?\s*(.*)$")
# The output of a test comes between its name and its result.
_LIBTEST_NAME = re.compile(r"^test (.+?) +\.\.\. ")
_LIBTEST_RESULT = re.compile(r"^(ok|FAILED|ignored)\b,?\s*(.*)$")
_LIBTEST_WORDS = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
_LIBTEST_PLAN = re.compile(r"^running (\d+) tests?$")
# A measurement that a test prints and does not check.
_MEASURED = re.compile(r"^(?:test .+ \.\.\. )?(measured: .+)$")
_UNITTEST = re.compile(r"^(test\w*) \(([\w.]+)\).* \.\.\. (ok|FAIL|ERROR|skipped)\b\s*(.*)$")


@dataclass
class Result:
    """One test case: its name, "passed", "failed" or "skipped", and the reason."""
    name: str
    status: str
    reason: str = ""


@dataclass
class Suite:
    """The results and measurements of one program, and its output."""
    name: str
    results: list = field(default_factory=list)
    output: str = ""
    measured: list = field(default_factory=list)

    def fail(self, name, reason=""):
        """Adds a failure that the program did not report."""
        self.results.append(Result(name, "failed", reason))

    @property
    def status(self):
        """The status of the suite; without any result it has failed."""
        if not self.results or any(r.status == "failed" for r in self.results):
            return "failed"
        return "skipped" if all(r.status == "skipped" for r in self.results) else "passed"


def _directive(word, comment):
    """Returns (status, reason) of a KTAP result line."""
    comment = comment or ""
    if comment.upper().startswith("SKIP"):
        return "skipped", comment[4:].strip()
    if word == "ok":
        return "passed", ""
    # TAP's word for a test that is expected to fail.
    if comment.upper().startswith("TODO"):
        return "skipped", comment
    return "failed", comment


class _Reader:
    """Collects KTAP results, which may be nested; only the leaves count.

    The line of a parent follows those of its children and is indented less.
    """

    def __init__(self):
        self.levels = {}
        self.plans = {}
        self.problems = []

    def plan(self, indent, count, comment):
        self.plans[indent] = count
        if count == 0 and (comment or "").upper().startswith("SKIP"):
            self.levels.setdefault(indent, []).append(
                [Result("all", "skipped", comment[4:].strip())])
            self.plans[indent] = 1

    def result(self, indent, word, name, comment):
        status, reason = _directive(word, comment)
        deeper = sorted(level for level in self.levels if level > indent)
        children = []
        for level in deeper:
            children += self._close(level)
        leaves = [Result(f"{name}.{c.name}", c.status, c.reason) for c in children]
        if not leaves:
            leaves = [Result(name, status, reason)]
        elif status == "failed" and all(c.status != "failed" for c in leaves):
            leaves.append(Result(name, "failed", reason or "failed, though its cases passed"))
        self.levels.setdefault(indent, []).append(leaves)

    def _close(self, level):
        groups = self.levels.pop(level)
        planned = self.plans.pop(level, None)
        if planned is not None and planned != len(groups):
            self.problems.append(f"planned {planned} results, printed {len(groups)}")
        return [leaf for group in groups for leaf in group]

    def finish(self):
        for level in set(self.plans) - set(self.levels):
            if self.plans[level]:
                self.problems.append(f"planned {self.plans[level]} results, printed none")
        leaves = []
        for level in sorted(self.levels):
            leaves += self._close(level)
        return leaves


def read(name, output):
    """Returns the Suite `name` of the results in `output`, which may have none."""
    suite = Suite(name, output=output)
    reader = _Reader()
    planned, printed = None, 0
    running = None
    for raw in output.splitlines():
        line = _STAMP.sub("", raw)
        if match := _MEASURED.match(line):
            suite.measured.append(match.group(1))
        if match := _LIBTEST_PLAN.match(line):
            planned = (planned or 0) + int(match.group(1))
        elif match := _LIBTEST.match(line):
            word = _LIBTEST_WORDS[match.group(2)]
            suite.results.append(Result(match.group(1), word, match.group(3)))
            printed += 1
            running = None
        elif match := _LIBTEST_NAME.match(line):
            running = match.group(1)
        elif running and (match := _LIBTEST_RESULT.match(line)):
            word = _LIBTEST_WORDS[match.group(1)]
            suite.results.append(Result(running, word, match.group(2)))
            printed += 1
            running = None
        elif match := _UNITTEST.match(line):
            word = {"ok": "passed", "skipped": "skipped"}.get(match.group(3), "failed")
            suite.results.append(Result(match.group(2), word, match.group(4)))
        elif match := _PLAN.match(line):
            reader.plan(len(match.group(1)), int(match.group(2)), match.group(3))
        elif match := _RESULT.match(line):
            reader.result(len(match.group(1)), match.group(2), match.group(4), match.group(5))
        elif match := _BAIL.match(line):
            suite.fail("bail out", match.group(1))
    if planned is not None and planned != printed:
        reader.problems.append(f"planned {planned} results, printed {printed}")
    suite.results += reader.finish()
    for problem in reader.problems:
        suite.fail("plan", problem)
    return suite


def parse(name, output, status=0):
    """Returns the Suite `name` that printed `output` and ended with exit `status`."""
    suite = read(name, output)
    if not suite.results:
        suite.fail("results", "printed no test results")
    # A kselftest ends with 4 if all its cases were skipped.
    if status and not (status == 4 and suite.status == "skipped") and suite.status != "failed":
        suite.fail("exit", f"exit status {status}")
    return suite


def command(name, output, status):
    """Returns the Suite of a command, with one result for its exit status."""
    result = Result(name, "failed" if status else "passed",
                    f"exit status {status}" if status else "")
    return Suite(name, [result], output)


def problems(name, checks):
    """Returns the Suite `name` of `checks`, which maps each check to its problems, a line each."""
    suite = Suite(name)
    for check, found in checks.items():
        suite.results += [Result(check, "failed", problem) for problem in found]
        if not found:
            suite.results.append(Result(check, "passed"))
    return suite


def _line(number, name, status, reason):
    name = name.replace("#", "_")
    text = f"{'not ok' if status == 'failed' else 'ok'} {number} {name}"
    if status == "skipped":
        return f"{text} # SKIP {reason}".rstrip()
    return f"{text} # {reason}" if reason else text


def render(number, suite):
    """Returns `suite` as KTAP subtest `number`; if it failed, with the end of its output."""
    lines = ["    KTAP version 1", f"    1..{len(suite.results)}"]
    for index, result in enumerate(suite.results, 1):
        lines.append("    " + _line(index, result.name, result.status, result.reason))
    lines += [f"    # {line}" for line in suite.measured]
    if suite.status == "failed":
        lines += [f"# {line}" for line in suite.output.splitlines()[-200:]]
    lines.append(_line(number, suite.name, suite.status, ""))
    return "\n".join(lines)


def totals(suites):
    """Returns the line of totals, and whether the whole run passed."""
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for suite in suites:
        for result in suite.results:
            count[result.status] += 1
    line = f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"
    return line, count["failed"] == 0 and count["passed"] > 0
