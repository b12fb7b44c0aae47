# SPDX-License-Identifier: GPL-2.0
"""`vfence-vm`: runs a command of any project in a guest that has the modules loaded.

The guest's root file system is Debian with the packages that the user names, a directory, an
archive or a container image. The exit status is that of the command, unless the kernel log or the
results of the tests say otherwise.
"""

import argparse
import contextlib
import glob
import os
import re
import shlex
import signal
import sys
import tempfile
import typing

import build
import cache
import chroot
import guest
import host
import inside
import klog
import version
import vm_cache
import vm_kit
import vm_results
import vm_root
from report import Failure, read_text, say

# The statuses of env(1) for a command that did not run, and of timeout(1) for one that took too
# long.
NOT_RUN, TIMED_OUT = 125, 124
# The seconds that a guest has beyond the time limit of the command, to load the modules and unload
# them. A busy host emulates it slowly.
_SPARE_SECONDS = 300
# The ids of the ordinary user, and of the group render unless the guest has such a group.
_USER, _RENDER = 1000, 1001
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VM_ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vm-root")
# Programs of the emulator's root, with its libraries. busybox would run applets of its own in place
# of the guest's commands. Variables of the command are not the script's: they may have names that
# a shell does not know.
_TOOL = "$tools/lib64/ld-linux-x86-64.so.2 --library-path $tools/usr/lib/x86_64-linux-gnu $tools"
_ENV = f"{_TOOL}/usr/bin/env --ignore-environment {{environment}}"
_SETPRIV = f"{_TOOL}/usr/bin/setpriv --reuid={{user}} --regid={{user}} --groups=$render --"
# `tools` is the emulator's root, `out` a directory of the host. busybox is ours: the guest's root
# file system need not have any of these commands.
_HEAD = """
tools={tools} out={out}
b() {{ /run/busybox "$@"; }}
load() {{
    # The debug kernel runs the KUnit suites of a module when it is loaded.
    [ ! -e {filter} ] || echo none > {filter}
    b insmod {vfence} && b insmod {drm}
}}
# Do what the udev rules do, and a login.
set_nodes() {{
    render=$(b grep '^render:' /etc/group 2> /dev/null | b cut -d: -f3)
    render=${{render:-{render}}}
    for node in /dev/vfence /dev/udmabuf /dev/dri/renderD*; do
        [ ! -e $node ] || {{ b chown 0:$render $node && b chmod 660 $node; }} || return
    done
    # An ordinary user must be able to open /dev/stdout.
    b chmod 666 /dev/vport* 2> /dev/null
    b mkdir -p -m 700 {runtime} && b chown {user} {runtime}
}}
"""
_RUN = _HEAD + """
if load && set_nodes && cd {cwd}; then
    if [ {timeout} != 0 ]; then
        (
            b sleep {timeout}
            echo timeout >> $out/problem
            kill -TERM -$(b cat /run/command)
            b sleep 5
            kill -KILL -$(b cat /run/command)
        ) 2> /dev/null &
    fi
    # A new session, so that the time limit ends the command's children too.
    b setsid /run/busybox sh -c 'echo $$ > /run/command; exec "$@"' sh {command}
    status=$?
    cd /
    # Programs that the command has left have files of the modules open.
    kill -KILL -1
    for module in vfence_drm vfence; do
        # The worker releases the buffers of jobs a little after their files are closed.
        tries=0
        while b grep -q "^$module " /proc/modules && ! b rmmod $module 2> /run/rmmod; do
            tries=$((tries + 1))
            [ $tries -lt 50 ] || {{ b cat /run/rmmod >&2; echo unload >> $out/problem; break; }}
            b usleep 100000
        done
    done
else
    status=125
    echo load >> $out/problem
fi
echo '{sentinel}' > /dev/kmsg
# Unlike dmesg, /dev/kmsg also gives the lines that the command has cleared. Its end does not come.
/run/busybox cat /dev/kmsg > /run/kmsg 2> /dev/null &
tries=0
until b grep -q '{sentinel}' /run/kmsg 2> /dev/null || [ $tries -ge 300 ]; do
    tries=$((tries + 1))
    b usleep 100000
done
kill $! 2> /dev/null
b cat /run/kmsg > $out/kmsg
exit $status
"""
_SHELL = _HEAD + """
load && set_nodes && echo 'vfence and vfence_drm are loaded; Ctrl-D ends the guest.'
cd {cwd}
shell=/bin/bash
[ -x $shell ] || shell='/run/busybox sh'
exec {env} $shell
"""


