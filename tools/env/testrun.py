# SPDX-License-Identifier: GPL-2.0
"""`make test`: the checks of the sources and the suites in the guests; or the clients.

Two lanes run side by side: the checks and the guests with Debian's kernels, and those whose kernels
have checkers. The report is one KTAP document in a fixed order; its last line has the totals. A
build that fails, a guest that dies and a suite that did not run each are a failed result of their
own.
"""

import contextlib
import functools
import glob
import json
import os
import shlex
import shutil
import subprocess
import typing

import archive
import build
import cache
import ci_calls
import clients
import columns
import container
import coverage
import deb_test
import example
import guest
import imports
import inside
import kernel
import klog
import ktap
import lanes
import refusals
import tutorial
import uapi
import vmtest
from report import Failure, Step, count_lines, out, read_text

# The kernels that run suites.
KERNELS = [name for name in kernel.KERNELS if name != "bench"]
# Without KERNEL, these run all suites, and the other kernels of Debian those with the word smoke.
_WHOLE = ["stock", "debug"]
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
    # The search path of the programs.
    path: str
    suites: str = _SUITES
    # Options of the guest.
    options: dict = {}
    # Whether only the suites with the word smoke run.
    smoke: bool = False


# Kernels with checkers are slower. Two guests at a time slow each other down.
_GUESTS = {name: _Guest(name, name, *((300, 5400) if kernel.KERNELS[name].own else (120, 2400)),
                        build.path(name)) for name in KERNELS}

_SCRIPT = """
export PATH={path} HOME=/root LC_ALL=C.UTF-8
cd {checkout}
python3 {inside} {name} {suites} {words} {results} {limit} {modules}
status=$?
echo '{sentinel}' > /dev/kmsg
exit $status
"""


def _rust_files():
    pattern = os.path.join(build.CHECKOUT, "rust", "**", "*.rs")
    return sorted(glob.glob(pattern, recursive=True))


def _host_suites():
    """Yields the suites that need no guest of their own."""
    status, output = build.check(["python3", "-m", "unittest", "discover", "-v",
                                  "-s", "tools/env/tests", "-t", "tools/env"])
    yield ktap.parse("environment", output, status)
    yield imports.suite(build.CHECKOUT)
    yield uapi.suite()
    yield columns.suite(build.CHECKOUT)
    yield refusals.suite(build.CHECKOUT)
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
    yield from vmtest.suites()
    yield from ci_calls.suites()
    yield from example.suites()


def _programs(one):
    """Returns the programs of its list that the _Guest `one` runs; fails if there are none."""
    path = one.suites
    try:
        with open(path) as text:
            programs = [suite.program
                        for suite in inside.suites(text.read(), one.name, one.smoke)]
    except (FileNotFoundError, ValueError) as error:
        raise Failure(f"the list of suites: {error}") from error
    if not programs:
        raise Failure(f"the list of suites is empty: {path}")
    return programs


def _program_suites(guest_name, programs, directory):
    """Yields a suite for each of `programs`; one that did not run has failed."""
    records = {}
    for line in read_text(os.path.join(directory, "results")).splitlines():
        record = json.loads(line)
        records[record["name"]] = record
    for program in programs:
        name = f"{guest_name}.{program}"
        output = read_text(os.path.join(directory, f"{program}.log"))
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
        yield ktap.parse(f"{name}.{os.path.basename(path)[:-4]}", read_text(path))
    if not logs:
        suite = ktap.Suite(f"{name}.kunit")
        suite.fail("results", "the module reported no KUnit results")
        yield suite
    path = os.path.join(directory, "kmemleak.log")
    leaks = read_text(path) if os.path.exists(path) else "kmemleak was not read"
    yield ktap.command(f"{name}.kmemleak", leaks, 1 if leaks.strip() else 0)


