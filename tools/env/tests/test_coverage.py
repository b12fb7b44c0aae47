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
        self.assertEqual(self.statuses(_summary(machine=95.0), "machine"), ["passed"])

    def test_coverage_below_the_goal_fails(self):
        self.assertEqual(self.statuses(_summary(machine=94.9), "machine"), ["failed"])

    def test_file_without_coverage_fails(self):
        self.assertEqual(self.statuses(_summary(machine=100.0), "machine", "pace"),
                         ["passed", "failed"])

    def test_whole_file_name_is_compared(self):
        self.assertEqual(self.statuses(_summary(xmachine=100.0), "machine"), ["failed"])


class Sources(unittest.TestCase):
    def test_sources_are_those_that_the_crate_includes(self):
        self.assertIn("rust/vfence/machine.rs", coverage._sources())


if __name__ == "__main__":
    unittest.main()