class Share(typing.NamedTuple):
    """A directory or a file of the host that the guest sees."""
    source: str
    # Its path in the guest.
    target: str
    mode: str = "rw"


def _share(word):
    """Returns the Share of `DIR[:TARGET][:ro]`; fails if there is no such directory."""
    path, *rest = word.split(":")
    mode = rest.pop() if rest and rest[-1] in ("ro", "rw") else "rw"
    source = os.path.abspath(path)
    target = rest.pop(0) if rest else source
    if rest or not target.startswith("/"):
        raise Failure(f"--share {word}: expected DIR[:PATH-IN-GUEST][:ro]")
    if not os.path.exists(source):
        raise Failure(f"--share {word}: no such directory: {path}")
    target = os.path.normpath(target)
    if _is_own(target):
        raise Failure(f"--share {word}: the guest has a {target} of its own: add another path, "
                      "DIR:PATH-IN-GUEST")
    return Share(source, target, mode)


def _is_own(path):
    """Returns whether the guest has the directory `path` itself, so that it cannot be shared."""
    return path in ("/", "/tmp") or path.split("/")[1] in ("dev", "proc", "run", "sys", ".vfence")


def _parameters(words, paths):
    """Returns the parameters of each module, from words `[MODULE.]NAME=VALUE`.

    Fails if a module has no such parameter: the kernel would only warn.
    """
    known = {name: vm_kit.parameters(path) for name, path in zip(build.MODULES, paths)}
    found = {name: [] for name in build.MODULES}
    for word in words:
        match = re.fullmatch(r"(?:(\w+)\.)?(\w+)=(.*)", word)
        if not match:
            raise Failure(f"--param {word}: expected [MODULE.]NAME=VALUE")
        module, name, value = match.groups()
        module = module or build.MODULES[0]
        if module not in known:
            raise Failure(f"--param {word}: no module {module}, only {' and '.join(known)}")
        if name not in known[module]:
            raise Failure(f"--param {word}: {module} has no parameter {name}; it has: "
                          f"{' '.join(known[module])}")
        found[module].append(f"{name}={value}")
    return found


def _environment(words, user, image):
    """Returns the environment of the command: that of the image, ours, and the user's."""
    found = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": f"/run/user/{user or 0}",
             **image, "HOME": "/tmp" if user else "/root"}
    for name in ("CI", "TERM"):
        if name in os.environ:
            found[name] = os.environ[name]
    for word in words:
        name, sign, value = word.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise Failure(f"--env {word}: expected NAME or NAME=VALUE")
        if sign or name in os.environ:
            found[name] = value if sign else os.environ[name]
    return found


def _shares(options):
    """Returns the Shares of a guest: the current directory, the user's, and the headers."""
    shares = [_share(word) for word in options.share]
    cwd = os.getcwd()
    if not any(os.path.commonpath([cwd, share.target]) == share.target for share in shares):
        if _is_own(cwd):
            raise Failure(f"the guest has a {cwd} of its own: run vfence-vm in another directory")
        shares.insert(0, Share(cwd, cwd))
    include = os.path.join(build.CHECKOUT, "include", "uapi")
    return shares + [Share(os.path.join(include, header), f"/usr/include/{header}", "ro")
                     for header in sorted(glob.glob("*/*.h", root_dir=include))]


def _pkg_config(directory):
    """Returns the Share of the file by which pkg-config finds the headers, made in `directory`."""
    with open(os.path.join(build.CHECKOUT, "include", "vfence.pc.in")) as text:
        content = text.read().replace("@prefix@", "/usr").replace("@version@", version.version())
    path = os.path.join(directory, "vfence.pc")
    with open(path, "w") as out:
        out.write(content)
    return Share(path, "/usr/share/pkgconfig/vfence.pc", "ro")


