# SPDX-License-Identifier: GPL-2.0
"""`vfence-vm` refuses what it cannot do in one line, and its verdict is that of the guest."""

import contextlib
import io
import os
import re
import unittest
from unittest import mock

import build
import guest
import vm
import vm_kit
from report import Failure
from tests.scratch import Scratch


class CommandLine(unittest.TestCase):
    def refused(self, *words):
        with contextlib.redirect_stderr(io.StringIO()) as said, \
                self.assertRaises(SystemExit) as end:
            vm._parse(list(words))
        self.assertEqual(end.exception.code, vm.NOT_RUN)
        return said.getvalue().splitlines()[-1]

    def test_words_after_the_dashes_are_the_command(self):
        options = vm._parse(["run", "--cpus", "1", "--", "ls", "--", "--cpus", "2"])
        self.assertEqual((options.cpus, options.command), (1, ["ls", "--", "--cpus", "2"]))

    def test_missing_command(self):
        self.assertIn("no command: write it after --", self.refused("run"))
        self.assertIn("no command: write it after --", self.refused("run", "--"))

    def test_command_where_none_runs(self):
        self.assertIn("shell runs no command", self.refused("shell", "--", "ls"))

    def test_bad_values(self):
        for words in (["--cpus", "0"], ["--memory", "2"], ["--timeout", "-1"], ["--kernel", "6.1"],
                      ["--allow-log", "("], ["--user", "root"], ["--par", "x=1"]):
            self.assertIn(words[0], self.refused("run", *words, "--", "true"))

    def test_kernels_are_those_of_this_architecture_that_are_not_for_measurements(self):
        self.assertLessEqual({"stock", "rt", "7.2", "debug"}, set(vm_kit.KERNELS))
        self.assertFalse({"arm64", "bench"} & set(vm_kit.KERNELS))


class Kernels(Scratch):
    def test_release_is_that_which_was_taken(self):
        with mock.patch.dict(os.environ, {"VFENCE_CACHE": self.directory}):
            self.assertRegex(vm_kit.describe("rt"), "7.3.4.*, or the newest of its series if")
            os.makedirs(os.path.join(vm_kit._stage("rt"), "lib", "7.3.9+deb13-rt-amd64"))
            self.assertEqual(vm_kit.describe("rt"),
                             "Debian's kernel 7.3.9+deb13-rt-amd64, unmodified")


class Shares(Scratch):
    def test_path_in_the_guest_and_mode(self):
        path = self.directory
        self.assertEqual(vm._share(path), (path, path, "rw"))
        self.assertEqual(vm._share(f"{path}:ro"), (path, path, "ro"))
        self.assertEqual(vm._share(f"{path}:/srv"), (path, "/srv", "rw"))
        self.assertEqual(vm._share(f"{path}:/srv:ro"), (path, "/srv", "ro"))

    def test_bad_words(self):
        for word, reason in ((f"{self.directory}:srv", "expected DIR"),
                             (f"{self.directory}:/srv:/x", "expected DIR"),
                             (self.path("none"), "no such directory"),
                             ("/tmp", "the guest has a /tmp of its own"),
                             (f"{self.directory}:/run/x", "the guest has a /run/x of its own"),
                             (f"{self.directory}:/", "the guest has a / of its own")):
            with self.assertRaisesRegex(Failure, reason, msg=word):
                vm._share(word)

    def test_current_directory_is_shared_once(self):
        with contextlib.chdir(self.directory):
            cwd = os.getcwd()
            for words, expected in (([], [cwd]), ([f"{cwd}:ro"], [cwd]),
                                    ([f"{build.CHECKOUT}:/srv"], [cwd, build.CHECKOUT])):
                shares = vm._shares(mock.Mock(share=words))
                sources = [share.source for share in shares
                           if not share.target.startswith("/usr/include/")]
                self.assertEqual(sources, expected)

    def test_current_directory_that_the_guest_has_itself(self):
        with contextlib.chdir("/"), self.assertRaisesRegex(Failure, "run vfence-vm in another dir"):
            vm._shares(mock.Mock(share=[]))

    def test_headers_are_where_a_compiler_finds_them(self):
        with contextlib.chdir(self.directory):
            targets = [share.target for share in vm._shares(mock.Mock(share=[]))]
        self.assertLessEqual({"/usr/include/linux/vfence.h", "/usr/include/linux/sw_sync.h",
                              "/usr/include/drm/vfence_drm.h"}, set(targets))


