# SPDX-License-Identifier: GPL-2.0
"""`make run` builds the programs that a command needs, and hides the others."""

import os
import subprocess
from unittest import mock

import programs
from tests.scratch import Scratch


class Programs(Scratch):
    def needed(self, command):
        sources = {name: None for name in ("a_test", "a_test_32", "demo", "demo-two")}
        sources["runs_others_test"] = self.path("runs_others_test.c")
        return programs.needed(command, self.directory, sources, [self.path("build/out")])

    def test_words_of_a_command(self):
        for command, names in (("uname -a", []), ("a_test -l", ["a_test"]),
                               ("sh -c \"a_test && demo-two\"", ["a_test", "demo-two"]),
                               ("timeout 5 a_test_32>log", ["a_test_32"]),
                               ("build/selftests/demo", ["demo"]), ("true # demo", ["demo"]),
                               ("my_a_test; not_demo", []), ("", [])):
            self.assertEqual(self.needed(command), set(names), command)

    def test_directory_of_the_programs_stands_for_all(self):
        for command in ("for t in build/out/*_test; do $t; done", "build/out/a*_test -l",
                        "find build/out -name '*_test' -exec {} \\;", "cd build/../build/out/",
                        f"\"{self.directory}/build/out/$t\""):
            self.assertIn("demo-two", self.needed(command), command)
        self.write("all.sh", "exec build/out/[ab]_test")
        self.assertIn("demo-two", self.needed("./all.sh"))
        for command in ("cat build/output", "ls build", "build/out/a_test"):
            self.assertNotIn("demo-two", self.needed(command), command)

    def test_scripts_that_a_command_names(self):
        self.write("first.sh", "cd /; \"$(dirname $0)\"/x; . sub/second.sh")
        self.write("sub/second.sh", "exec demo first.sh")
        self.assertEqual(self.needed("./first.sh"), {"demo"})
        self.assertEqual(self.needed(f"bash -e '{self.directory}/first.sh'"), {"demo"})
        self.assertEqual(self.needed("log=first.sh; true"), {"demo"})

    def test_programs_that_a_program_runs(self):
        self.write("runs_others_test.c", 'execl("demo", "demo", NULL);')
        self.assertEqual(self.needed("runs_others_test"), {"runs_others_test", "demo"})

    def test_binary_files_name_nothing(self):
        self.write("binary", "\0 demo")
        os.mkdir(self.path("directory"))
        self.assertEqual(self.needed("./binary directory missing"), set())

    def test_files_of_the_kernel_are_not_read(self):
        with mock.patch.object(programs, "open", create=True) as opened:
            self.assertEqual(self.needed("cat /proc/self/status /sys/kernel/notes"), set())
        opened.assert_not_called()

    def test_stub_names_itself_and_fails(self):
        stubs = self.path("stubs")
        programs.hide({"a_test", "demo"}, stubs, [])
        self.assertEqual({name for name in os.listdir(stubs) if name[0] != "."},
                         {"a_test", "demo"})
        done = subprocess.run([os.path.join(stubs, "demo"), "-l"], check=False, text=True,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 127)
        self.assertRegex(done.stderr, r"^vfence: demo was not built: .*CMD='… # demo'\n$")

    def test_program_of_an_earlier_build_is_hidden_at_its_path(self):
        for name in ("a_test", "demo", "other"):
            self.write(f"out/{name}", "old")
        binds = programs.hide({"a_test", "demo", "gone"}, self.path("stubs"), [self.path("out")])
        for name in ("a_test", "demo"):
            self.assertIn((self.path("stubs/.stub"), self.path(f"out/{name}")), binds)
        self.assertEqual(len(binds), 2)

    def test_rust_programs_have_sources(self):
        found = programs.rust()
        for name in ("vfence-pipeline", "vfence-example", "lifetime_test"):
            self.assertIn(name, found)
        for path in found.values():
            self.assertTrue(os.path.exists(path), path)

    def test_suite_of_the_examples_needs_the_examples(self):
        names = ("example", "pixels", "tutorial", "render", "vfence-example")
        sources = {**programs.rust(), **dict.fromkeys(names)}
        self.assertLessEqual({"example", "pixels", "vfence-example"},
                             programs.needed("examples_test", "/", sources, []))
        self.assertEqual(programs.needed("vfence-pipeline", "/", sources, []),
                         {"vfence-pipeline"})