def _guest_suites(one):
    """Yields the suites that run in the _Guest `one`, and the check of its log."""
    name = one.name
    try:
        programs = _programs(one)
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
        words="smoke" if one.smoke else "all",
        modules=shlex.join(modules), results=shlex.quote(directory),
        limit=one.suite_limit, sentinel=guest.SENTINEL)
    died = None
    results = os.path.join(directory, "results")
    with open(os.path.join(directory, "driver.log"), "wb") as said, \
            Step(f"{name} guest", f"{len(programs)} suites",
                 progress=lambda: f"{count_lines(results)} suites done"):
        try:
            status = guest.boot(one.kernel, script, console, binds=build.HERE, verbose=True,
                                timeout=one.limit, out=said, err=said,
                                stdin=subprocess.DEVNULL, **one.options)
        except Failure as failure:
            status, died = 0, str(failure)
    yield from _program_suites(name, programs, directory)
    if kernel.KERNELS[one.kernel].own:
        yield from _debug_suites(name, directory)
    log = read_text(console)
    suite = ktap.Suite(f"{name}.log", [ktap.Result("ended", "passed")],
                       "\n".join(log.splitlines()[-60:]))
    if died:
        suite.fail("boot", died)
    elif status is None:
        suite.fail("time", f"the guest ran for more than {one.limit} s")
    elif status:
        text = read_text(os.path.join(directory, "driver.log"))
        suite.fail("driver", f"exit status {status}: {' '.join(text.split())}")
    for problem in klog.judge(log, guest.SENTINEL):
        suite.fail("line", problem)
    yield suite


def _guests(word):
    """Returns the _Guests that run with KERNEL=`word`: a kernel, "all", or None for the default."""
    if word not in (None, "all"):
        return [_GUESTS[word]]
    if word:
        return list(_GUESTS.values())
    return [one._replace(smoke=one.name not in _WHOLE) for one in _GUESTS.values()
            if one.name in _WHOLE or not kernel.KERNELS[one.kernel].own]


def _lane(guests, first=()):
    """Yields the suites of the functions `first`, then those of `guests`."""
    for suites in first:
        yield from suites()
    for one in guests:
        yield from _guest_suites(one)


def _unavailable(one):
    """Makes the kernel of the _Guest `one`; returns a suite if it cannot or need not be tested."""
    try:
        kernel.tree(one.kernel)
        kernel.guest_root(one.kernel)
    except Failure as failure:
        # A kernel that the user asked for, or that runs all suites, must not be skipped.
        if one.smoke and isinstance(failure, archive.Gone):
            return _skipped(one, str(failure))
        return ktap.command(f"{one.name}.guest", str(failure), 1)
    if one.smoke and kernel.release(one.kernel) == kernel.release():
        return _skipped(one, f"{kernel.release()} is the stock kernel")
    return None


def _skipped(one, reason):
    """Returns the suite of the _Guest `one`, which does not run."""
    return ktap.Suite(f"{one.name}.guest", [ktap.Result("boot", "skipped", reason)])


def _all(word):
    """Yields the suites of `make test` with KERNEL=`word`."""
    guests = _guests(word)
    # First what takes both CPUs, for guests would be slow beside it.
    available = {}
    for one in guests:
        problem = _unavailable(one)
        if problem:
            yield problem
        else:
            available.setdefault(kernel.KERNELS[one.kernel].architecture, []).append(one)
    checked, others = [], []
    for same in available.values():
        try:
            build.programs(same[0].kernel)
        except Failure as failure:
            # The guests would judge the programs of an earlier build.
            yield ktap.command("programs", str(failure), 1)
            continue
        for one in same:
            (checked if kernel.KERNELS[one.kernel].own else others).append(one)
    parts = [functools.partial(_lane, others, [_host_suites]), functools.partial(_lane, checked)]
    for suite in lanes.run(parts):
        if isinstance(suite, lanes.Died):
            suite = ktap.command("lane", str(suite), 1)
        yield suite


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
            suite, "stock", 600, 2400, build.CLIENT_PATH, _CLIENT_SUITES, options))


def run(word):
    """Runs all suites with KERNEL=`word`, prints the report and returns the exit status."""
    return _report(_all(word))


def run_clients():
    """Runs the suites with clients, prints the report and returns the exit status."""
    return _report(_clients())


def run_packages():
    """Installs the packages of `make deb`, prints the report and returns the exit status."""
    return _report(deb_test.suites())


def run_tutorial():
    """Follows the tutorial, prints the report and returns the exit status."""
    return _report(tutorial.suites())


def run_container():
    """Builds and tries the container image, prints the report and returns the exit status."""
    return _report(container.suites())


def _report(found):
    os.makedirs(build.BUILD, exist_ok=True)
    with cache.lock(os.path.join(build.BUILD, "test.lock"), "testing this checkout"):
        return _print(found)


def _print(found):
    suites = []
    out("KTAP version 1")
    with contextlib.closing(found):
        for suite in found:
            suites.append(suite)
            out(ktap.render(len(suites), suite))
    out(f"1..{len(suites)}")
    line, passed = ktap.totals(suites)
    out(line)
    return 0 if passed else 1
