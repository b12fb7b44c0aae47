# SPDX-License-Identifier: GPL-2.0
"""`make test`: the checks of the sources, then every suite in both guests.

The report is one KTAP document; its last line has the totals. A build that fails, a guest that
dies and a suite that did not run each are a failed result of their own.
"""

import glob
import json
import os
import shlex
import shutil
import subprocess

import build
import cache
import columns
import coverage
import guest
import imports
import inside
import klog
import ktap
import uapi
from report import Failure, Step, count_lines

KERNELS = inside.KERNELS
_SUITES = os.path.join(build.CHECKOUT, "selftests", "suites")
_HERE = os.path.dirname(os.path.abspath(__file__))
# Time limits of one suite and of the whole guest, in seconds.
_SUITE_LIMIT = {"stock": 120, "debug": 300}
_GUEST_LIMIT = {"stock": 1200, "debug": 3300}

_SCRIPT = """
export PATH={path} HOME=/root LC_ALL=C.UTF-8
cd {checkout}
python3 {inside} {kernel} {suites} {results} {limit} {modules}
status=$?
echo '{sentinel}' > /dev/kmsg
exit $status
"""


def _rust_files():
    pattern = os.path.join(build.CHECKOUT, "rust", "**", "*.rs")
    return sorted(glob.glob(pattern, recursive=True))


def _host_suites():
    """Yields the suites that need no guest."""
    status, output = build.check(["python3", "-m", "unittest", "discover", "-v",
                                  "-s", "tools/env/tests", "-t", "tools/env"])
    yield ktap.parse("environment", output, status)
    yield imports.suite(build.CHECKOUT)
    yield uapi.suite()
    yield columns.suite(build.CHECKOUT)
    test = ["cargo", "test", "--workspace", "--exclude", coverage.PACKAGE, "--locked"]
    status, output = build.check([*test, "--quiet", "--no-run"])
    if status:
        yield ktap.command("cargo-test", output, status)
    else:
        status, output = build.check(test)
        yield ktap.parse("cargo-test", output, status)
    yield from coverage.suites()
    for name, command in (
            ("cargo-fmt", ["cargo", "fmt", "--all", "--check"]),
            ("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--",
                        "-D", "warnings"]),
            ("rustfmt", ["rustfmt", "--check", "--edition", "2021", *_rust_files()]),
            ("headers", ["make", "-C", "selftests", "header-check"])):
        status, output = build.check(command)
        yield ktap.command(name, output, status)


def _read(path):
    try:
        with open(path, errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


def _programs(kernel):
    """Returns the programs that run in the guest of kernel `kernel`; fails if there are none."""
    try:
        with open(_SUITES) as text:
            programs = [suite.program for suite in inside.suites(text.read(), kernel)]
    except (FileNotFoundError, ValueError) as error:
        raise Failure(f"the list of suites: {error}") from error
    if not programs:
        raise Failure(f"the list of suites is empty: {_SUITES}")
    return programs


def _program_suites(kernel, programs, directory):
    """Yields a suite for each of `programs`; one that did not run has failed."""
    records = {}
    for line in _read(os.path.join(directory, "results")).splitlines():
        record = json.loads(line)
        records[record["name"]] = record
    for program in programs:
        name = f"{kernel}.{program}"
        output = _read(os.path.join(directory, f"{program}.log"))
        if program not in records:
            suite = ktap.Suite(name, output=output)
            suite.fail("run", "the guest ended before this suite did")
        else:
            suite = ktap.parse(name, output, records[program]["status"])
            for problem in records[program]["problems"]:
                suite.fail("run", problem)
        yield suite


def _debug_suites(directory):
    """Yields the suites that only the debug kernel has: KUnit and kmemleak."""
    logs = sorted(glob.glob(os.path.join(directory, "kunit-*.log")))
    for path in logs:
        yield ktap.parse(f"debug.{os.path.basename(path)[:-4]}", _read(path))
    if not logs:
        suite = ktap.Suite("debug.kunit")
        suite.fail("results", "the module reported no KUnit results")
        yield suite
    path = os.path.join(directory, "kmemleak.log")
    leaks = _read(path) if os.path.exists(path) else "kmemleak was not read"
    yield ktap.command("debug.kmemleak", leaks, 1 if leaks.strip() else 0)


def _guest_suites(kernel):
    """Yields the suites that run in the guest of kernel `kernel`, and the check of its log."""
    try:
        programs = _programs(kernel)
        modules = build.modules(kernel)
    except Failure as failure:
        yield ktap.command(f"{kernel}.guest", str(failure), 1)
        return
    directory = os.path.join(build.results(kernel), "results")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    console = os.path.join(build.results(kernel), "console.log")
    # If the emulator does not start, the log of an earlier guest must not count.
    open(console, "w").close()
    script = _SCRIPT.format(
        kernel=kernel, path=shlex.quote(build.PATH), checkout=shlex.quote(build.CHECKOUT),
        inside=shlex.quote(os.path.join(_HERE, "inside.py")), suites=shlex.quote(_SUITES),
        modules=shlex.join(modules), results=shlex.quote(directory),
        limit=_SUITE_LIMIT[kernel], sentinel=guest.SENTINEL)
    died = None
    results = os.path.join(directory, "results")
    with open(os.path.join(directory, "driver.log"), "wb") as out, \
            Step(f"{kernel} guest", f"{len(programs)} suites",
                 progress=lambda: f"{count_lines(results)} suites done"):
        try:
            status = guest.boot(kernel, script, console, binds=build.HERE, verbose=True,
                                timeout=_GUEST_LIMIT[kernel], out=out, err=out,
                                stdin=subprocess.DEVNULL)
        except Failure as failure:
            status, died = 0, str(failure)
    yield from _program_suites(kernel, programs, directory)
    if kernel == "debug":
        yield from _debug_suites(directory)
    log = _read(console)
    suite = ktap.Suite(f"{kernel}.log", [ktap.Result("ended", "passed")],
                       "\n".join(log.splitlines()[-60:]))
    if died:
        suite.fail("boot", died)
    elif status is None:
        suite.fail("time", f"the guest ran for more than {_GUEST_LIMIT[kernel]} s")
    elif status:
        said = _read(os.path.join(directory, "driver.log"))
        suite.fail("driver", f"exit status {status}: {' '.join(said.split())}")
    for problem in klog.judge(log, guest.SENTINEL):
        suite.fail("line", problem)
    yield suite


def _all(kernels):
    yield from _host_suites()
    try:
        build.programs()
    except Failure as failure:
        yield ktap.command("programs", str(failure), 1)
    for kernel in kernels:
        yield from _guest_suites(kernel)


def run(kernels):
    """Runs all suites, prints the report and returns the exit status."""
    os.makedirs(build.BUILD, exist_ok=True)
    with cache.lock(os.path.join(build.BUILD, "test.lock"), "testing this checkout"):
        return _run(kernels)


def _run(kernels):
    suites = []
    print("KTAP version 1", flush=True)
    for suite in _all(kernels):
        suites.append(suite)
        print(ktap.render(len(suites), suite), flush=True)
    print(f"1..{len(suites)}")
    line, passed = ktap.totals(suites)
    print(line, flush=True)
    return 0 if passed else 1
