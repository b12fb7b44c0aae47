# SPDX-License-Identifier: GPL-2.0
"""The commands that the Makefile calls: build, run, shell, test, bench and so on."""

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
import clients
import deb
import guest
import host
import imports
import inside
import install
import programs
import shared
import testrun
import uapi
from report import Failure, say

_DEMO = "vfence-pipeline"
# The script loads the modules, runs the command and unloads the modules, so that the log has
# warnings at unload too. A directory of the host that the guest does not have is empty in it. Exit
# status 125 means that the command did not run, as it does for env(1).
_RUN = """
export PATH={path} {environment} HOME=/root LC_ALL=C.UTF-8
if {load} && mkdir -p {cwd} && cd {cwd}; then
    bash -c {command}
    status=$?
    cd /
    # The worker releases the buffers of jobs a little after their files are closed.
    for module in vfence_drm vfence; do
        tries=0
        while grep -q "^$module " /proc/modules && ! rmmod $module 2> /run/rmmod; do
            tries=$((tries + 1))
            [ $tries -lt 50 ] || {{ cat /run/rmmod >&2; status=$((status ? status : 1)); break; }}
            sleep 0.1
        done
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
mkdir -p {cwd}
cd {cwd}
echo 'vfence and vfence_drm are loaded; Ctrl-D ends the guest.'
"""


def _words(modules, with_drm):
    """Returns the parts of a script that load the modules and set the variables of programs.

    The script loads vfence, and with `with_drm` also vfence_drm.
    """
    one, drm = map(shlex.quote, modules)
    # The filter keeps the KUnit suites that both modules have from running twice.
    kunit = {name: f"[ ! -e {inside.KUNIT_FILTER} ] || echo '{pattern}' > {inside.KUNIT_FILTER}"
             for name, pattern in inside.KUNIT.items()}
    load = f"{{ {kunit['vfence']}; insmod {one}; }}"
    if with_drm:
        # drm may be built in, so modprobe may fail.
        load += f" && {{ modprobe --quiet drm; {kunit['vfence_drm']}; insmod {drm}; }}"
    environment = " ".join(f"{name}={shlex.quote(path)}"
                           for name, path in build.environment(modules).items())
    return {"load": load, "environment": environment}


def _run(kernel, command):
    modules = build.modules(kernel)
    rust, c = programs.rust(), programs.c()
    outputs = build.outputs(kernel)
    needed = programs.needed(command or _DEMO, shared.working_directory(), {**rust, **c}, outputs)
    build.programs(kernel, needed & rust.keys(), needed & c.keys())
    with tempfile.TemporaryDirectory(prefix="stubs-", dir=build.BUILD) as scratch:
        stubs = os.path.join(scratch, "bin")
        binds = programs.hide({*rust, *c} - needed, stubs, outputs)
        return _boot(kernel, modules, f"{stubs}:{build.path(kernel)}", command, binds)


def _run_client(name):
    client = clients.client(name)
    modules = build.modules("stock")
    build.client_programs()
    return _boot("stock", modules, build.CLIENT_PATH, client.command,
                 root=clients.path(client.suite), qemu=clients.QEMU)


def _boot(kernel, modules, path, command, binds=(), **options):
    """Boots a guest that runs `command`, or the demonstration; returns the exit status.

    `binds` are more mounts, and `options` those of guest.boot().
    """
    cwd = shared.working_directory()
    # Each run has a directory of its own: two runs must not read each other's log.
    with tempfile.TemporaryDirectory(prefix="run-", dir=build.results(kernel)) as scratch:
        log, console = os.path.join(scratch, "log"), os.path.join(scratch, "console")
        script = _RUN.format(**_words(modules, bool(command)), path=shlex.quote(path),
                             cwd=shlex.quote(cwd), command=shlex.quote(command or _DEMO),
                             sentinel=guest.SENTINEL, log=shlex.quote(log))
        try:
            status = guest.boot(kernel, script, console, binds=[*shared.binds(cwd), *binds],
                                **options)
            problems = guest.problems(log, console)
        except Failure as failure:
            status, problems = 1, [str(failure)]
        if problems:
            kept = os.path.join(build.results(kernel), "run.log")
            shutil.copy(log if os.path.exists(log) else console, kept)
            for problem in problems:
                say(f"vfence: {problem}")
            say(f"vfence: the log of the guest's kernel is {kept}")
        return status or (1 if problems else 0)


def _shell(kernel):
    modules = build.modules(kernel)
    build.programs(kernel)
    cwd = shared.working_directory()
    with tempfile.NamedTemporaryFile("w", prefix="vfence-bashrc-") as profile:
        profile.write(_SHELL.format(**_words(modules, True), path=shlex.quote(build.path(kernel)),
                                    cwd=shlex.quote(cwd)))
        profile.flush()
        return guest.shell(kernel, [*shared.binds(cwd), (profile.name, "/etc/bash.bashrc")])


