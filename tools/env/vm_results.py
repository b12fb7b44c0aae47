# SPDX-License-Identifier: GPL-2.0
"""The results of the tests that a command of `vfence-vm` has run, and their report.

Results come from the command's output, in a format of ktap.py or as meson, ctest or gtest print
them, and from JUnit files that the command has written. The report is KTAP or JUnit.
"""

import os
import re
import xml.etree.ElementTree as xml

import ktap
from report import Failure

# The lines of TAP that are not nested.
_TAP = re.compile(r"(?P<version>K?TAP version )|1\.\.(?P<plan>\d+)\b|(?P<result>(not )?ok\b)")
# A line of `meson test`, such as "1/3 suite:name    OK    0.02s".
_MESON = re.compile(r"^ *\d+/\d+ (.+?) +(OK|EXPECTEDFAIL|SKIP|FAIL|UNEXPECTEDPASS|ERROR|TIMEOUT|"
                    r"INTERRUPT|IGNORED) +\d+\.\d+s?\b *(.*)$")
# A line of `ctest`, such as "1/3 Test #1: name ....   Passed    0.01 sec".
# A program that is missing is "Not Run" too, and has failed.
_CTEST = re.compile(r"^ *\d+/\d+ +Test +#\d+: (\S+) \.* *(?:\*\*\*)?(Passed|Skipped|"
                    r"Not Run \(Disabled\)|Not Run|Failed|Timeout|Exception)(?!\w)(.*)$")
# The line with which gtest ends a test, such as "[       OK ] Suite.name (3 ms)".
_GTEST = re.compile(r"^\[ +(OK|SKIPPED|FAILED) +\] ([^ ,]+)(?:, (.*))? \(\d+ ms\)$")
_PASSED = ("OK", "EXPECTEDFAIL", "Passed")
_SKIPPED = ("SKIP", "SKIPPED", "IGNORED", "Skipped", "Not Run (Disabled)")
# The characters that XML cannot hold.
_CONTROL = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The end of the command's output that a JUnit file has.
_OUTPUT = 64 << 10


class Tee:
    """A file that also keeps what is written to it."""

    def __init__(self, sink):
        self._sink = sink
        self._blocks = []

    def write(self, block):
        self._blocks.append(block)
        return self._sink.write(block)

    def flush(self):
        self._sink.flush()

    def text(self):
        """Returns what was written."""
        return b"".join(self._blocks).decode(errors="replace")


def _result(name, word, reason):
    status = "passed" if word in _PASSED else "skipped" if word in _SKIPPED else "failed"
    return ktap.Result(name, status, "" if status == "passed" else reason.strip())


def _documents(output):
    """Yields the parts of `output` that are a TAP document each: a command may run many programs.

    A document ends when it has as many results as its plan says, or when another begins.
    """
    part, plan, results = [], None, 0
    for line in output.splitlines(keepends=True):
        match = _TAP.match(line)
        full = plan is not None and results >= plan
        begins = match and (match.group("version") or (match.group("plan") and plan is not None))
        if match and (full or begins):
            yield "".join(part)
            part, plan, results = [], None, 0
        if match and match.group("plan"):
            plan = int(match.group("plan"))
        elif match and match.group("result"):
            results += 1
        part.append(line)
    yield "".join(part)


def read_output(name, output):
    """Returns the Suites of the results in `output`, one for each format that it has.

    A runner such as ctest prints results of its own beside those of the programs that it runs.
    """
    tap, *others = suites = [ktap.Suite(f"{name} ({form})" if form else name, output=output)
                             for form in ("", "meson", "ctest", "gtest")]
    meson, ctest, gtest = others
    for document in _documents(output):
        tap.results += ktap.read(name, document).results
    for line in output.splitlines():
        if match := _MESON.match(line):
            meson.results.append(_result(*match.groups()))
        elif match := _CTEST.match(line):
            ctest.results.append(_result(*match.groups()))
        elif match := _GTEST.match(line):
            word, case, reason = match.groups()
            gtest.results.append(_result(case, word, reason or ""))
    return [suite for suite in suites if suite.results]


def read_junit(path):
    """Returns the Suite of the JUnit file `path`; one that cannot be read has failed."""
    suite = ktap.Suite(os.path.basename(path))
    try:
        cases = list(xml.parse(path).iter("testcase"))
    except (OSError, xml.ParseError) as error:
        suite.fail("results", f"{path}: {error}")
        return suite
    if not cases:
        suite.fail("results", f"{path} has no tests")
    for case in cases:
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        failure = next((child for child in case if child.tag in ("failure", "error")), None)
        skipped = case.find("skipped")
        if failure is not None:
            suite.fail(name, _first_line(failure))
        elif skipped is not None or case.get("status") == "notrun":
            reason = _first_line(skipped) if skipped is not None else ""
            suite.results.append(ktap.Result(name, "skipped", reason))
        else:
            suite.results.append(ktap.Result(name, "passed"))
    return suite


