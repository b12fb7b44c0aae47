# SPDX-License-Identifier: GPL-2.0
"""The list of suites is parsed, and every suite of a guest has a result."""

import json
import unittest

import inside
import testrun
from inside import Suite
from report import Failure
from tests.scratch import Scratch


class List(unittest.TestCase):
    def test_list(self):
        text = "# all\nbasic\nunload nomodule\nrender drm a=1 b=2\n\n"
        self.assertEqual(inside.suites(text, "debug"),
                         [Suite("basic", 1, []), Suite("unload", 0, []),
                          Suite("render", 2, ["a=1", "b=2"])])

    def test_only_one_kernel(self):
        text = "long misc only=stock a=1\nchecked misc only=debug\n"
        self.assertEqual(inside.suites(text, "stock"), [Suite("long", 1, ["a=1"])])
        self.assertEqual(inside.suites(text, "debug"), [Suite("checked", 1, [])])

    def test_only_one_root(self):
        text = "old drm only=trixie\nboth drm\n"
        self.assertEqual(inside.suites(text, "trixie"), [Suite("old", 2, []), Suite("both", 2, [])])
        self.assertEqual(inside.suites(text, "forky"), [Suite("both", 2, [])])

    def test_time_limit(self):
        text = "slow misc a=1 seconds=900 only=stock\nunload nomodule seconds=7\n"
        self.assertEqual(inside.suites(text, "stock"),
                         [Suite("slow", 1, ["a=1"], 900), Suite("unload", 0, [], 7)])

    def test_variants_left_out_on_the_debug_kernel(self):
        text = "both drm debug-without=render a=1\nfour drm debug-without=render_a,render_b\n"
        self.assertEqual(inside.suites(text, "stock"),
                         [Suite("both", 2, ["a=1"]), Suite("four", 2, [])])
        self.assertEqual(inside.suites(text, "debug"),
                         [Suite("both", 2, ["a=1"], None, ("-Vrender",)),
                          Suite("four", 2, [], None, ("-Vrender_a", "-Vrender_b"))])

    def test_ordinary_user(self):
        text = "open misc user=render a=1\nprivate misc\n"
        self.assertEqual(inside.suites(text, "debug"),
                         [Suite("open", 1, ["a=1"], by_user=True), Suite("private", 1, [])])

    def test_once_for_each_guest(self):
        text = "basic misc only=stock a=1\nbasic misc only=debug a=2\n"
        self.assertEqual(inside.suites(text, "debug"), [Suite("basic", 1, ["a=2"])])

    def test_bad_lines(self):
        for text in ("basic nomodul\n", "basic nomodule twice\n", "basic drm nomodule\n",
                     "basic\nbasic nomodule\n", "basic misc seconds=long\n",
                     "basic misc only=release\n", "basic misc user=root\n"):
            with self.subTest(text), self.assertRaises(ValueError):
                inside.suites(text, "stock")


class Collected(Scratch):
    def test_missing_empty_and_bad_lists_fail(self):
        with self.assertRaises(Failure):
            testrun._programs("stock", self.path("suites"))
        for text in ("# nothing yet\n", "basic twice\n"):
            self.write("suites", text)
            with self.subTest(text), self.assertRaises(Failure):
                testrun._programs("stock", self.path("suites"))

    def test_suite_that_did_not_run_fails(self):
        self.write("a.log", "1..1\nok 1 case\n")
        self.write("b.log", "1..2\nok 1 case\n")
        self.write("results", json.dumps({"name": "a", "status": 0, "problems": []}) + "\n")
        suites = list(testrun._program_suites("stock", ["a", "b", "c"], self.directory))
        self.assertEqual([s.status for s in suites], ["passed", "failed", "failed"])

    def test_problem_around_a_suite_that_passed_fails_it(self):
        self.write("a.log", "1..1\nok 1 case\n")
        record = {"name": "a", "status": 0, "problems": ["rmmod failed"]}
        self.write("results", json.dumps(record) + "\n")
        suite, = testrun._program_suites("stock", ["a"], self.directory)
        self.assertEqual([r.status for r in suite.results], ["passed", "failed"])

    def test_missing_results_of_kunit_and_kmemleak_fail(self):
        self.assertEqual([s.status for s in testrun._debug_suites(self.directory)],
                         ["failed", "failed"])
        self.write("kunit-fence.log", "KTAP version 1\n1..1\nok 1 case\n")
        self.write("kmemleak.log", "")
        self.assertEqual([s.status for s in testrun._debug_suites(self.directory)],
                         ["passed", "passed"])
        self.write("kmemleak.log", "unreferenced object 0xffff888 (size 64):\n")
        self.assertEqual([s.status for s in testrun._debug_suites(self.directory)],
                         ["passed", "failed"])