def _distclean():
    directory = cache.directory()
    rest = cache.clear()
    if rest:
        say(f"vfence: {directory} still has {' '.join(rest)}: in use by another run, or not part "
            "of the cache")
    return 1 if rest else 0


def _check_words(args):
    """Fails if `args` combine words of which one would have no effect."""
    with_clients = getattr(args, "client", None) or getattr(args, "clients", False)
    if with_clients and args.kernel not in (None, "stock"):
        raise Failure(f"clients run on the stock kernel: leave out KERNEL={args.kernel}")
    alone = [word for word in ("clients", "packages", "tutorial", "container")
             if getattr(args, word, False)]
    if len(alone) > 1 or alone not in ([], ["clients"], ["packages"]) and args.kernel:
        raise Failure(f"{alone[-1].upper()}=1 takes no other word")
    if with_clients and getattr(args, "command", None):
        raise Failure("CLIENT has a command of its own: leave out CMD")
    if getattr(args, "packages", False) and (args.clients or args.kernel not in (None, "stock")):
        raise Failure("the packages are tested alone, on the stock kernel: leave out CLIENTS and "
                      "KERNEL")


def _stop(number, _):
    """Ends the run on a signal like on Ctrl-C, so that its child processes end too."""
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="vfence-env", description=__doc__)
    commands = parser.add_subparsers(dest="action", required=True)
    compile_ = commands.add_parser("build", help="build the modules and the tools")
    compile_.add_argument("--kernel", choices=install.KERNELS,
                          help="default: the running one, if it is Debian's, or stock")
    run = commands.add_parser("run", help="run a command in the guest")
    run.add_argument("command", nargs="?", help="shell command; default: the demonstration")
    run.add_argument("--client", help=f"run a client instead: {', '.join(clients.CLIENTS)}")
    shell = commands.add_parser("shell", help="start a shell in the guest")
    test = commands.add_parser("test", help="run all tests")
    test.add_argument("--clients", action="store_true", help="run only the suites with clients")
    test.add_argument("--packages", action="store_true", help="test only Debian's packages")
    test.add_argument("--tutorial", action="store_true", help="only follow the tutorial")
    test.add_argument("--container", action="store_true", help="only build the container image")
    for command, more in ((run, []), (shell, []), (test, ["all"])):
        command.add_argument("--kernel", choices=[*testrun.KERNELS, *more], help="guest kernel")
    measure = commands.add_parser("bench", help="measure the cost of the calls")
    measure.add_argument("--update", action="store_true", help="make the result the baseline")
    graph = commands.add_parser("imports", help="print the import graph of rust/")
    graph.add_argument("checkout", nargs="?", default=build.CHECKOUT,
                       help="directory; default: this checkout")
    target = commands.add_parser("install", help="install the modules for one of Debian's kernels")
    target.add_argument("--kernel", choices=install.KERNELS, help="default: as for build")
    target.add_argument("--check", action="store_true",
                        help="only find out whether the machine has that kernel")
    target.add_argument("destination", nargs="?", default="", help="root of the files; default: /")
    commands.add_parser("deb", help="build Debian's packages")
    commands.add_parser("uapi", help="generate the Rust structures from the UAPI headers")
    commands.add_parser("distclean", help="remove the cache")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        _check_words(args)
        if args.action == "distclean":
            return _distclean()
        if args.action == "imports":
            return imports.show(args.checkout)
        if args.action == "install" and args.check:
            return install.check(args.destination, args.kernel)
        host.prepare()
        if args.action == "build":
            name = args.kernel or install.choose(os.uname().release)
            say(f"vfence: {' '.join(build.modules(name))}")
            build.tools()
            return 0
        if args.action == "install":
            return install.run(args.destination, args.kernel)
        if args.action == "deb":
            return deb.run()
        if args.action == "uapi":
            say(f"vfence: {' '.join(uapi.update())}")
            return 0
        if args.action == "run" and args.client:
            return _run_client(args.client)
        if args.action == "run":
            return _run(args.kernel or "stock", args.command)
        if args.action == "shell":
            return _shell(args.kernel or "stock")
        if args.action == "bench":
            return bench.run(args.update)
        if args.packages:
            return testrun.run_packages()
        if args.clients:
            return testrun.run_clients()
        if args.tutorial:
            return testrun.run_tutorial()
        if args.container:
            return testrun.run_container()
        return testrun.run(args.kernel)
    except Failure as failure:
        say(f"vfence: {failure}")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
