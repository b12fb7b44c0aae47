# SPDX-License-Identifier: GPL-2.0
"""Boots a guest and runs one script in it.

virtme-ng boots the guest from inside the root file system, which is the guest's root too. Files
that the guest writes are in the upper layer of the overlay and are lost when the guest ends; only
the checkout is shared with the host.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import termios
import threading
import time
import typing

import cache
import chroot
import kernel
import klog
import tsc
from report import Failure, say

# Each further gigabyte costs the debug guest seconds, at boot and in each scan of kmemleak.
MEMORY = "2G"
# Time limit for the first command of a guest; a busy host is slow.
BOOT_SECONDS = 300
# Time limit of a guest that probes whether KVM works.
_PROBE_SECONDS = 30
# Seconds for which the answer "no" counts if the probe did not end: the host may only be busy.
_DOUBT_SECONDS = 600
# The script writes this line to the kernel log when it has reached its end.
SENTINEL = "vfence-guest: the end"
# The 9p tag by which `init` mounts the root again, with a cache.
_ROOT_TAG = "vfence-root"
# The directory with the guest's script, where the guest creates the file `up`.
_SHARED = f"{chroot.MOUNT}/guest"
# The root file system of a guest that does not have that of the emulator, and where such a guest
# sees the emulator's.
ROOT = f"{chroot.MOUNT}/root"
TOOLS = "/.vfence/tools"
_HERE = os.path.dirname(os.path.abspath(__file__))
# virtme-run starts the program at the first path as init, or that at the second in a guest of
# another architecture.
_GUEST_TOOLS = "/usr/lib/python3/dist-packages/virtme/guest"
_INIT = [(os.path.join(_HERE, "init"), f"{_GUEST_TOOLS}/bin/virtme-ng-init"),
         (os.path.join(_HERE, "init"), f"{_GUEST_TOOLS}/virtme-init"),
         (os.path.join(_HERE, "init-run"), f"{chroot.MOUNT}/init-run")]


class Machine(typing.NamedTuple):
    """A kernel that boots, in the emulator of a root file system."""
    # The path of the kernel's image inside that root, and the mounts that make it appear there.
    image: str
    binds: list
    # The root file system with the emulator; None for that of the tools.
    emulator: str = None
    cpus: int = 2
    memory: str = MEMORY
    # More options of the emulator.
    qemu: tuple = ()
    # More words of the kernel's command line.
    options: tuple = ()
    # The words before the emulator's command. A guest with a root file system of its own has the
    # command that mounts it at ROOT; without that, its root is that of the emulator.
    prefix: tuple = ()
    # The root file system of a guest of another architecture. It is at ROOT for the emulator, and
    # all that the guest sees.
    foreign: str = None

    @property
    def root(self):
        """The path of the guest's root inside that of the emulator."""
        return ROOT if self.foreign else "/"

    @property
    def tools(self):
        """The path of the emulator's root inside the guest."""
        return TOOLS if self.prefix else ""


def _machine(name, emulator=None, qemu=()):
    """Returns the Machine that boots kernel `name`."""
    foreign = kernel.guest_root(name)
    if foreign:
        return Machine(ROOT + kernel.image(name), kernel.binds(name), kernel.tools(name),
                       qemu=tuple(qemu), foreign=foreign)
    return Machine(kernel.image(name), kernel.binds(name), emulator, qemu=tuple(qemu))


def _argv(machine, command, binds):
    """Returns the command line that runs the emulator's `command` with all mounts."""
    everything = [*machine.binds, *_INIT, *binds]
    if machine.foreign:
        everything += [(source, ROOT + target) for source, target in everything]
    return chroot.argv(command, binds=everything, lower=machine.emulator,
                       second=(machine.foreign, ROOT) if machine.foreign else None)


