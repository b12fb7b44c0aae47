# SPDX-License-Identifier: GPL-2.0
"""The CI of the example project is judged by the cases that ran, and mutants are what they say."""

import os
import re
import unittest

import build
import example
import ktap
import vm_results
from report import Failure
from tests.scratch import Scratch

_ALL = "waits order late error hang full".split()


def _results(*broken):
    return {name: name not in broken for name in _ALL}


class Judge(Scratch):
    def test_a_job_passes_and_finds_mutants(self):
        self.assertEqual(example.judge(0, _results(), ()), [])
        self.assertEqual(example.judge(1, _results("error", "hang"), ("hang", "error")), [])

    def test_a_job_that_hides_a_failure(self):
        self.assertEqual(example.judge(0, _results("hang"), ("hang",)),
                         ["the exit status of the job is 0"])

    def test_a_job_that_fails_for_another_reason(self):
        self.assertEqual(example.judge(1, {}, ("hang",)), ["the cases that ran are none"])
        self.assertEqual(example.judge(1, _results("late"), ("hang",)),
                         ["the cases that failed are late"])
        self.assertEqual(example.judge(125, _results(), ()),
                         ["the exit status of the job is 125"])

    def test_a_report_has_the_cases(self):
        suite = ktap.Suite("testlog.junit.xml", [
            ktap.Result("frame-queue.fences.1 waits", "passed"),
            ktap.Result("frame-queue.fences.2 late", "failed", "why")])
        command = ktap.Suite("bash", [ktap.Result("fences", "failed")])
        vm_results.write_junit(self.path("report"), [command, suite])
        self.assertEqual(example.cases(self.path("report")), {"waits": True, "late": False})
        with self.assertRaisesRegex(Failure, "the report of the job"):
            example.cases(self.path("none"))


class Reference(unittest.TestCase):
    def test_files_name_the_tag_of_the_major_version(self):
        for path, count in (("README.md", 1), ("vfence.gitlab-ci.yml", 1),
                            ("Documentation/tutorial.md", 1), ("Documentation/ci/README.md", 3),
                            ("Documentation/ci/example/.github/workflows/test.yml", 1),
                            ("Documentation/ci/example/.gitlab-ci.yml", 1)):
            with open(os.path.join(build.CHECKOUT, path)) as text:
                found = re.findall(r"(?:OWNER/vfence@|\bref: |VFENCE_REF: |`)(v\d+)\b",
                                   text.read())
            self.assertEqual(found, [example.REF] * count, path)


class Mutants(unittest.TestCase):
    def test_each_changes_one_line_of_the_library(self):
        path = os.path.join(build.CHECKOUT, "Documentation", "ci", "example", "frame_queue.c")
        with open(path) as text:
            source = text.read()
        for mutant in example.MUTANTS.values():
            changed = example.mutate(source, mutant)
            pairs = list(zip(source.splitlines(), changed.splitlines(), strict=True))
            self.assertEqual(sum(before != after for before, after in pairs), 1)
            self.assertTrue(set(mutant.found_by) < set(_ALL))
        with self.assertRaises(Failure):
            example.mutate("", mutant)
