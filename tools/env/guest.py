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
import threading

import cache
import chroot
import kernel
from report import Failure, say

MEMORY = {"stock": "2G", "debug": "3G"}
# A probe that takes longer than this under KVM has hung.
_PROBE_SECONDS = 60
# Guest and host agree on this word in the kernel's log: the guest got to its end.
SENTINEL = "vfence-guest: the end"
# By this name `init` finds the root once more, to mount it with a cache.
_ROOT_TAG = "vfence-root"
# Where virtme-run looks for a faster init than its own.
_INIT = [(os.path.join(os.path.dirname(os.path.abspath(__file__)), "init"),
          "/usr/lib/python3/dist-packages/virtme/guest/bin/virtme-ng-init")]


def _virtme(name, script, kvm, console=False):
    command = [
        "virtme-run", "--kimg", kernel.image(name), "--mods=auto", "--root", "/", "--rw",
        "--cpus", "2", "--memory", MEMORY[name], "--disable-monitor",
        # The driver's own lines must not be lost among a suite's.
        "--kopt", "printk.devkmsg=on", "--kopt", "log_buf_len=8M",
        "--kopt", "kunit.enable=1", "--kopt", "kunit.autorun=1",
    ]
    if script is not None:
        command += ["--script-sh", script]
    if console:
        command += ["--show-boot-console", "--kopt", "ignore_loglevel"]
    if not kvm:
        # A virtiofs daemon writes to the guest's memory behind the emulator's back, which then runs
        # what it has translated from a page before: programs crash at random. So 9p, which the
        # emulator serves itself; cached, since nobody else writes, and told its mount source.
        command += ["--force-9p", "--kopt", "root=/dev/root",
                    "--kopt", f"vfence_root={_ROOT_TAG}"]
        command += ["--disable-kvm", "--qemu-opts", "-accel", "tcg,thread=multi", "-cpu", "max",
                    "-virtfs", f"local,path=/,mount_tag={_ROOT_TAG},security_model=none,"
                               "multidevs=remap"]
    return command


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


def _spawn(command, timeout, stdin, out, err):
    """Runs the emulator and returns its exit status; None if it had to be killed."""
    # The emulator truncates a file that it is given as output: give it pipes.
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        pumps = [_pump(process.stdout, out), _pump(process.stderr, err)]
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            # SIGKILL to unshare takes everything in its PID namespace along.
            process.kill()
        for pump in pumps:
            pump.join(5)
        return status


def kvm_works():
    """Returns whether a guest comes up under KVM; asked once a boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id") as text:
        boot = text.read().strip()
    answer = os.path.join(cache.directory(), "kvm-probe")
    with cache.lock("kvm"):
        if os.path.exists(answer):
            with open(answer) as text:
                known, _, word = text.read().partition(" ")
            if known == boot:
                return word == "yes"
        say("vfence: trying whether a guest runs under KVM")
        with open(os.devnull, "wb") as null:
            command = chroot.argv(_virtme("stock", "true", True),
                                  binds=[*kernel.binds("stock"), *_INIT])
            works = _spawn(command, _PROBE_SECONDS, subprocess.DEVNULL, null, null) == 0
        say("vfence: it does" if works else "vfence: it does not; guests are emulated, "
            "which is slower")
        with open(answer, "w") as text:
            text.write(f"{boot} {'yes' if works else 'no'}")
        return works


def boot(name, script, *, binds, timeout=None, console=None, out=None, stdin=None):
    """Boots kernel `name`, runs the shell `script`, returns its exit status.

    With an open file `console`, all that the kernel prints goes there, to its
    last word, and the script's standard error with it. None as `script` gives
    a shell on the terminal. Returns None if the guest did not end in `timeout`
    seconds.
    """
    kvm = kvm_works()
    everything = [*kernel.binds(name), *_INIT, *binds]
    if script is None:
        if not sys.stdin.isatty():
            raise Failure("make shell needs a terminal; use make run CMD='…'")
        command = chroot.argv(_virtme(name, None, kvm), binds=everything)
        return subprocess.run(command, check=False).returncode
    # The kernel's command line, by which virtme-run passes a script on, is short.
    with tempfile.NamedTemporaryFile("w", prefix="vfence-script-") as text:
        text.write(script)
        text.flush()
        inside = "/opt/vfence/script"
        command = chroot.argv(_virtme(name, f"exec bash {inside}", kvm, console is not None),
                              binds=[*everything, (text.name, inside)])
        return _spawn(command, timeout, stdin if stdin is not None else _standard_input(),
                      out or sys.stdout.buffer, console or sys.stderr.buffer)