def _first_line(element):
    text = element.get("message") or element.text or ""
    return next(iter(text.strip().splitlines()), "")


def stamp(path):
    """Returns what changes when a program writes the file `path`; None if there is no such file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def read_files(stamps):
    """Returns the Suites of JUnit files; `stamps` maps their paths to stamps before the run.

    A file that the run has not written has failed: its results are those of another run.
    """
    suites = []
    for path, before in stamps.items():
        if stamp(path) in (None, before):
            suite = ktap.Suite(os.path.basename(path))
            suite.fail("results", f"the command has not written {path}")
            suites.append(suite)
        else:
            suites.append(read_junit(path))
    return suites


def judge(suites, status, wanted):
    """Returns the problems of a run whose command ended with exit `status`, a line each.

    A run without tests has failed if results are `wanted`, and one with a suite whose tests were
    all skipped in any case: the results of a runner must not hide that the programs which it ran
    have tested nothing. A failed test is a problem if the command's exit status hides it.
    """
    results = [result for suite in suites for result in suite.results]
    failed = [result for result in results if result.status == "failed"]
    if not results:
        return ["no test was found in the command's output"] if wanted else []
    if all(result.status == "skipped" for result in results):
        return [f"every test was skipped ({len(results)})"]
    idle = next((suite for suite in suites if suite.status == "skipped"), None)
    if idle:
        return [f"every test of {idle.name} was skipped ({len(idle.results)})"]
    if failed and not status:
        first = f"{failed[0].name}: {failed[0].reason}" if failed[0].reason else failed[0].name
        return [f"{len(failed)} of {len(results)} tests failed, the first is {first}"]
    return []


def verdict(status, problems, judged):
    """Returns the Suite of a run itself: the command, the guest with its kernel log, the results.

    `problems` are those of the guest, `judged` those that judge() has returned.
    """
    suite = ktap.Suite("vfence-vm", output="\n".join(problems + judged))
    for name, reasons in (("command", [f"exit status {status}"] if status else []),
                          ("guest", problems), ("results", judged)):
        reason = reasons[0] if reasons else ""
        suite.results.append(ktap.Result(name, "failed" if reasons else "passed", reason))
    return suite


def write_ktap(path, suites):
    """Writes `suites` to the file `path` as KTAP."""
    lines = ["KTAP version 1", *(ktap.render(*pair) for pair in enumerate(suites, 1))]
    write_text(path, "\n".join([*lines, f"1..{len(suites)}"]))


def write_junit(path, suites):
    """Writes `suites` to the file `path` as JUnit."""
    root = xml.Element("testsuites")
    for suite in suites:
        results = suite.results
        element = xml.SubElement(root, "testsuite", {
            "name": _clean(suite.name), "tests": str(len(results)), "errors": "0",
            "failures": str(sum(result.status == "failed" for result in results)),
            "skipped": str(sum(result.status == "skipped" for result in results))})
        for result in results:
            case = xml.SubElement(element, "testcase", {"classname": _clean(suite.name),
                                                        "name": _clean(result.name)})
            if result.status != "passed":
                tag = "failure" if result.status == "failed" else "skipped"
                xml.SubElement(case, tag, {"message": _clean(result.reason)})
        if suite.output:
            xml.SubElement(element, "system-out").text = _clean(suite.output[-_OUTPUT:])
    write_text(path, "<?xml version='1.0' encoding='utf-8'?>\n" +
               xml.tostring(root, encoding="unicode"))


def _clean(text):
    return _CONTROL.sub("?", text)


def write_text(path, text):
    """Writes the lines of `text` to the file `path`.

    It belongs to the owner of the current directory: under sudo, that is the user.
    """
    try:
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"{text}\n")
            if os.geteuid() == 0 and os.path.isfile(path):
                here = os.stat(".")
                os.fchown(out.fileno(), here.st_uid, here.st_gid)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from error


def remove_reports(paths):
    """Removes the reports of an earlier run, or fails if one of `paths` cannot be written.

    The run may end before it writes its own.
    """
    for path in paths:
        # Not after the run, whose results would be lost.
        try:
            open(path, "a").close()
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}") from error
    for path in paths:
        # Not a terminal or a pipe.
        if os.path.isfile(path):
            os.unlink(path)
