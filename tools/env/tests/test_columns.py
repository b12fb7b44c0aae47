# SPDX-License-Identifier: GPL-2.0
"""Long lines are found in text files, and only the named exceptions are allowed."""

import os
import subprocess
import unittest
from unittest import mock

import bench
import build
import columns
from tests.scratch import Scratch


class Width(unittest.TestCase):
    def test_tab_extends_to_a_multiple_of_8(self):
        self.assertEqual(columns.width("\tx"), 9)
        self.assertEqual(columns.width("1234567\tx"), 9)
        self.assertEqual(columns.width("12345678\tx"), 17)

    def test_character_is_a_column(self):
        self.assertEqual(columns.width("→ µs"), 4)


class Lines(unittest.TestCase):
    def found(self, path, *lines):
        return columns.long_lines(path, "\n".join(lines).encode())

    def test_limit(self):
        self.assertEqual(self.found("a.rs", "x" * 100, "x" * 101, "\t" * 12 + "12345"), [2, 3])

    def test_row_of_a_markdown_table_is_allowed(self):
        row = f"| a | {'x' * 100} |"
        self.assertEqual(self.found("a.md", row, f"  {row}  "), [])
        self.assertEqual(self.found("a.rs", row), [1])

    def test_other_markdown_is_not_allowed(self):
        for line in ("x" * 101, f"| {'x' * 100}", f"{'x' * 100} | a |", f"# {'x' * 100}"):
            self.assertEqual(self.found("a.md", line), [1])

    def test_row_in_a_block_of_code_is_not_allowed(self):
        row = f"| {'x' * 100} |"
        self.assertEqual(self.found("a.md", "```", row, "```", row), [2])

    def test_generated_files_are_allowed(self):
        for path in ("Cargo.lock", os.path.relpath(bench.BASELINE, build.CHECKOUT),
                     "tools/vfence/src/uapi/vfence_generated.rs"):
            self.assertEqual(self.found(path, "x" * 101), [])
        for path in ("tools/Cargo.lock", "other_generated.rs"):
            self.assertEqual(self.found(path, "x" * 101), [1])

    def test_binary_file_is_not_checked(self):
        self.assertEqual(columns.long_lines("a.png", b"\0" + b"x" * 101), [])

    def test_text_that_is_not_utf_8_is_checked(self):
        self.assertEqual(columns.long_lines("a.txt", b"\xff" * 101), [1])


class Checkout(Scratch):
    """The root file system, where the tests run, has no git: its output is made up."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path(".git"))

    def suite(self, *tracked, status=0):
        """Returns the suite of a checkout in which git tracks the files `tracked`."""
        output = "".join(f"{name}\0" for name in tracked).encode()
        done = subprocess.CompletedProcess([], status, output, b"fatal: no repository\n")
        with mock.patch.object(columns.subprocess, "run", lambda *_, **__: done):
            return columns.suite(self.directory)

    def results(self, *tracked, status=0):
        suite = self.suite(*tracked, status=status)
        return [(result.name, result.status) for result in suite.results]

    def test_tracked_files_are_checked(self):
        self.write("good.rs", "x\n")
        self.write("bad.rs", f"x\n{'x' * 101}\n")
        self.write("untracked.rs", "x" * 101)
        self.assertEqual(self.results("good.rs", "bad.rs"), [("bad.rs", "failed")])
        self.assertEqual(self.suite("bad.rs").results[0].reason, "lines over 100 columns: 2")
        self.assertEqual(self.results("good.rs"), [("files", "passed")])

    def test_deleted_file_and_link_are_skipped(self):
        os.symlink("nowhere", self.path("link"))
        self.assertEqual(self.results("link", "gone.rs"), [("files", "passed")])

    def test_directory_without_git_is_skipped(self):
        os.rmdir(self.path(".git"))
        self.assertEqual(self.results(), [("files", "skipped")])

    def test_failure_of_git_fails(self):
        self.assertEqual(self.results(status=128), [("files", "failed")])

    def test_missing_git_fails(self):
        with mock.patch.object(columns.subprocess, "run", side_effect=FileNotFoundError(2, "no")):
            result, = columns.suite(self.directory).results
        self.assertEqual((result.status, result.reason), ("failed", "git: no"))


if __name__ == "__main__":
    unittest.main()
