# SPDX-License-Identifier: GPL-2.0
"""The results of test programs are read from their output and from JUnit files."""

import contextlib
import io
import os
import unittest
import xml.etree.ElementTree as xml

import ktap
import vm_results
from report import Failure
from tests.scratch import Scratch

_MESON = """\
1/6 fence:late                  OK              0.02s
2/6 fence:error / failing case  FAIL            1.50s   exit status 1
3/6 hang                        TIMEOUT        30.01s   killed by signal 15 SIGTERM
4/6 node                        SKIP            0.01s
5/6 known                       EXPECTEDFAIL    0.01s   exit status 1
6/6 other                       IGNORED         0.01s
"""
_CTEST = """\
    Start 1: late
1/5 Test #1: late .............................   Passed    0.01 sec
2/5 Test #2: node .............................***Skipped   0.00 sec
3/5 Test #3: error ............................***Failed    0.02 sec
4/5 Test #4: gone .............................***Not Run   0.00 sec
5/5 Test #5: off ..............................***Not Run (Disabled)   0.00 sec
"""
_GTEST = """\
[ RUN      ] Fence.Late
[       OK ] Fence.Late (12 ms)
[  SKIPPED ] Fence.Node (0 ms)
[  FAILED  ] Fence.Error/1, where GetParam() = 5 (3 ms)
[  FAILED  ] Fence.Error/1, where GetParam() = 5
[  PASSED  ] 1 test.
"""
_JUNIT = """<testsuites><testsuite name="s">
<testcase classname="s" name="a"/>
<testcase name="b"><failure message="why&#10;more"/></testcase>
<testcase name="c"><error>first
second</error></testcase>
<testcase name="d"><skipped message="no node"/></testcase>
<testcase name="e" status="notrun"/>
</testsuite></testsuites>
"""


def _short(suite):
    return [(result.name, result.status, result.reason) for result in suite.results]


class Output(unittest.TestCase):
    def check(self, output, *expected):
        self.assertEqual([line for suite in vm_results.read_output("x", output)
                          for line in _short(suite)], list(expected))

    def test_meson(self):
        self.check(_MESON, ("fence:late", "passed", ""),
                   ("fence:error / failing case", "failed", "exit status 1"),
                   ("hang", "failed", "killed by signal 15 SIGTERM"),
                   ("node", "skipped", ""), ("known", "passed", ""), ("other", "skipped", ""))

    def test_ctest(self):
        self.check(_CTEST, ("late", "passed", ""), ("node", "skipped", "0.00 sec"),
                   ("error", "failed", "0.02 sec"), ("gone", "failed", "0.00 sec"),
                   ("off", "skipped", "0.00 sec"))

    def test_each_format_is_a_suite(self):
        suites = vm_results.read_output("x", _GTEST + _CTEST + "ok 1 a\n")
        self.assertEqual([(suite.name, len(suite.results)) for suite in suites],
                         [("x", 1), ("x (ctest)", 5), ("x (gtest)", 3)])

    def test_gtest(self):
        self.check(_GTEST, ("Fence.Late", "passed", ""), ("Fence.Node", "skipped", ""),
                   ("Fence.Error/1", "failed", "where GetParam() = 5"))

    def test_tap(self):
        self.check("TAP version 14\n1..3\nok 1 - a\nnot ok 2 - b # TODO later\nok 3 # SKIP no\n",
                   ("a", "passed", ""), ("b", "skipped", "TODO later"), ("", "skipped", "no"))

    def test_documents_one_after_the_other(self):
        passed = [("a", "passed", ""), ("b", "passed", ""), ("c", "passed", "")]
        first, last = "1..2\nok 1 a\nok 2 b\n", "ok 1 a\nok 2 b\n1..2\n"
        for one in (first, last, f"TAP version 13\n{first}", f"KTAP version 1\n{first}"):
            for other in ("1..1\nok 1 c\n", "ok 1 c\n1..1\n", "TAP version 14\n1..1\nok 1 c\n"):
                self.check(f"{one}hello\n{other}", *passed)

    def test_document_that_stops_early(self):
        self.check("TAP version 13\n1..2\nok 1 a\nTAP version 13\n1..1\nok 1 b\n",
                   ("a", "passed", ""), ("plan", "failed", "planned 2 results, printed 1"),
                   ("b", "passed", ""))

    def test_nested_documents(self):
        self.check("KTAP version 1\n1..1\n    KTAP version 1\n    1..2\n    ok 1 a\n    ok 2 b\n"
                   "ok 1 suite\n", ("suite.a", "passed", ""), ("suite.b", "passed", ""))

    def test_output_without_results(self):
        self.check("building\n1 warning\n[10/20] cc a.c\n")