def _machine(options, lower, shares):
    """Returns the guest.Machine for the options; its root file system is above `lower`."""
    machine = vm_kit.machine(options.kernel)
    command = f"{chroot.MOUNT}/vm-root"
    binds = [*machine.binds, (lower, f"{chroot.MOUNT}/lower"), (_VM_ROOT, command)]
    prefix = [command]
    for number, share in enumerate(shares):
        path = f"{chroot.MOUNT}/shares/{number}"
        binds.append((share.source, path))
        prefix += [path, share.target, share.mode]
    for _, target in machine.binds:
        if target.startswith("/lib/modules/"):
            prefix += [target, target, "ro"]
    return machine._replace(binds=binds, prefix=(*prefix, "--"), cpus=options.cpus,
                            memory=options.memory)


def _user(options):
    """Returns the id of the ordinary user that runs the command; None for root.

    It owns the current directory, so that it can write there.
    """
    return (os.stat(".").st_uid or _USER) if options.user else None


class _Guest(typing.NamedTuple):
    """A guest that is ready to boot, and the words of its script."""
    machine: guest.Machine
    kvm: bool
    words: dict


def _prepare(options, scratch):
    """Makes what the guest needs; `scratch` is a directory that it can write."""
    paths = vm_kit.modules(options.kernel)
    parameters = _parameters(options.param, paths)
    shares = [*_shares(options), _pkg_config(scratch)]
    lower, image = vm_root.find(options)
    user = _user(options)
    environment = _environment(options.env, user, image)
    machine = _machine(options, lower, shares)
    kvm = options.kvm != "off" and guest.kvm_works(vm_kit.machine(options.kernel))
    if options.kvm == "on" and not kvm:
        raise Failure("--kvm on, and no guest boots with KVM on this machine")
    modules = {name: " ".join([shlex.quote(f"{guest.TOOLS}{vm_kit.KIT}/{name}.ko"),
                               *map(shlex.quote, parameters[name])]) for name in build.MODULES}
    environment.update(build.environment(
        [f"{guest.TOOLS}{vm_kit.KIT}/{name}.ko" for name in build.MODULES]))
    return _Guest(machine, kvm, {
        "tools": guest.TOOLS, "out": shlex.quote(guest.TOOLS + scratch),
        "filter": inside.KUNIT_FILTER,
        "vfence": modules["vfence"], "drm": modules["vfence_drm"], "render": _RENDER,
        "user": user or 0, "runtime": shlex.quote(environment["XDG_RUNTIME_DIR"]),
        "cwd": shlex.quote(os.getcwd()),
        "env": _ENV.format(environment=shlex.join(
            f"{name}={value}" for name, value in sorted(environment.items())))})


def _command(options, env):
    """Returns the shell words that run the command, the first of which are `env`."""
    user = _user(options)
    words = [env, *([_SETPRIV.format(user=user)] if user else [])]
    return " ".join([*words, shlex.join(options.command)])


def run(options):
    """Runs a command in a guest and returns its exit status, or that of the verdict."""
    vm_results.remove_reports(list(filter(None, (options.ktap, options.junit, options.log))))
    with tempfile.TemporaryDirectory(prefix="vfence-vm-") as scratch:
        one = _prepare(options, scratch)
        script = _RUN.format(**one.words, timeout=options.timeout, sentinel=guest.SENTINEL,
                             command=_command(options, one.words["env"]))
        console = os.path.join(scratch, "console")
        open(console, "w").close()
        stamps = {path: vm_results.stamp(path) for path in options.results}
        out, err = vm_results.Tee(sys.stdout.buffer), vm_results.Tee(sys.stderr.buffer)
        limit = options.timeout + _SPARE_SECONDS if options.timeout else None
        status = guest.start(one.machine, script, console, binds=[(scratch, scratch)], kvm=one.kvm,
                             timeout=limit, out=out, err=err)
        _keep_log(scratch)
        return _judge(options, scratch, status, out.text() + "\n" + err.text(), stamps)


def _keep_log(scratch):
    """Writes the kernel log, if the guest's script has come to its end, to the file `log`."""
    with contextlib.suppress(FileNotFoundError):
        with open(os.path.join(scratch, "kmsg"), "rb") as records:
            vm_results.write_text(os.path.join(scratch, "log"), klog.text(records.read()).rstrip())


# Why the command did not end by itself, by the first word that the script writes to `problem`.
_ENDED = {"load": (NOT_RUN, "the modules did not load, or the directory is not in the guest"),
          "timeout": (TIMED_OUT, "the command did not end within its time limit")}


