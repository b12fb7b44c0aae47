# SPDX-License-Identifier: GPL-2.0
"""Boots a guest and runs one script in it.

virtme-ng does the booting, inside the root file system, which is the guest's
user land too. The guest may write to it: that is the overlay's upper layer,
gone when the guest is. Only the checkout is the real thing.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import termios
import threading
import time

import cache
import chroot
import kernel
import klog
from report import Failure, say

# Each gigabyte more costs the debug guest seconds at boot and at each search for leaks.
MEMORY = "2G"
# A guest that has not run its first command by then has hung, even on a busy host.
BOOT_SECONDS = 300
# A probe that takes longer than this under KVM has hung.
_PROBE_SECONDS = 30
# Guest and host agree on this word in the kernel's log: the guest got to its end.
SENTINEL = "vfence-guest: the end"
# By this name `init` finds the root once more, to mount it with a cache.
_ROOT_TAG = "vfence-root"
# Where the guest finds its script, and says that it is up.
_SHARED = f"{chroot.MOUNT}/guest"
# Where virtme-run looks for a faster init than its own.
_INIT = [(os.path.join(os.path.dirname(os.path.abspath(__file__)), "init"),
          "/usr/lib/python3/dist-packages/virtme/guest/bin/virtme-ng-init")]


def _virtme(name, script, kvm, console="/dev/null", verbose=False, counted=False):
    command = [
        "virtme-run", "--kimg", kernel.image(name), "--mods=auto", "--root", "/", "--rw",
        "--cpus", "1" if counted else "2", "--memory", MEMORY, "--disable-monitor",
        # The driver's own lines must not be lost among a suite's.
        "--kopt", "printk.devkmsg=on", "--kopt", "log_buf_len=8M",
        # A host that is busy makes a guest wait; that is no stall of the guest's.
        "--kopt", "rcupdate.rcu_cpu_stall_timeout=60", "--kopt", "watchdog_thresh=30",
    ]
    qemu = []
    if script is not None:
        command += ["--script-sh", script]
        # virtme-run can only hide the console or mix it with the script's output.
        qemu += ["-set", f"chardev.console.path={console}"]
    if verbose:
        command += ["--kopt", "ignore_loglevel"]
    if not kvm:
        # A virtiofs daemon writes to the guest's memory behind the emulator's back, which then
        # runs what it has translated from a page before: programs crash at random. So 9p, which
        # the emulator serves itself; cached, since nobody else writes, and told its mount source.
        command += ["--force-9p", "--kopt", "root=/dev/root", "--kopt", f"vfence_root={_ROOT_TAG}",
                    # Its clock is the host's; watching it costs time and says wrong things.
                    "--kopt", "tsc=reliable", "--disable-kvm"]
        # An interrupt while the kernel looks at its CPU finds, for a moment, one without five
        # levels of page tables; KASAN then takes good addresses for wild ones.
        qemu += ["-accel", f"tcg,thread={'single' if counted else 'multi'}",
                 "-cpu", "max,la57=off",
                 "-virtfs", f"local,path=/,mount_tag={_ROOT_TAG},security_model=none,"
                            "multidevs=remap"]
    if counted:
        # Each instruction takes a nanosecond of the guest's time, and sleeping takes none of ours.
        qemu += ["-icount", "shift=0,sleep=off"]
    return [*command, "--qemu-opts", *qemu] if qemu else command


def _pump(source, sink):
    """Copies a pipe to one of our own files, in a thread."""
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
    """Returns what the guest reads: our own input, or nothing if that is closed."""
    try:
        os.fstat(0)
    except OSError:
        return subprocess.DEVNULL
    return None


@contextlib.contextmanager
def _terminal():
    """Gives the terminal back as it was: an emulator that is killed cannot."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def _wait(process, up, timeout):
    """Returns the exit status of the emulator; None if it took more than `timeout` seconds.

    `up` is a file that the guest makes when it has come up.
    """
    start = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(1)
        age = time.monotonic() - start
        if age > BOOT_SECONDS and not os.path.exists(up):
            raise Failure(f"the guest has not come up within {BOOT_SECONDS} s")
        if timeout and age > timeout:
            return None