class Parameters(Scratch):
    def setUp(self):
        super().setUp()
        self.write("vfence.ko", "ELF\0parmtype=watchdog_ms:u32\0parm=watchdog_ms:text\0"
                   "parmtype=max_jobs:u32\0")
        self.write("vfence_drm.ko", "ELF\0parmtype=devices:u32\0")
        self.paths = [self.path("vfence.ko"), self.path("vfence_drm.ko")]

    def test_each_module_has_its_own(self):
        self.assertEqual(
            vm._parameters(["watchdog_ms=5", "vfence.max_jobs=2", "vfence_drm.devices=3"],
                           self.paths),
            {"vfence": ["watchdog_ms=5", "max_jobs=2"], "vfence_drm": ["devices=3"]})

    def test_bad_words(self):
        for word, reason in (("devices=2", "has no parameter devices; it has: max_jobs wa"),
                             ("drm.debug=1", "no module drm, only vfence and vfence_drm"),
                             ("watchdog_ms", "expected")):
            with self.assertRaisesRegex(Failure, reason):
                vm._parameters([word], self.paths)


class Environment(unittest.TestCase):
    def test_order(self):
        with mock.patch.dict(os.environ, {"A": "host"}, clear=True):
            self.assertEqual(
                vm._environment(["A", "B=x=y", "GONE"], None, {"PATH": "/image", "C": "image"}),
                {"A": "host", "B": "x=y", "C": "image", "PATH": "/image", "HOME": "/root",
                 "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": "/run/user/0"})

    def test_bad_name(self):
        with self.assertRaisesRegex(Failure, "expected NAME or NAME=VALUE"):
            vm._environment(["1=2"], None, {})