class Junit(Scratch):
    def test_cases(self):
        self.write("r.xml", _JUNIT)
        self.assertEqual(_short(vm_results.read_junit(self.path("r.xml"))), [
            ("s.a", "passed", ""), ("b", "failed", "why"), ("c", "failed", "first"),
            ("d", "skipped", "no node"), ("e", "skipped", "")])

    def test_broken_file_fails(self):
        self.write("r.xml", "<testsuites>")
        self.assertEqual(vm_results.read_junit(self.path("r.xml")).status, "failed")

    def test_file_without_tests_fails(self):
        self.write("r.xml", "<testsuites/>")
        self.assertEqual(_short(vm_results.read_junit(self.path("r.xml"))),
                         [("results", "failed", f"{self.path('r.xml')} has no tests")])

    def test_file_of_an_earlier_run_fails(self):
        self.write("r.xml", _JUNIT)
        path = self.path("r.xml")
        stamps = {path: vm_results.stamp(path), self.path("none"): None}
        for suite in vm_results.read_files(stamps):
            self.assertIn("the command has not written", suite.results[0].reason)
        os.unlink(path)
        self.write("r.xml", _JUNIT)
        os.utime(path, ns=(1, 1))
        self.assertEqual(len(vm_results.read_files(stamps)[0].results), 5)

    def test_report_is_read_back(self):
        suite = ktap.Suite("s", [ktap.Result("a", "passed"), ktap.Result("b", "skipped", "no <x>"),
                                 ktap.Result("c", "failed", "why \x1b[1m")], "text \x00 & more")
        path = self.path("out.xml")
        vm_results.write_junit(path, [suite])
        self.assertEqual(_short(vm_results.read_junit(path)), [
            ("s.a", "passed", ""), ("s.b", "skipped", "no <x>"), ("s.c", "failed", "why ?[1m")])
        element = xml.parse(path).getroot()[0]
        self.assertEqual([element.get(name) for name in ("tests", "failures", "skipped")],
                         ["3", "1", "1"])
        self.assertEqual(element.find("system-out").text, "text ? & more")

    def test_report_belongs_to_the_owner_of_the_current_directory(self):
        os.chown(self.directory, 1234, 4321)
        with contextlib.chdir(self.directory):
            vm_results.write_junit("out.xml", [])
            found = os.stat("out.xml")
        self.assertEqual((found.st_uid, found.st_gid), (1234, 4321))

    def test_report_of_an_earlier_run_is_removed(self):
        self.write("out.xml", _JUNIT)
        vm_results.remove_reports(["/dev/null", self.path("out.xml")])
        self.assertFalse(os.path.exists(self.path("out.xml")))
        self.assertTrue(os.path.exists("/dev/null"))
        self.write("out.xml", _JUNIT)
        with self.assertRaisesRegex(Failure, "cannot write .*: Is a directory"):
            vm_results.remove_reports([self.path("out.xml"), self.directory])
        self.assertTrue(os.path.exists(self.path("out.xml")))

    def test_report_that_cannot_be_written(self):
        with self.assertRaisesRegex(Failure, "cannot write .*/none/out.xml"):
            vm_results.write_junit(self.path("none/out.xml"), [])


class Judge(unittest.TestCase):
    def judge(self, statuses, status=0, wanted=True):
        suite = ktap.Suite("s", [ktap.Result(f"t{number}", word)
                                 for number, word in enumerate(statuses)])
        return vm_results.judge([suite], status, wanted)

    def test_passed(self):
        self.assertEqual(self.judge(["passed", "skipped"]), [])

    def test_none(self):
        self.assertEqual(self.judge([]), ["no test was found in the command's output"])
        self.assertEqual(self.judge([], wanted=False), [])

    def test_all_skipped(self):
        self.assertEqual(self.judge(["skipped"] * 2, wanted=False), ["every test was skipped (2)"])

    def test_suite_whose_tests_were_all_skipped(self):
        idle = ktap.Suite("r.xml", [ktap.Result("a", "skipped")] * 2)
        other = ktap.Suite("x", [ktap.Result("b", "passed")])
        for suites in ([idle, other], [other, idle]):
            self.assertEqual(vm_results.judge(suites, 0, False),
                             ["every test of r.xml was skipped (2)"])

    def test_failure_that_the_exit_status_hides(self):
        self.assertEqual(self.judge(["passed", "failed"]), ["1 of 2 tests failed, the first is t1"])
        self.assertEqual(self.judge(["passed", "failed"], status=1), [])


class Tee(unittest.TestCase):
    def test_keeps_what_passes(self):
        sink = io.BytesIO()
        tee = vm_results.Tee(sink)
        tee.write(b"a\xff")
        tee.write(b"b\n")
        self.assertEqual((sink.getvalue(), tee.text()), (b"a\xffb\n", "a\ufffdb\n"))


if __name__ == "__main__":
    unittest.main()