def _spawn(command, up, timeout, stdin, out, err):
    """Runs the emulator and returns its exit status; None if it had to be killed."""
    # The emulator truncates a file that it is given as output: give it pipes.
    with _terminal(), subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE) as process:
        pumps = [_pump(process.stdout, out), _pump(process.stderr, err)]
        try:
            return _wait(process, up, timeout)
        finally:
            process.kill()
            for pump in pumps:
                pump.join(5)


def kvm_works():
    """Returns whether a guest comes up under KVM; asked once a boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id") as text:
        boot = text.read().strip()
    answer = os.path.join(cache.directory(), "kvm-probe")
    with cache.lock(os.path.join(cache.directory(), "kvm.lock"), "trying KVM"):
        if os.path.exists(answer):
            with open(answer) as text:
                known, _, word = text.read().partition(" ")
            if known == boot:
                return word == "yes"
        say("vfence: trying whether a guest runs under KVM")
        with open(os.devnull, "wb") as null:
            command = chroot.argv(_virtme("stock", "true", True),
                                  binds=[*kernel.binds("stock"), *_INIT])
            works = _spawn(command, os.devnull, _PROBE_SECONDS, subprocess.DEVNULL,
                           null, null) == 0
        say("vfence: it does" if works else "vfence: it does not; guests are emulated, "
            "which is slower")
        with open(answer, "w") as text:
            text.write(f"{boot} {'yes' if works else 'no'}")
        return works


def boot(name, script, console="/dev/null", *, binds, verbose=False, counted=False,
         timeout=None, out=None, err=None, stdin=None):
    """Boots kernel `name`, runs the shell `script`, returns its exit status.

    What the kernel says on its console goes to the file `console`, which `binds`
    show by the same name: that is its last words, or every one if `verbose`.
    `out` and `err` are open files that the script writes to instead of our own
    output. Returns None if the guest did not end in `timeout` seconds.

    A guest that is `counted` is emulated, wherever it runs, and has one CPU. Its clock is the
    number of instructions that it has executed, so what it measures is the same each time.
    """
    kvm = not counted and kvm_works()
    with tempfile.TemporaryDirectory(prefix="vfence-guest-") as shared:
        # The kernel's command line, by which virtme-run passes a script on, is short.
        with open(os.path.join(shared, "script"), "w") as text:
            text.write(script)
        command = _virtme(name, f": > {_SHARED}/up; exec bash {_SHARED}/script", kvm,
                          console, verbose, counted)
        everything = [*kernel.binds(name), *_INIT, *binds, (shared, _SHARED)]
        return _spawn(chroot.argv(command, binds=everything), os.path.join(shared, "up"), timeout,
                      stdin if stdin is not None else _standard_input(),
                      out or sys.stdout.buffer, err or sys.stderr.buffer)


def problems(log, console):
    """Returns what was wrong with a guest, by its kernel's log or else its last words."""
    if os.path.exists(log):
        with open(log, errors="replace") as text:
            return [f"kernel log: {line}" for line in klog.judge(text.read(), SENTINEL)]
    with open(console, errors="replace") as text:
        panic = [line.strip() for line in text if "Kernel panic" in line]
    return [f"the guest died: {panic[0]}" if panic else "the guest died"]


def shell(name, binds):
    """Boots kernel `name` and gives a shell in it on this terminal."""
    if not sys.stdin.isatty():
        raise Failure("make shell needs a terminal; use make run CMD='…'")
    command = chroot.argv(_virtme(name, None, kvm_works()),
                          binds=[*kernel.binds(name), *_INIT, *binds])
    with _terminal():
        return subprocess.run(command, check=False).returncode
