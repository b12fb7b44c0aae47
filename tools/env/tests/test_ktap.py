# SPDX-License-Identifier: GPL-2.0
"""Results in each format are counted, and a program without results fails."""

import unittest

import ktap


def statuses(output, status=0):
    return [result.status for result in ktap.parse("suite", output, status).results]


class Parse(unittest.TestCase):
    def test_kselftest(self):
        text = "TAP version 13\n1..3\nok 1 a\nnot ok 2 b\nok 3 c # SKIP no device\n"
        self.assertEqual(statuses(text, 1), ["passed", "failed", "skipped"])

    def test_kernel_suite_of_sw_sync(self):
        text = ("TAP version 13\n1..2\n# [RUN]\tTesting sync framework\n"
                "ok 1 [RUN]\ttest_alloc_timeline\nok 2 [RUN]\ttest_alloc_fence\n"
                "# Totals: pass:2 fail:0 xfail:0 xpass:0 skip:0 error:0\n")
        self.assertEqual(statuses(text), ["passed", "passed"])
        # If the process of a case dies, its line is missing.
        died = text.replace("ok 2 [RUN]\ttest_alloc_fence\n", "")
        self.assertEqual(statuses(died), ["passed", "failed"])

    def test_nested_counts_leaves(self):
        text = ("[    1.0] KTAP version 1\n[    1.0] 1..1\n[    1.0]     1..2\n"
                "[    1.0]     ok 1 a\n[    1.0]     ok 2 b\n[    1.0] ok 1 group\n")
        suite = ktap.parse("kunit", text)
        self.assertEqual([r.name for r in suite.results], ["group.a", "group.b"])
        self.assertEqual(suite.status, "passed")

    def test_short_of_plan_fails(self):
        self.assertEqual(statuses("1..2\nok 1 a\n"), ["passed", "failed"])

    def test_plan_without_results_fails(self):
        self.assertIn("failed", statuses("1..2\n"))

    def test_libtest(self):
        text = ("running 3 tests\ntest a::b ... ok\ntest c ... FAILED\n"
                "test d ... ignored, slow\n")
        self.assertEqual(statuses(text, 101), ["passed", "failed", "skipped"])

    def test_libtest_with_output_before_the_result(self):
        text = ("running 3 tests\ntest a   ... ok\ntest b_c ... \n"
                "thread 'main' panicked at x.rs:1:\nno\nFAILED\ntest d   ... ok\n")
        results = ktap.parse("suite", text, 101).results
        self.assertEqual([(r.name, r.status) for r in results],
                         [("a", "passed"), ("b_c", "failed"), ("d", "passed")])

    def test_measurement_is_printed(self):
        text = ("running 2 tests\ntest a   ... measured: 3 µs\nok\n"
                "test b   ... ignored, slow\nmeasured: 4 µs\n")
        suite = ktap.parse("suite", text)
        self.assertEqual([(r.name, r.status) for r in suite.results],
                         [("a", "passed"), ("b", "skipped")])
        self.assertEqual(ktap.render(1, suite).splitlines()[-3:],
                         ["    # measured: 3 µs", "    # measured: 4 µs", "ok 1 suite"])

    def test_libtest_that_died_fails(self):
        self.assertEqual(statuses("running 2 tests\ntest a ... ok\n", 139), ["passed", "failed"])

    def test_unittest(self):
        text = "test_a (m.C.test_a) ... ok\ntest_b (m.C.test_b) ... FAIL\n"
        self.assertEqual(statuses(text, 1), ["passed", "failed"])

    def test_libtest_and_unittest_in_one_run(self):
        self.assertEqual(statuses("running 1 test\ntest a ... ok\ntest_b (m.C.test_b) ... ok\n"),
                         ["passed", "passed"])

    def test_document_that_bails_out_fails(self):
        results = ktap.parse("suite", "ok 1 a\nBail out! no node\n").results
        self.assertEqual([(r.name, r.status, r.reason) for r in results],
                         [("bail out", "failed", "no node"), ("a", "passed", "")])

    def test_empty_output_fails(self):
        self.assertEqual(statuses(""), ["failed"])

    def test_bad_exit_after_good_results_fails(self):
        self.assertEqual(statuses("1..1\nok 1 a\n", 139), ["passed", "failed"])

    def test_suite_of_skipped_cases_is_skipped(self):
        suite = ktap.parse("suite", "1..0 # SKIP no device\n", 4)
        self.assertEqual(suite.status, "skipped")


class Totals(unittest.TestCase):
    def test_line(self):
        suite = ktap.parse("suite", "1..2\nok 1 a\nnot ok 2 b\n", 1)
        self.assertEqual(ktap.totals([suite]), ("1 passed, 1 failed, 0 skipped", False))

    def test_run_without_results_fails(self):
        self.assertEqual(ktap.totals([]), ("0 passed, 0 failed, 0 skipped", False))
