# SPDX-License-Identifier: GPL-2.0
"""A file passes if its line coverage reaches the goal."""

import unittest

import coverage


def _summary(**percents):
    files = [{"filename": f"/checkout/rust/vfence/{name}.rs",
              "summary": {"lines": {"percent": percent}}} for name, percent in percents.items()]
    return {"data": [{"files": files}]}


class Judge(unittest.TestCase):
    def statuses(self, summary, *names):
        sources = [f"rust/vfence/{name}.rs" for name in names]
        return [result.status for result in coverage.judge(summary, sources)]

    def test_coverage_at_the_goal_passes(self):
        self.assertEqual(self.statuses(_summary(scheduler=95.0), "scheduler"), ["passed"])

    def test_coverage_below_the_goal_fails(self):
        self.assertEqual(self.statuses(_summary(scheduler=94.9), "scheduler"), ["failed"])

    def test_file_without_coverage_fails(self):
        self.assertEqual(self.statuses(_summary(scheduler=100.0), "scheduler", "speed"),
                         ["passed", "failed"])

    def test_whole_file_name_is_compared(self):
        self.assertEqual(self.statuses(_summary(xscheduler=100.0), "scheduler"), ["failed"])


class Sources(unittest.TestCase):
    def test_sources_are_those_that_the_crate_includes(self):
        sources = coverage._sources()
        self.assertIn("rust/vfence/sched/scheduler.rs", sources)
        self.assertNotIn("rust/vfence/sched/mod.rs", sources)


if __name__ == "__main__":
    unittest.main()
