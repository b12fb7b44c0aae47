# SPDX-License-Identifier: GPL-2.0
"""What is made of the numbers of llvm-cov."""

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

    def test_enough(self):
        self.assertEqual(self.statuses(_summary(machine=95.0), "machine"), ["passed"])

    def test_too_little(self):
        self.assertEqual(self.statuses(_summary(machine=94.9), "machine"), ["failed"])

    def test_file_that_no_test_runs(self):
        self.assertEqual(self.statuses(_summary(machine=100.0), "machine", "pace"),
                         ["passed", "failed"])

    def test_name_is_compared_as_a_whole(self):
        self.assertEqual(self.statuses(_summary(xmachine=100.0), "machine"), ["failed"])


class Sources(unittest.TestCase):
    def test_the_crate_names_them(self):
        self.assertIn("rust/vfence/machine.rs", coverage._sources())


if __name__ == "__main__":
    unittest.main()
