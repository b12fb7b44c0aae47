# SPDX-License-Identifier: GPL-2.0
"""The environment's commands, for the Makefile: build, run, shell, test, bench, distclean."""

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile

import bench
import build
import cache
import guest
import host
import imports
import inside
import testrun
import uapi
from report import Failure, say

_DEMO = "vfence-pipeline"
# Loads the modules before the command and unloads them after, so that an unload
# that warns shows too. 125 is what env(1) and others say when they, not the
# command, have failed.
_RUN = """
export PATH={path} {environment} HOME=/root LC_ALL=C.UTF-8
if {load} && cd {cwd}; then
    bash -c {command}
    status=$?
    cd /
    for module in vfence_drm vfence; do
        ! grep -q "^$module " /proc/modules || rmmod $module || status=$((status ? status : 1))
    done
else
    status=125
fi
echo '{sentinel}' > /dev/kmsg
dmesg > {log}
exit $status
"""
_SHELL = """
export PATH={path} {environment} HOME=/root
{load}
cd {cwd}
echo 'vfence and vfence_drm are loaded; Ctrl-D ends the guest.'
"""


def _working_directory():
    """Returns where the user called make, if the guest can see it: PWD may be anywhere."""
    cwd = os.environ.get("VFENCE_PWD") or os.getcwd()
    return cwd if os.path.isdir(cwd) else build.CHECKOUT


def _binds(cwd):
    """The checkout, and the user's directory if it lies elsewhere."""
    inside = os.path.commonpath([cwd, build.CHECKOUT]) == build.CHECKOUT
    if inside or cwd in ("/", "/root", "/tmp"):
        return build.HERE
    return [(cwd, cwd), *build.HERE]


def _words(modules, everything):
    """Returns how a script loads the modules, with DRM if `everything`, and tells programs of them."""
    one, drm = map(shlex.quote, modules)
    load = f"insmod {one}"
    if everything:
        # Where DRM is built in there is no such module. KUnit's suites of what both have must not run twice.
        load += (f" && {{ modprobe --quiet drm; [ ! -e {inside.KUNIT_FILTER} ] || "
                 f"echo '{inside.KUNIT['vfence_drm']}' > {inside.KUNIT_FILTER}; insmod {drm}; }}")
    environment = " ".join(f"{name}={shlex.quote(path)}"
                           for name, path in build.environment(modules).items())
    return {"load": load, "environment": environment}


def _run(kernel, command):
    modules = build.modules(kernel)
    build.programs()
    cwd = _working_directory()
    # Two runs at once must not read each other's log.
    with tempfile.TemporaryDirectory(prefix="run-", dir=build.results(kernel)) as scratch:
        log, console = os.path.join(scratch, "log"), os.path.join(scratch, "console")
        script = _RUN.format(**_words(modules, bool(command)), path=shlex.quote(build.PATH),
                             cwd=shlex.quote(cwd), command=shlex.quote(command or _DEMO),
                             sentinel=guest.SENTINEL, log=shlex.quote(log))
        try:
            status = guest.boot(kernel, script, console, binds=_binds(cwd))
            problems = guest.problems(log, console)
        except Failure as failure:
            status, problems = 1, [str(failure)]
        if problems:
            kept = os.path.join(build.results(kernel), "run.log")
            shutil.copy(log if os.path.exists(log) else console, kept)
            for problem in problems:
                say(f"vfence: {problem}")
            say(f"vfence: what the guest's kernel said is in {kept}")
        return status or (1 if problems else 0)


def _shell(kernel):
    modules = build.modules(kernel)
    build.programs()
    cwd = _working_directory()
    with tempfile.NamedTemporaryFile("w", prefix="vfence-bashrc-") as profile:
        profile.write(_SHELL.format(**_words(modules, True), path=shlex.quote(build.PATH),
                                    cwd=shlex.quote(cwd)))
        profile.flush()
        return guest.shell(kernel, [*_binds(cwd), (profile.name, "/etc/bash.bashrc")])


def _distclean():
    directory = cache.directory()
    rest = cache.clear()
    if rest:
        say(f"vfence: {directory} still has {' '.join(rest)}: in use by another run, or not ours")
    return 1 if rest else 0


def _stop(number, _):
    """Lets a signal end the run like Ctrl-C does, with everything that it has started."""
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="vfence-env", description=__doc__)
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("build", help="build the modules for Debian's kernel")
    run = commands.add_parser("run", help="run a command in the guest")
    run.add_argument("command", nargs="?", help="shell command; the demonstration if none")
    shell = commands.add_parser("shell", help="a shell in the guest")
    test = commands.add_parser("test", help="all tests")
    for command in (run, shell, test):
        command.add_argument("--kernel", choices=testrun.KERNELS, help="which guest kernel")
    measure = commands.add_parser("bench", help="measure what vfence costs")
    measure.add_argument("--update", action="store_true", help="make the result the baseline")
    graph = commands.add_parser("imports", help="print which file of rust/ imports which")
    graph.add_argument("checkout", nargs="?", default=build.CHECKOUT, help="another checkout")
    commands.add_parser("uapi", help="generate the Rust structures from the UAPI headers")
    commands.add_parser("distclean", help="remove the cache")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        if args.action == "distclean":
            return _distclean()
        if args.action == "imports":
            return imports.show(args.checkout)
        host.prepare()
        if args.action == "build":
            say(f"vfence: {' '.join(build.modules('stock'))}")
            return 0
        if args.action == "uapi":
            say(f"vfence: {' '.join(uapi.update())}")
            return 0
        if args.action == "run":
            return _run(args.kernel or "stock", args.command)
        if args.action == "shell":
            return _shell(args.kernel or "stock")
        if args.action == "bench":
            return bench.run(args.update)
        return testrun.run([args.kernel] if args.kernel else testrun.KERNELS)
    except Failure as failure:
        say(f"vfence: {failure}")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
