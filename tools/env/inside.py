# SPDX-License-Identifier: GPL-2.0
"""Runs the suites of a list inside the guest, and loads the modules anew for each.

Arguments: the guest's name, the list, "all" or "smoke", the directory for results, the seconds that
a suite may take, the modules. The output of a suite goes to a file of its own. One line of JSON
about it goes to `results`, and reaches the disk before the next suite starts: if the guest dies,
the file shows which suites have run.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import time
import typing

import build
import clients
from kernel import KERNELS

KUNIT_FILTER = "/sys/module/kunit/parameters/filter_glob"
_KMEMLEAK = "/sys/kernel/debug/kmemleak"
# kmemleak does not report younger objects. Seconds.
_KMEMLEAK_AGE = 6

# The guests with clients, by their root file systems. Their kernel is the stock kernel.
ROOTS = clients.SUITES
# The second word of a line of the list, and the number of modules that it loads.
_LOADED = {None: 1, "misc": 1, "nomodule": 0, "drm": 2}
# The KUnit suites that run at the first load of a module. vfence_drm contains those of vfence too.
# They take ten seconds in the debug guest, so each runs once.
KUNIT = {"vfence": "*.*", "vfence_drm": "vfence_drm*"}


class Suite(typing.NamedTuple):
    """One line of the list, as it applies to a guest."""
    program: str
    # The number of modules that are loaded.
    modules: int
    # Parameters of the modules.
    parameters: list
    # The time limit; None for the default.
    seconds: int = None
    # Arguments of the program.
    arguments: tuple = ()
    # Whether an ordinary user runs the program.
    by_user: bool = False
    # Whether it belongs to the short run of a kernel.
    smoke: bool = False


# The words of a line that are not parameters of the modules.
_OPTIONS = ("only", "seconds", "debug-without", "user")
# The ids of an ordinary user and of the group render. The guest's files need not have their names.
_USER, _RENDER = 1000, 1001


def _kind(guest):
    """Returns the word of `only=` for `guest`: its root, or whether its kernel has checkers."""
    if guest in ROOTS:
        return guest
    return "debug" if KERNELS[guest].own else "stock"


def _suite(line, kind):
    """Returns the Suite of a line; None if the line is for another kind of guest."""
    program, *words = line.split()
    load, *words = words or [None]
    smoke = "smoke" in words
    words = [word for word in words if word != "smoke"]
    if load not in _LOADED or not all("=" in word for word in words):
        raise ValueError(f"bad line: {line}")
    options = dict(word.split("=", 1) for word in words if word.split("=")[0] in _OPTIONS)
    if options.get("only", kind) not in ["stock", "debug", *ROOTS]:
        raise ValueError(f"no such guest: {line}")
    if options.get("user", "render") != "render":
        raise ValueError(f"no such user: {line}")
    without = options.get("debug-without", "").split(",") if kind == "debug" else []
    suite = Suite(program, _LOADED[load],
                  [word for word in words if word.split("=")[0] not in _OPTIONS],
                  int(options["seconds"]) if "seconds" in options else None,
                  tuple(f"-V{variant}" for variant in without if variant), "user" in options,
                  smoke)
    return suite if options.get("only", kind) == kind else None


def suites(text, guest, smoke=False):
    """Returns the Suites of a list that run in `guest`; with `smoke`, those with that word.

    `only=` names the one kind of guest that runs a suite, `seconds=` sets its time limit, and
    `debug-without=` names the fixture variants that a kernel with checkers leaves out.
    `user=render` lets an ordinary user of the group render run the suite.
    """
    lines = [line for line in (raw.split("#", 1)[0] for raw in text.splitlines()) if line.strip()]
    listed = [suite for suite in (_suite(line, _kind(guest)) for line in lines) if suite]
    programs = [suite.program for suite in listed]
    for program in programs:
        if programs.count(program) > 1:
            raise ValueError(f"listed twice: {program}")
    return [suite for suite in listed if suite.smoke or not smoke]


def _mark(text):
    with open("/dev/kmsg", "w") as log:
        log.write(f"vfence-guest: {text}\n")


def _kunit():
    return set(glob.glob("/sys/kernel/debug/kunit/*/results"))


def _keep_kunit(reports, directory):
    """Saves the KUnit results of a module; unloading the module removes them."""
    for path in reports:
        target = os.path.join(directory, f"kunit-{path.split('/')[-2]}.log")
        with open(path) as source, open(target, "w") as out:
            out.write(source.read())


def _filter_kunit(pattern):
    """Sets the pattern of the KUnit suites that run at load, if the kernel has KUnit."""
    if os.path.exists(KUNIT_FILTER):
        with open(KUNIT_FILTER, "w") as control:
            control.write(pattern)


def _name(module):
    return os.path.basename(module).removesuffix(".ko")


def _argv(suite):
    """Returns the command that runs a suite."""
    if not suite.by_user:
        return [suite.program, *suite.arguments]
    # Do what the udev rules do.
    for node in ("/dev/vfence", "/dev/udmabuf", *glob.glob("/dev/dri/renderD*")):
        if os.path.exists(node):
            os.chown(node, 0, _RENDER)
            os.chmod(node, 0o660)
    # The checkout may be in a directory that only root can open.
    program = shutil.which(suite.program)
    if program:
        program = shutil.copy(program, "/tmp")
        os.chmod(program, 0o755)
    # setpriv reports a program that was not built.
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", f"--groups={_RENDER}", "--",
            program or suite.program, *suite.arguments]


def _in_kernel():
    """Returns the names of the modules that are loaded."""
    with open("/proc/modules") as modules:
        return {line.split()[0] for line in modules}


def _run(suite, modules, todo, directory, seconds):
    """Runs one suite and returns its record for `results`.

    `todo` maps a module that was not loaded yet to the pattern of its KUnit suites.
    """
    record = {"name": suite.program, "problems": []}
    start = time.monotonic()
    with open(os.path.join(directory, f"{suite.program}.log"), "wb") as out:
        def call(*argv, timeout=60):
            return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=timeout, check=False,
                                  env=dict(os.environ, **build.environment(modules))).returncode
        before = _kunit()
        loaded = []
        # A suite that has failed may have left a module.
        for name in filter(_in_kernel().__contains__, map(_name, reversed(modules))):
            call("rmmod", name)
        stale = sorted(_in_kernel() & set(map(_name, modules)))
        record["problems"] += [f"{name} is still loaded" for name in stale]
        for module in modules[:0 if stale else suite.modules]:
            if loaded:
                # vfence_drm needs drm, which is a module in Debian's kernel.
                call("modprobe", "--quiet", "drm")
            _filter_kunit(todo.pop(_name(module), "none"))
            # The KUnit suites of the debug kernel run in insmod.
            if call("insmod", module, *suite.parameters, timeout=300):
                record["problems"].append(f"insmod {_name(module)} failed")
                break
            loaded.append(module)
        _keep_kunit(_kunit() - before, directory)
        try:
            # A program must not judge another module than its own. Exit status 125, as of env(1),
            # means that it did not run.
            #
            # A new session, so that timeout(1) kills the program's children too.
            record["status"] = 125 if record["problems"] else call(
                "setsid", "--wait", "timeout", "--kill-after=5", str(seconds), *_argv(suite),
                timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            record["status"] = 124
        if record["status"] in (124, 137):
            record["problems"].append(f"did not end within {seconds} s")
        # The worker releases the buffers of jobs a little after their files are closed.
        for module in reversed(loaded):
            tries = 50
            while tries and call("rmmod", _name(module)):
                tries -= 1
                time.sleep(0.1)
            if not tries:
                record["problems"].append(f"rmmod {_name(module)} failed")
        # The output must survive if the guest dies in the next suite.
        os.fsync(out.fileno())
    record["seconds"] = round(time.monotonic() - start, 1)
    return record


def _leaks():
    """Returns the report of kmemleak after two scans: an object must be unreferenced in both."""
    for scan in range(2):
        if scan:
            time.sleep(_KMEMLEAK_AGE)
        with open(_KMEMLEAK, "w") as control:
            control.write("scan")
    with open(_KMEMLEAK) as found:
        return found.read()


def main(guest, listing, words, directory, seconds, *modules):
    with open(listing) as text:
        todo = suites(text.read(), guest, words == "smoke")
    kunit = dict(KUNIT)
    with open(os.path.join(directory, "results"), "w") as results:
        for suite in todo:
            _mark(f"suite {suite.program}")
            print(f"  {suite.program}", flush=True)
            record = _run(suite, modules, kunit, directory, suite.seconds or int(seconds))
            results.write(json.dumps(record) + "\n")
            results.flush()
            os.fsync(results.fileno())
    if os.path.exists(_KMEMLEAK):
        _mark("kmemleak")
        with open(os.path.join(directory, "kmemleak.log"), "w") as out:
            out.write(_leaks())


if __name__ == "__main__":
    main(*sys.argv[1:])
