# SPDX-License-Identifier: GPL-2.0
"""Missing figures fail, slower ones are reported, and the table shows which goals are met."""

import contextlib
import io
import json
import os
import unittest
from unittest import mock

import bench
from tests.scratch import Scratch


def row(operation="create", vfence=100.0, peer=200.0, goal=1.0, unit="instructions", **more):
    found = {"operation": operation, "unit": unit, "goal": goal, "vfence": vfence, **more}
    return found if peer is None else {**found, "peer": peer}


def printed(*found, plan=None):
    plan = len(found) if plan is None else plan
    return "\n".join(json.dumps(record) for record in ({"rows": plan}, *found)) + "\n"


class Rows(unittest.TestCase):
    def test_output_of_the_program(self):
        expected = [row(), row("memory", peer=None), row("signal", pending=1000)]
        self.assertEqual(bench.rows(printed(*expected)), (expected, []))

    def test_figure_that_is_not_a_number_is_a_problem(self):
        for value in (None, "1", True, -1.0):
            self.assertEqual(bench.rows(printed(row(vfence=value)))[1],
                             ["create: no figure of vfence"])
        self.assertEqual(bench.rows(printed({**row(), "peer": None}))[1],
                         ["create: no figure of the peer"])

    def test_missing_row_is_a_problem(self):
        self.assertEqual(bench.rows(printed(row(), plan=2))[1], ["1 rows of 2"])

    def test_empty_output_is_a_problem(self):
        self.assertEqual(bench.rows("")[1], ["0 rows of an unknown number"])

    def test_line_that_is_not_a_row_is_a_problem(self):
        for line in ("Segmentation fault", "[]", '{"operation": "x"}', "3"):
            found, problems = bench.rows(f"{printed()}{line}\n")
            self.assertEqual((found, problems[0]), ([], f"not a row: {line}"))


class Judge(unittest.TestCase):
    def test_goal_of_a_row_with_a_peer_limits_the_ratio(self):
        self.assertEqual(bench.judge(row(vfence=100, peer=200, goal=0.5))["met"], True)
        judged = bench.judge(row(vfence=102, peer=200, goal=0.5))
        self.assertEqual((judged["ratio"], judged["met"]), (0.51, False))

    def test_goal_of_a_row_without_a_peer_limits_the_figure(self):
        judged = bench.judge(row(vfence=256, peer=None, goal=256))
        self.assertEqual((judged["ratio"], judged["met"]), (None, True))
        self.assertEqual(bench.judge(row(vfence=257, peer=None, goal=256))["met"], False)

    def test_goal_of_a_missing_figure_is_not_met(self):
        self.assertIsNone(bench.judge(row(vfence=None))["met"])
        self.assertIsNone(bench.judge({**row(), "peer": None})["met"])
        self.assertIsNone(bench.judge(row(vfence=None, peer=None))["met"])

    def test_flatness_of_a_series(self):
        series = [row("a: 10", 1000, pending=10), row("a: 20", 1099, pending=20), row("c", 5000),
                  row("b: 10", 10, pending=10), row("b: 20", 12, pending=20)]

        def met():
            return {one["operation"]: bench.judge(one)["met"] for one in bench.flatness(series)}
        self.assertEqual(met(), {"a: most to least": True, "b: most to least": False})
        series[0]["vfence"] = 900
        self.assertEqual(met(), {"a: most to least": False, "b: most to least": False})
        series[0]["vfence"] = None
        self.assertEqual(met(), {"a: most to least": None, "b: most to least": False})
        self.assertEqual(bench.flatness([row()]), [])

    def test_agreement_of_repeated_measurements(self):
        twice = [row("a", peer=1000, peer_of="a"), row("b", peer=1005, peer_of="a"),
                 row("c", peer=5000, peer_of="c"), row("d", peer=None)]
        self.assertAlmostEqual(bench.agreement(twice), 0.005)
        twice.append(row("e", peer=4900, peer_of="c"))
        self.assertAlmostEqual(bench.agreement(twice), 5000 / 4900 - 1)
        self.assertIsNone(bench.agreement([row("a", peer_of="a"), row("b", peer_of="b")]))


class Table(unittest.TestCase):
    def test_columns_are_aligned(self):
        judged = [bench.judge(one) for one in (
            row("create", 2487.25, 1958.5, 0.95), row("memory", 58.25, None, 256, "bytes"),
            row("drop-in", None, 173.0), row("close", 5e7, None, 1e8, "ns"))]
        self.assertEqual(bench.table(judged), [
            "operation  unit            vfence   peer  ratio         goal  met",
            "create     instructions      2487   1958  1.270      ≤ 0.95×  no",
            "memory     bytes             58.2      –      –        ≤ 256  yes",
            "drop-in    instructions         –  173.0      –      ≤ 1.00×  –",
            "close      ns            50000000      –      –  ≤ 100000000  yes",
        ])