def _end(options, scratch, status):
    """Returns (exit status, problems, whether the command has ended) of a guest."""
    log, console = os.path.join(scratch, "log"), os.path.join(scratch, "console")
    if status is None:
        return TIMED_OUT, ["the guest did not end after the command's time limit"], False
    problems = guest.problems(log, console, options.allow_log)
    if not os.path.exists(log):
        return NOT_RUN, problems, False
    words = read_text(os.path.join(scratch, "problem")).split()
    if "unload" in words:
        problems.append("a module could not be unloaded: see above")
    if words and words[0] in _ENDED:
        status, reason = _ENDED[words[0]]
        return status, [reason, *problems], False
    return status, problems, True


def _judge(options, scratch, status, output, stamps):
    """Prints the problems of a guest that has ended, writes the reports, returns the status."""
    status, problems, ended = _end(options, scratch, status)
    suites = [*vm_results.read_output(os.path.basename(options.command[0]), output),
              *vm_results.read_files(stamps)]
    wanted = options.ktap or options.junit or options.results
    judged = vm_results.judge(suites, status, wanted) if ended else []
    suites = [suite for suite in suites if suite.results]
    suites.append(vm_results.verdict(status, problems, judged))
    for problem in problems + judged:
        say(f"vfence-vm: {problem}")
    written = _write_reports(options, scratch, suites)
    return status or (0 if written and not problems and not judged else 1)


def _write_reports(options, scratch, suites):
    """Writes the reports that the options ask for; returns whether that has succeeded.

    A failure does not hide the exit status of the command.
    """
    log = (read_text(os.path.join(scratch, "log")).rstrip()
           or read_text(os.path.join(scratch, "console")).rstrip())
    written = True
    for path, write, content in ((options.log, vm_results.write_text, log),
                                 (options.ktap, vm_results.write_ktap, suites),
                                 (options.junit, vm_results.write_junit, suites)):
        try:
            if path:
                write(path, content)
        except Failure as failure:
            say(f"vfence-vm: {failure}")
            written = False
    return written


def shell(options):
    """Boots a guest with a shell on this terminal."""
    with tempfile.TemporaryDirectory(prefix="vfence-vm-") as scratch:
        one = _prepare(options, scratch)
        profile = os.path.join(scratch, "profile")
        with open(profile, "w") as text:
            text.write(_SHELL.format(**one.words))
        return guest.start_shell(one.machine, [(profile, f"{chroot.MOUNT}/profile")], one.kvm)


def _kernels(_):
    """Prints the kernels that can be booted."""
    for name in vm_kit.KERNELS:
        print(f"{name:10} {vm_kit.describe(name)}")
    return 0


def _cache(options):
    """Runs one of the commands `cache`."""
    if options.action == "path":
        print(cache.directory())
    elif options.action == "key":
        print(vm_cache.key(options))
    elif options.action == "save":
        lower, _ = vm_root.find(options)
        vm_cache.save(options.file, [*vm_kit.stages(options.kernel), lower])
    elif options.action == "restore":
        vm_cache.restore(options.file)
    else:
        vm_cache.prune()
    return 0


def _pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {text}: {error}") from error


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not a number above 0: {text}")
    return int(text)


def _memory(text):
    if not re.fullmatch(r"[1-9]\d*[MG]", text):
        raise argparse.ArgumentTypeError(f"not a size such as 512M or 2G: {text}")
    return text


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end with the status of a command that did not run."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(NOT_RUN, f"{self.prog}: {message}\n")