def _virtme(machine, script, kvm, console="/dev/null", verbose=False, counted=False):
    command = [
        *machine.prefix, "virtme-run", "--kimg", machine.image, "--mods=auto",
        "--root", machine.root, "--rw", "--cpus", "1" if counted else str(machine.cpus),
        "--memory", machine.memory, "--disable-monitor",
        # /dev/kmsg must not drop the lines of the script, however many a suite prints.
        "--kopt", "printk.devkmsg=on", "--kopt", "log_buf_len=8M",
        # The kernel's own KUnit suites take a minute, and one of them warns on PREEMPT_RT.
        "--kopt", "kunit.filter_glob=none",
        # On a busy host the guest waits for the CPU, which is not a stall.
        "--kopt", "rcupdate.rcu_cpu_stall_timeout=60", "--kopt", "watchdog_thresh=30",
    ]
    for option in machine.options:
        command += ["--kopt", option]
    qemu = [*machine.qemu]
    if machine.foreign:
        command += ["--arch", "aarch64"]
    if machine.prefix:
        command += ["--kopt", f"vfence_guest={ROOT}"]
    if script is not None:
        command += ["--script-sh", script]
        # virtme-run can only hide the console or mix it with the script's output.
        qemu += ["-set", f"chardev.console.path={console}"]
    if verbose:
        command += ["--kopt", "ignore_loglevel"]
    if not kvm:
        # 9p, because programs crash at random on virtiofs: its daemon writes to the guest's memory,
        # and the emulator then runs stale translations of the old contents. Only the guest writes
        # to the root, so 9p can cache it. Without root=, the mount of the root has no source and
        # the kernel panics.
        command += ["--force-9p", "--kopt", "root=/dev/root", "--kopt", f"vfence_root={_ROOT_TAG}",
                    # The TSC is the host's clock. Its watchdog costs time and reports skew.
                    "--kopt", "tsc=reliable", "--disable-kvm"]
        if not machine.foreign:
            # A busy host delays the emulated timer, and a kernel that takes it for broken panics.
            # Under KVM the kernel does not check it either.
            command += ["--kopt", "no_timer_check"]
        # No la57: while the kernel identifies the CPU, an interrupt sees a CPU without five-level
        # page tables, and KASAN reports valid addresses. The architecture's algorithm of pointer
        # authentication is slow to emulate.
        qemu += ["-accel", f"tcg,thread={'single' if counted else 'multi'}",
                 "-cpu", "max,pauth-impdef=on" if machine.foreign else "max,la57=off",
                 "-virtfs", f"local,path={machine.root},mount_tag={_ROOT_TAG},"
                            "security_model=none,multidevs=remap"]
        if not counted and not machine.foreign:
            command += ["--kopt", f"tsc_early_khz={tsc.khz()}"]
    if counted:
        # An instruction takes 1 ns of guest time; a sleeping guest takes no host time.
        qemu += ["-icount", "shift=0,sleep=off"]
    return [*command, "--qemu-opts", *qemu] if qemu else command


def _pump(source, sink):
    """Starts a thread that copies the pipe `source` to the file `sink`, and returns it."""
    def copy():
        with source:
            for block in iter(lambda: os.read(source.fileno(), 65536), b""):
                with contextlib.suppress(BrokenPipeError):
                    sink.write(block)
                    sink.flush()
    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _standard_input():
    """Returns the standard input of the guest: that of this process, or none if it is closed."""
    try:
        os.fstat(0)
    except OSError:
        return subprocess.DEVNULL
    return None


