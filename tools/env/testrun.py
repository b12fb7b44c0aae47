# SPDX-License-Identifier: GPL-2.0
"""`make test`: the checks of the sources, then every suite in both guests; or the clients.

The report is one KTAP document; its last line has the totals. A build that fails, a guest that
dies and a suite that did not run each are a failed result of their own.
"""

import glob
import json
import os
import shlex
import shutil
import subprocess
import typing

import build
import cache
import clients
import columns
import coverage
import guest
import imports
import inside
import kernel
import klog
import ktap
import uapi
from report import Failure, Step, count_lines

# The kernels that run suites.
KERNELS = [name for name in kernel.KERNELS if name != "bench"]
# Those of `make test` without KERNEL.
DEFAULT = ["stock", "debug"]
_SUITES = os.path.join(build.CHECKOUT, "selftests", "suites")
_CLIENT_SUITES = os.path.join(build.CHECKOUT, "selftests", "clients", "suites")
_HERE = os.path.dirname(os.path.abspath(__file__))


class _Guest(typing.NamedTuple):
    """A guest and the list of suites that it runs."""
    # The prefix of the suites' names, and the word of `only=` in the list.
    name: str
    kernel: str
    # Time limits of one suite and of the whole guest, in seconds.
    suite_limit: int
    limit: int
    suites: str = _SUITES
    path: str = build.PATH
    # Options of the guest.
    options: dict = {}


# Kernels with checkers are slower.
_GUESTS = {name: _Guest(name, name, 300, 3300) if kernel.KERNELS[name].own
           else _Guest(name, name, 120, 1200) for name in KERNELS}

_SCRIPT = """
export PATH={path} HOME=/root LC_ALL=C.UTF-8
cd {checkout}
python3 {inside} {name} {suites} {results} {limit} {modules}
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


def _programs(name, path):
    """Returns the programs of the list `path` that guest `name` runs; fails if there are none."""
    try:
        with open(path) as text:
            programs = [suite.program for suite in inside.suites(text.read(), name)]
    except (FileNotFoundError, ValueError) as error:
        raise Failure(f"the list of suites: {error}") from error
    if not programs:
        raise Failure(f"the list of suites is empty: {path}")
    return programs


def _program_suites(guest_name, programs, directory):
    """Yields a suite for each of `programs`; one that did not run has failed."""
    records = {}
    for line in _read(os.path.join(directory, "results")).splitlines():
        record = json.loads(line)
        records[record["name"]] = record
    for program in programs:
        name = f"{guest_name}.{program}"
        output = _read(os.path.join(directory, f"{program}.log"))
        if program not in records:
            suite = ktap.Suite(name, output=output)
            suite.fail("run", "the guest ended before this suite did")
        else:
            suite = ktap.parse(name, output, records[program]["status"])
            for problem in records[program]["problems"]:
                suite.fail("run", problem)
        yield suite


def _debug_suites(name, directory):
    """Yields the suites that only kernels with checkers have: KUnit and kmemleak."""
    logs = sorted(glob.glob(os.path.join(directory, "kunit-*.log")))
    for path in logs:
        yield ktap.parse(f"{name}.{os.path.basename(path)[:-4]}", _read(path))
    if not logs:
        suite = ktap.Suite(f"{name}.kunit")
        suite.fail("results", "the module reported no KUnit results")
        yield suite
    path = os.path.join(directory, "kmemleak.log")
    leaks = _read(path) if os.path.exists(path) else "kmemleak was not read"
    yield ktap.command(f"{name}.kmemleak", leaks, 1 if leaks.strip() else 0)


def _guest_suites(one):
    """Yields the suites that run in the _Guest `one`, and the check of its log."""
    name = one.name
    try:
        programs = _programs(name, one.suites)
        modules = build.modules(one.kernel)
    except Failure as failure:
        yield ktap.command(f"{name}.guest", str(failure), 1)
        return
    directory = os.path.join(build.results(name), "results")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    console = os.path.join(build.results(name), "console.log")
    # If the emulator does not start, the log of an earlier guest must not count.
    open(console, "w").close()
    script = _SCRIPT.format(
        name=name, path=shlex.quote(one.path), checkout=shlex.quote(build.CHECKOUT),
        inside=shlex.quote(os.path.join(_HERE, "inside.py")), suites=shlex.quote(one.suites),
        modules=shlex.join(modules), results=shlex.quote(directory),
        limit=one.suite_limit, sentinel=guest.SENTINEL)
    died = None
    results = os.path.join(directory, "results")
    with open(os.path.join(directory, "driver.log"), "wb") as out, \
            Step(f"{name} guest", f"{len(programs)} suites",
                 progress=lambda: f"{count_lines(results)} suites done"):
        try:
            status = guest.boot(one.kernel, script, console, binds=build.HERE, verbose=True,
                                timeout=one.limit, out=out, err=out,
                                stdin=subprocess.DEVNULL, **one.options)
        except Failure as failure:
            status, died = 0, str(failure)
    yield from _program_suites(name, programs, directory)
    if kernel.KERNELS[one.kernel].own:
        yield from _debug_suites(name, directory)
    log = _read(console)
    suite = ktap.Suite(f"{name}.log", [ktap.Result("ended", "passed")],
                       "\n".join(log.splitlines()[-60:]))
    if died:
        suite.fail("boot", died)
    elif status is None:
        suite.fail("time", f"the guest ran for more than {one.limit} s")
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
    for name in kernels:
        yield from _guest_suites(_GUESTS[name])


def _clients():
    """Yields the suites with the clients of each distribution."""
    try:
        build.client_programs()
    except Failure as failure:
        # The suites would judge the programs of an earlier build.
        yield ktap.command("clients", str(failure), 1)
        return
    for suite in clients.SUITES:
        try:
            options = {"root": clients.path(suite), "qemu": clients.QEMU}
        except Failure as failure:
            yield ktap.command(f"{suite}.guest", str(failure), 1)
            continue
        yield from _guest_suites(_Guest(
            suite, "stock", 600, 2400, _CLIENT_SUITES, build.CLIENT_PATH, options))


def run(kernels):
    """Runs all suites, prints the report and returns the exit status."""
    return _report(_all(kernels))


def run_clients():
    """Runs the suites with clients, prints the report and returns the exit status."""
    return _report(_clients())


def _report(found):
    os.makedirs(build.BUILD, exist_ok=True)
    with cache.lock(os.path.join(build.BUILD, "test.lock"), "testing this checkout"):
        return _print(found)


def _print(found):
    suites = []
    print("KTAP version 1", flush=True)
    for suite in found:
        suites.append(suite)
        print(ktap.render(len(suites), suite), flush=True)
    print(f"1..{len(suites)}")
    line, passed = ktap.totals(suites)
    print(line, flush=True)
    return 0 if passed else 1