def _system_options():
    """Returns the options that choose the kernel and the root file system."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    group = options.add_argument_group("system")
    group.add_argument("--kernel", default="stock", choices=vm_kit.KERNELS, metavar="NAME",
                       help="kernel of the guest: %(choices)s; default: stock")
    group.add_argument("--with", dest="packages", action="append", default=[], metavar="PACKAGES",
                       help="Debian packages of the guest, separated by commas")
    group.add_argument("--suite", choices=vm_root.SUITES,
                       help="release of Debian in the guest; default: trixie")
    group.add_argument("--root", metavar="DIR|TAR",
                       help="root file system of the guest instead of Debian's; / is the host's")
    group.add_argument("--oci", metavar="IMAGE",
                       help="container image to use as root file system: a layout or an archive "
                       "with an optional :TAG, or docker://NAME")
    return options


def _guest_options():
    """Returns the options that describe a guest."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    group = options.add_argument_group("guest")
    group.add_argument("--share", action="append", default=[], metavar="DIR[:PATH][:ro]",
                       help="directory that the guest shares with the host, at the same path or at "
                       "PATH; the current directory is always shared")
    group.add_argument("--param", action="append", default=[], metavar="[MODULE.]NAME=VALUE",
                       help="parameter of the module vfence or vfence_drm; default: vfence")
    group.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]",
                       help="environment variable of the command, by default with the host's value")
    group.add_argument("--user", choices=["render"],
                       help="run the command as an ordinary user of the group render")
    group.add_argument("--cpus", type=_count, default=2, help="default: %(default)s")
    group.add_argument("--memory", type=_memory, default=guest.MEMORY, metavar="SIZE",
                       help="default: %(default)s")
    group.add_argument("--kvm", choices=["auto", "on", "off"], default="auto",
                       help="default: auto, which uses KVM if a guest boots with it")
    return options


def _parser():
    parser = _Parser(prog="vfence-vm", allow_abbrev=False, description=(
        "Run a command in a virtual machine whose kernel has the modules vfence and vfence_drm."))
    parser.add_argument("--version", action="version",
                        version=f"%(prog)s {version.version()}")
    commands = parser.add_subparsers(dest="command_name", required=True, metavar="COMMAND")
    system, guests = _system_options(), _guest_options()

    one = commands.add_parser(
        "run", parents=[system, guests], allow_abbrev=False, help="run a command in a guest",
        usage="vfence-vm run [OPTIONS] -- COMMAND [ARGUMENT]...",
        epilog="The exit status is that of the command; 124 if it took too long; 125 if it did not "
        "run or the guest died; 1 if the command succeeded but the kernel log is not clean, a test "
        "failed or every test was skipped.")
    group = one.add_argument_group("verdict")
    group.add_argument("--timeout", type=_count, default=0, metavar="SECONDS",
                       help="time limit of the command")
    group.add_argument("--results", action="append", default=[], metavar="FILE",
                       help="JUnit file that the command writes; its results count too")
    group.add_argument("--ktap", metavar="FILE", help="write the results as KTAP")
    group.add_argument("--junit", metavar="FILE", help="write the results as JUnit")
    group.add_argument("--log", metavar="FILE", help="write the log of the guest's kernel")
    group.add_argument("--allow-log", action="append", type=_pattern, default=[], metavar="REGEX",
                       help="lines of that log that do not fail the run")
    one.set_defaults(call=run)

    one = commands.add_parser("shell", parents=[system, guests], allow_abbrev=False,
                              help="start a shell in a guest")
    one.set_defaults(call=shell)

    one = commands.add_parser("kernels", help="list the kernels")
    one.set_defaults(call=_kernels)

    one = commands.add_parser("cache", help="the cache, for the cache step of a CI")
    actions = one.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("path", help="print the directory of the cache")
    actions.add_parser("key", parents=[system], help="print a word that changes when the content "
                       "for a run with these options would")
    save = actions.add_parser("save", parents=[system], help="write what a run with these options "
                              "needs to a file")
    restore = actions.add_parser("restore", help="add the content of such a file, if it exists")
    for action in (save, restore):
        action.add_argument("file", metavar="FILE")
    actions.add_parser("prune", help="remove what runs do not need")
    one.set_defaults(call=_cache)
    return parser


def _parse(words):
    """Returns the options of the command line `words`."""
    parser = _parser()
    mark = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:mark])
    options.command = words[mark + 1:]
    if options.command_name == "run" and not options.command:
        parser.error("run: no command: write it after --, as in vfence-vm run -- ls /dev/dri")
    if options.command_name != "run" and mark != len(words):
        parser.error(f"{options.command_name} runs no command: leave out --")
    return options


def _stop(number, _):
    """Ends the run on a signal like on Ctrl-C, so that its child processes end too."""
    raise SystemExit(128 + number)


def main(words):
    """Runs the command line `words` and returns the exit status."""
    options = _parse(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        # The files of a root file system have many owners.
        if options.call in (run, shell) or getattr(options, "action", "") in ("save", "restore"):
            host.check()
        return options.call(options)
    except Failure as failure:
        say(f"vfence-vm: {failure}")
        return NOT_RUN
    except KeyboardInterrupt:
        return 130