@contextlib.contextmanager
def _terminal():
    """Restores the terminal's settings at the end: a killed emulator does not."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def _wait(process, up, timeout):
    """Returns the exit status of the emulator.

    The guest creates the file `up` when it has booted. If it has not ended `timeout` seconds later,
    returns None.
    """
    start, booted = time.monotonic(), None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(1)
        now = time.monotonic()
        if booted is None and os.path.exists(up):
            booted = now
        if booted is None and now - start > BOOT_SECONDS:
            raise Failure(f"the guest did not boot within {BOOT_SECONDS} s")
        if booted is not None and timeout and now - booted > timeout:
            return None


def _spawn(command, up, timeout, stdin, out, err):
    """Runs the emulator and returns its exit status; None if it was killed."""
    # Pipes, because the emulator truncates an output file.
    with _terminal(), subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE) as process:
        pumps = [_pump(process.stdout, out), _pump(process.stderr, err)]
        try:
            return _wait(process, up, timeout)
        finally:
            process.kill()
            for pump in pumps:
                pump.join(5)


def kvm_works(machine=None):
    """Returns whether `machine`, by default one with the stock kernel, boots under KVM.

    The answer is cached until the host reboots, or for a short time if the probe took too long.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id") as text:
        boot = text.read().strip()
    answer = os.path.join(cache.directory(), "kvm-probe")
    with cache.lock(os.path.join(cache.directory(), "kvm.lock"), "trying KVM"):
        if os.path.exists(answer):
            with open(answer) as text:
                known, _, word = text.read().partition(" ")
            age = time.time() - os.stat(answer).st_mtime
            if known == boot and (word != "timeout" or age < _DOUBT_SECONDS):
                return word == "yes"
        say("vfence: testing whether KVM works")
        with open(os.devnull, "wb") as null:
            machine = machine or _machine("stock")
            command = _argv(machine, _virtme(machine, "true", True), [])
            status = _spawn(command, os.devnull, _PROBE_SECONDS, subprocess.DEVNULL, null, null)
        word = {0: "yes", None: "timeout"}.get(status, "no")
        say("vfence: KVM works" if word == "yes" else "vfence: KVM does not work; guests are "
            "emulated, which is slower")
        with open(answer, "w") as text:
            text.write(f"{boot} {word}")
        return word == "yes"


def boot(name, script, console="/dev/null", *, binds, counted=False, root=None, qemu=(),
         **options):
    """Boots kernel `name`, runs the shell `script` and returns its exit status.

    `root` is the guest's root file system, by default that of the tools; `qemu` are more options of
    the emulator. The other `options` are those of start().

    A `counted` guest is always emulated and has one CPU. Its clock counts executed instructions, so
    its measurements are reproducible.
    """
    machine = _machine(name, root, qemu)
    return start(machine, script, console, binds=binds, counted=counted,
                 kvm=not counted and not machine.foreign and kvm_works(), **options)


def start(machine, script, console="/dev/null", *, binds, kvm, verbose=False, counted=False,
          timeout=None, out=None, err=None, stdin=None):
    """Boots the Machine `machine`, runs the shell `script` and returns its exit status.

    Returns None if the guest did not end within `timeout` seconds after it had booted. `console` is
    the file for the kernel's console, which `binds` mount at the same path; with `verbose` the
    console has all messages, else only severe ones. The script writes to the open files `out` and
    `err`, by default to the standard output and error of this process.
    """
    with tempfile.TemporaryDirectory(prefix="vfence-guest-") as shared:
        # virtme-run passes a script on the kernel's command line, which is too short for this one.
        with open(os.path.join(shared, "script"), "w") as text:
            text.write(script)
        # A root file system of the guest's own may have no shell.
        shell_ = "/run/busybox sh" if machine.prefix else "bash"
        inside = machine.tools + _SHARED
        command = _virtme(machine, f": > {inside}/up; exec {shell_} {inside}/script", kvm,
                          console, verbose, counted)
        return _spawn(_argv(machine, command, [*binds, (shared, _SHARED)]),
                      os.path.join(shared, "up"), timeout,
                      stdin if stdin is not None else _standard_input(),
                      out or sys.stdout.buffer, err or sys.stderr.buffer)


def problems(log, console, allowed=()):
    """Returns the problems of a guest, from its kernel log or, if it left none, its console.

    A line of the log that matches one of the patterns `allowed` is no problem.
    """
    if os.path.exists(log):
        with open(log, errors="replace") as text:
            return [f"kernel log: {line}" for line in klog.judge(text.read(), SENTINEL, allowed)]
    with open(console, errors="replace") as text:
        panic = [line.strip() for line in text if "Kernel panic" in line]
    return [f"the guest died: {panic[0]}" if panic else "the guest died"]


def shell(name, binds):
    """Boots kernel `name` and runs a shell in it on this terminal."""
    machine = _machine(name)
    return start_shell(machine, binds, not machine.foreign and kvm_works())


def start_shell(machine, binds, kvm):
    """Boots the Machine `machine` and runs a shell in it on this terminal."""
    if not sys.stdin.isatty():
        raise Failure("a shell needs a terminal; run a command instead")
    command = _argv(machine, _virtme(machine, None, kvm), binds)
    with _terminal():
        return subprocess.run(command, check=False).returncode
