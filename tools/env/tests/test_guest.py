# SPDX-License-Identifier: GPL-2.0
"""A guest that hangs or dies, or whose kernel reports a fault, fails."""

import os
import subprocess
import unittest
from unittest import mock

import guest
from report import Failure
from tests.scratch import Scratch

STOCK = guest.Machine("/stock", [])


class Wait(unittest.TestCase):
    def start(self, *argv):
        process = subprocess.Popen(argv)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_exit_status_is_returned(self):
        self.assertEqual(guest._wait(self.start("sh", "-c", "exit 3"), "/nonexistent", None), 3)

    def test_guest_that_does_not_boot_fails(self):
        with mock.patch.object(guest, "BOOT_SECONDS", 0), self.assertRaises(Failure):
            guest._wait(self.start("sleep", "60"), "/nonexistent", None)

    def test_booted_guest_ends_at_its_time_limit(self):
        with mock.patch.object(guest, "BOOT_SECONDS", 0):
            self.assertIsNone(guest._wait(self.start("sleep", "60"), "/", 1))

    def test_time_limit_begins_when_the_guest_has_booted(self):
        self.assertEqual(guest._wait(self.start("sleep", "3"), "/nonexistent", 1), 0)


class Probe(Scratch):
    """The answer whether KVM works is kept, unless the host was too busy to find out."""

    def setUp(self):
        super().setUp()
        for patch in (mock.patch.object(guest.cache, "directory", lambda: self.directory),
                      mock.patch.object(guest.os, "access", return_value=True),
                      mock.patch.object(guest, "_argv"), mock.patch.object(guest, "say")):
            patch.start()
            self.addCleanup(patch.stop)

    def works(self, status):
        """Returns the answer, and how often it was sought, if the probe ends with `status`."""
        with mock.patch.object(guest, "_spawn", return_value=status) as spawn:
            return guest.kvm_works(STOCK), spawn.call_count

    def test_answer_is_kept(self):
        for status, expected in ((0, True), (1, False)):
            self.assertEqual(self.works(status), (expected, 1))
            self.assertEqual(self.works(1 - status), (expected, 0))
            os.unlink(self.path("kvm-probe"))

    def test_probe_that_took_too_long_is_repeated_later(self):
        self.assertEqual(self.works(None), (False, 1))
        self.assertEqual(self.works(0), (False, 0))
        os.utime(self.path("kvm-probe"), (0, 0))
        self.assertEqual(self.works(0), (True, 1))


class Emulator(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.object(guest.kernel, "image", lambda name: f"/{name}")
        patch.start()
        self.addCleanup(patch.stop)

    def test_emulated_guest_does_not_check_its_timer(self):
        self.assertIn("no_timer_check", guest._virtme(STOCK, "true", False))
        self.assertNotIn("no_timer_check", guest._virtme(STOCK, "true", True))

    def test_no_virtiofs_without_kvm(self):
        self.assertIn("--force-9p", guest._virtme(STOCK, "true", False))
        self.assertNotIn("--force-9p", guest._virtme(STOCK, "true", True))

    def test_counted_guest_has_one_cpu_and_one_thread(self):
        command = guest._virtme(STOCK, "true", False, counted=True)
        self.assertEqual(command[command.index("--cpus") + 1], "1")
        self.assertIn("tcg,thread=single", command)
        self.assertEqual(command[command.index("-icount") + 1], "shift=0,sleep=off")
        self.assertNotIn("-icount", guest._virtme(STOCK, "true", False))

    def test_guest_that_reads_the_counter_of_the_host_gets_its_frequency(self):
        option = "tsc_early_khz=2596142"
        foreign = guest.Machine("/image", [], foreign="/arm64")
        with mock.patch.object(guest.tsc, "khz", lambda: 2596142):
            self.assertIn(option, guest._virtme(STOCK, "true", False))
            self.assertNotIn(option, guest._virtme(STOCK, "true", True))
            self.assertNotIn(option, guest._virtme(STOCK, "true", False, counted=True))
            self.assertNotIn(option, guest._virtme(foreign, "true", False))

    def test_counted_guest_never_uses_kvm(self):
        with mock.patch.object(guest, "kvm_works", side_effect=AssertionError), \
                mock.patch.object(guest.kernel, "binds", lambda name: []), \
                mock.patch.object(guest.chroot, "argv", lambda command, **_: command), \
                mock.patch.object(guest, "_spawn", lambda command, *_: command):
            self.assertIn("-icount", guest.boot("bench", "true", binds=[], counted=True,
                                                stdin=subprocess.DEVNULL))

    def test_foreign_guest_has_only_its_own_root_and_the_mounts_in_it(self):
        machine = guest.Machine(f"{guest.ROOT}/arm64", [("/kernel", "/lib/modules")], "/tools",
                                foreign="/arm64")
        command = guest._virtme(machine, "true", False)
        self.assertEqual(command[command.index("--root") + 1], guest.ROOT)
        self.assertEqual(command[command.index("--arch") + 1], "aarch64")
        self.assertNotIn("--arch", guest._virtme(STOCK, "true", False))
        with mock.patch.object(guest.chroot, "argv", lambda command, **options: options):
            options = guest._argv(machine, command, [("/console", "/console")])
        self.assertEqual((options["lower"], options["second"]), ("/tools", ("/arm64", guest.ROOT)))
        for mount in ("/lib/modules", "/console", f"{guest.chroot.MOUNT}/init-run"):
            targets = [target for _, target in options["binds"] if target.endswith(mount)]
            self.assertEqual(targets, [mount, guest.ROOT + mount])

    def test_console_of_a_script_is_a_file_and_of_a_shell_the_terminal(self):
        option = "chardev.console.path=/x"
        self.assertIn(option, guest._virtme(STOCK, "true", False, "/x"))
        self.assertNotIn(option, guest._virtme(STOCK, None, False, "/x"))


class Problems(Scratch):
    def setUp(self):
        super().setUp()
        self.write("console", "")

    def problems(self):
        return guest.problems(self.path("log"), self.path("console"))

    def test_clean(self):
        self.write("log", f"[ 1.0] hello\n[ 2.0] {guest.SENTINEL}\n")
        self.assertEqual(self.problems(), [])

    def test_warning(self):
        self.write("log", f"[ 1.0] WARNING: x\n[ 2.0] {guest.SENTINEL}\n")
        self.assertEqual(self.problems(), ["kernel log: [ 1.0] WARNING: x"])

    def test_death(self):
        self.assertEqual(self.problems(), ["the guest died"])
        self.write("console", "[ 9.0] Kernel panic - not syncing: why\n")
        self.assertEqual(self.problems(),
                         ["the guest died: [ 9.0] Kernel panic - not syncing: why"])