class Baseline(unittest.TestCase):
    def test_only_growth_by_more_than_two_percent_is_reported(self):
        baseline = [row("a"), row("b"), row("c"), row("d", unit="bytes")]
        found = [row("a", 102.0), row("b", 50.0), row("c", 102.5), row("d", 110.0, unit="bytes")]
        self.assertEqual(bench.slower(found, baseline), [
            "slower than the baseline by 2.5 %: c, 100.0 → 102.5 instructions",
            "larger than the baseline by 10.0 %: d, 100.0 → 110.0 bytes"])

    def test_figure_of_zero_grows_by_anything(self):
        baseline = [row("hangs", 0.0, unit="hangs")]
        self.assertEqual(bench.slower([row("hangs", 0.0, unit="hangs")], baseline), [])
        self.assertEqual(len(bench.slower([row("hangs", 1.0, unit="hangs")], baseline)), 1)

    def test_row_that_is_not_in_the_baseline_is_reported(self):
        self.assertEqual(bench.slower([row("new")], []), ["not in the baseline: new"])

    def test_row_that_was_not_measured_is_reported(self):
        self.assertEqual(bench.missing([row("a")], [row("a"), row("b")]),
                         ["in the baseline, not measured: b"])

    def test_written_file_can_be_read(self):
        results = {"kernel": "7.3", "commit": None, "rows": [row(), row("≤", peer=None)]}
        text = bench.dump(results)
        self.assertEqual(json.loads(text), results)
        self.assertEqual(text.count("\n"), 8)

    def test_baseline_of_the_repository_is_valid(self):
        with open(bench.BASELINE) as text:
            found = json.load(text)["rows"]
        self.assertEqual(bench.rows(printed(*found)), (found, []))


class Run(Scratch):
    """The exit status, and the file of the baseline."""

    def setUp(self):
        super().setUp()
        self.baseline = self.path("baseline")
        for target, name, value in ((bench, "BASELINE", self.baseline),
                                    (bench.kernel, "tree", lambda name: name),
                                    (bench.kernel, "release", lambda tree: f"7.3-{tree}")):
            patch = mock.patch.object(target, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def run_with(self, found, problems=(), update=False):
        """Returns (exit status, output) of a run that measures `found` and has `problems`."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out), \
                mock.patch.object(bench, "_measure", lambda *_: (found, list(problems))):
            return bench._run(["vfence.ko"], self.directory, update), out.getvalue()

    def test_slower_row_and_missed_goal_do_not_fail(self):
        self.assertEqual(self.run_with([row(vfence=300)], update=True)[0], 0)
        status, said = self.run_with([row(vfence=330)])
        self.assertEqual(status, 0)
        self.assertIn("slower than the baseline by 10.0 %", said)
        self.assertIn("0 of 1 goals are met", said)

    def test_no_row_is_slower(self):
        self.run_with([row()], update=True)
        self.assertIn("no figure is more than 2 % above the baseline", self.run_with([row()])[1])

    def test_no_baseline(self):
        status, said = self.run_with([row()])
        self.assertEqual(status, 0)
        self.assertIn("there is no baseline", said)
        self.assertFalse(os.path.exists(self.baseline))

    def test_row_that_was_not_measured_fails(self):
        self.run_with([row("a"), row("b")], update=True)
        self.assertEqual(self.run_with([row("a")])[0], 1)

    def test_problem_fails_prints_the_table_and_keeps_the_baseline(self):
        status, said = self.run_with([row()], ["kernel log: WARNING"], update=True)
        self.assertEqual(status, 1)
        self.assertIn("create", said)
        self.assertIn("kernel log: WARNING", said)
        self.assertFalse(os.path.exists(self.baseline))

    def test_slower_row_is_reported_despite_a_problem(self):
        self.run_with([row()], update=True)
        status, said = self.run_with([row(vfence=150)], ["kernel log: WARNING"])
        self.assertEqual(status, 1)
        self.assertIn("slower than the baseline by 50.0 %", said)

    def test_disagreement_of_repeated_measurements_fails(self):
        for other, expected in ((1009, 0), (1011, 1)):
            status, said = self.run_with([row("a", peer=1000, peer_of="a"),
                                          row("b", peer=other, peer_of="a")], update=True)
            self.assertEqual(status, expected)
            self.assertIn(f"differ by at most {other / 10 - 100:.2f} %", said)

    def test_json_has_rows_and_problems(self):
        self.run_with([row("a: 1", 1000, pending=1), row("a: 2", 2000, pending=2)])
        with open(self.path("bench.json")) as text:
            results = json.load(text)
        self.assertEqual(results["kernel"], "7.3-bench")
        self.assertEqual([one["met"] for one in results["rows"]], [False, False, False])
        self.assertEqual(results["problems"], [])


if __name__ == "__main__":
    unittest.main()