class Verdict(Scratch):
    """What _judge() returns for the files that a guest leaves."""

    def judge(self, status, *words, problem="", log=f"[ 1.0] {guest.SENTINEL}\n", output="",
              stamps=()):
        if log is not None:
            self.write("log", log)
        if problem:
            self.write("problem", f"{problem}\n")
        self.write("console", "")
        options = vm._parse(["run", *words, "--", "true"])
        with contextlib.redirect_stderr(io.StringIO()) as said:
            found = vm._judge(options, self.directory, status, output, dict(stamps))
        return found, said.getvalue()

    def test_exit_status_is_that_of_the_command(self):
        self.assertEqual(self.judge(0), (0, ""))
        self.assertEqual(self.judge(7), (7, ""))

    def test_log_that_is_not_clean(self):
        bad = f"[ 1.0] WARNING: x\n[ 2.0] {guest.SENTINEL}\n"
        self.assertEqual(self.judge(0, log=bad),
                         (1, "vfence-vm: kernel log: [ 1.0] WARNING: x\n"))
        self.assertEqual(self.judge(7, log=bad)[0], 7)
        self.assertEqual(self.judge(0, "--allow-log", "WARNING: [xy]", log=bad), (0, ""))
        self.assertEqual(self.judge(0, "--allow-log", "WARNING: y", log=bad)[0], 1)

    def test_dead_guest(self):
        status, said = self.judge(255, log=None)
        self.assertEqual((status, said), (vm.NOT_RUN, "vfence-vm: the guest died\n"))

    def test_modules_that_did_not_load(self):
        status, said = self.judge(125, problem="load")
        self.assertEqual(status, vm.NOT_RUN)
        self.assertIn("the modules did not load", said)

    def test_time_limit(self):
        status, said = self.judge(143, problem="timeout")
        self.assertEqual(status, vm.TIMED_OUT)
        self.assertIn("did not end within its time limit", said)
        self.assertEqual(self.judge(None, log=None)[0], vm.TIMED_OUT)

    def test_module_that_stays(self):
        status, said = self.judge(0, problem="unload")
        self.assertEqual(status, 1)
        self.assertIn("a module could not be unloaded", said)

    def test_time_limit_and_module_that_stays(self):
        status, said = self.judge(143, problem="timeout\nunload")
        self.assertEqual(status, vm.TIMED_OUT)
        self.assertIn("did not end within its time limit", said)
        self.assertIn("a module could not be unloaded", said)

    def test_log_that_the_command_has_cleared(self):
        self.write("kmsg", f"4,0,1000000,-;WARNING: x\n5,1,2000000,-;{guest.SENTINEL}\n")
        vm._keep_log(self.directory)
        self.assertEqual(self.judge(0, log=None)[1],
                         "vfence-vm: kernel log: [    1.000000] WARNING: x\n")

    def test_tests_that_were_all_skipped(self):
        status, said = self.judge(0, output="ok 1 a # SKIP no device\n")
        self.assertEqual((status, said), (1, "vfence-vm: every test was skipped (1)\n"))

    def test_no_test_where_a_report_was_asked_for(self):
        for option in ("--junit", "--ktap"):
            path = self.path("report")
            status, said = self.judge(0, option, path, output="hello\n")
            self.assertEqual((status, said),
                             (1, "vfence-vm: no test was found in the command's output\n"))
            with open(path) as text:
                self.assertIn("no test was found", text.read())
        self.assertEqual(self.judge(0, output="hello\n"), (0, ""))

    def test_report_has_the_tests_the_command_and_the_log(self):
        path = self.path("report")
        self.judge(3, "--ktap", path, output="ok 1 a\nnot ok 2 b\n")
        with open(path) as text:
            lines = [line.strip() for line in text if re.match(r" *(not )?ok", line)]
        self.assertEqual(lines, ["ok 1 a", "not ok 2 b", "not ok 1 true",
                                 "not ok 1 command # exit status 3", "ok 2 guest", "ok 3 results",
                                 "not ok 2 vfence-vm"])

    def test_report_that_cannot_be_written_keeps_the_status_of_the_command(self):
        for status, expected in ((0, 1), (3, 3)):
            found, said = self.judge(status, "--log", self.directory, output="ok 1 a\n")
            self.assertEqual(found, expected)
            self.assertIn(f"cannot write {self.directory}: Is a directory", said)

    def test_log_is_kept(self):
        self.judge(0, "--log", self.path("kept"))
        with open(self.path("kept")) as text:
            self.assertIn(guest.SENTINEL, text.read())


class Main(unittest.TestCase):
    def main(self, *words):
        with mock.patch.object(vm.signal, "signal"), \
                contextlib.redirect_stderr(io.StringIO()) as said:
            return vm.main(list(words)), said.getvalue()

    def test_report_without_a_directory_is_refused_before_the_guest_boots(self):
        for option in ("--ktap", "--junit", "--log"):
            with mock.patch.object(vm.host, "check"), mock.patch.object(vm, "_prepare") as prepare:
                self.assertEqual(
                    self.main("run", option, "/no/such/file", "--", "true"),
                    (vm.NOT_RUN, "vfence-vm: cannot write /no/such/file: No such file or "
                     "directory\n"))
                prepare.assert_not_called()

    def test_commands_that_need_root(self):
        with mock.patch.object(vm.host, "check", side_effect=Failure("no root")):
            for words in (["run", "--", "true"], ["shell"], ["cache", "save", "file"],
                          ["cache", "restore", "file"]):
                self.assertEqual(self.main(*words), (vm.NOT_RUN, "vfence-vm: no root\n"), words)


if __name__ == "__main__":
    unittest.main()
