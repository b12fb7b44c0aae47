# SPDX-License-Identifier: GPL-2.0
"""The environment's commands, for the Makefile: build, run, shell, test, distclean."""

import argparse
import os
import shlex
import sys

import build
import cache
import guest
import host
import klog
import testrun
from report import Failure, say

_DEMO = "vfence-pipeline"
# Loads the module before the command and unloads it after, so that an unload
# that warns shows too. 125 is what env(1) and others say when they, not the
# command, have failed.
_RUN = """
export PATH={path} VFENCE_KO={module} HOME=/root LC_ALL=C.UTF-8
dmesg --console-off
if insmod {module} && cd {cwd}; then
    ( {command}
    )
    status=$?
    cd /
    if grep -q '^vfence ' /proc/modules; then rmmod vfence; fi
else
    status=125
fi
echo '{sentinel}' > /dev/kmsg
dmesg > {console}
exit $status
"""
_SHELL = """
export PATH={path} VFENCE_KO={module} HOME=/root
insmod {module}
cd {cwd}
echo 'vfence is loaded; Ctrl-D ends the guest.'
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


def _run(command):
    module = build.module("stock")
    build.programs()
    console = os.path.join(build.results("stock"), "console.log")
    cwd = _working_directory()
    script = _RUN.format(module=shlex.quote(module), path=shlex.quote(build.PATH),
                         cwd=shlex.quote(cwd), command=command, sentinel=guest.SENTINEL,
                         console=shlex.quote(console))
    # There whatever becomes of the guest.
    open(console, "w").close()
    status = guest.boot("stock", script, binds=_binds(cwd))
    with open(console, errors="replace") as log:
        problems = klog.judge(log.read(), guest.SENTINEL)
    for problem in problems:
        say(f"vfence: kernel log: {problem}")
    if problems:
        say(f"vfence: the whole log is {console}")
    return status or (1 if problems else 0)


def _shell():
    module = build.module("stock")
    build.programs()
    cwd = _working_directory()
    profile = os.path.join(build.results("stock"), "bashrc")
    with open(profile, "w") as out:
        out.write(_SHELL.format(module=shlex.quote(module), path=shlex.quote(build.PATH),
                                cwd=shlex.quote(cwd)))
    return guest.boot("stock", None, binds=[*_binds(cwd), (profile, "/etc/bash.bashrc")])


def _distclean():
    directory = cache.directory()
    for entry in os.listdir(directory):
        path = os.path.join(directory, entry)
        cache.remove(path)
    say(f"vfence: emptied {directory}")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="vfence-env", description=__doc__)
    commands = parser.add_subparsers(dest="action", required=True)
    commands.add_parser("build", help="build the module for Debian's kernel")
    run = commands.add_parser("run", help="run a command in the guest")
    run.add_argument("command", nargs="?", help="shell command; the demonstration if none")
    commands.add_parser("shell", help="a shell in the guest")
    test = commands.add_parser("test", help="all tests")
    test.add_argument("--kernel", action="append", choices=testrun.KERNELS,
                      help="only this guest kernel")
    commands.add_parser("distclean", help="empty the cache")
    args = parser.parse_args()
    try:
        if args.action == "distclean":
            return _distclean()
        host.prepare()
        if args.action == "build":
            say(f"vfence: {build.module('stock')}")
            return 0
        if args.action == "run":
            return _run(args.command or _DEMO)
        if args.action == "shell":
            return _shell()
        return testrun.run(args.kernel or testrun.KERNELS)
    except Failure as failure:
        say(f"vfence: {failure}")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
