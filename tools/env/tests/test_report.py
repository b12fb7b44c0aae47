# SPDX-License-Identifier: GPL-2.0
"""A long step prints its progress, a short one nothing, and a failed one always a line."""

import contextlib
import io
import os
import tempfile
import time
import unittest
from unittest import mock

import report


def said(step, seconds=0, error=None):
    with contextlib.redirect_stderr(io.StringIO()) as err:
        with contextlib.suppress(report.Failure), step:
            time.sleep(seconds)
            if error:
                raise error
    return err.getvalue().splitlines()


class Steps(unittest.TestCase):
    def test_step_prints_start_and_end(self):
        self.assertEqual(said(report.Step("root", "1 minute")),
                         ["vfence: root: 1 minute", "vfence: root: done after 00:00"])

    def test_short_step_with_patience_is_silent(self):
        self.assertEqual(said(report.Step("module", patience=60)), [])

    def test_failure_is_printed_despite_patience(self):
        self.assertEqual(said(report.Step("module", patience=60), error=report.Failure("no")),
                         ["vfence: module: failed after 00:00"])

    def test_long_step_prints_its_progress(self):
        with mock.patch.object(report, "LOG_INTERVAL", 0.1):
            lines = said(report.Step("debug", progress=lambda: "half of it"), 0.3)
        self.assertIn("vfence: debug: 00:00 so far, half of it", lines)


class Progress(unittest.TestCase):
    def test_percent_stays_below_100(self):
        self.assertEqual(report.percent(50, 200), "about 25 %")
        self.assertEqual(report.percent(300, 200), "about 99 %")

    def test_lines(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "log")
            self.assertEqual(report.count_lines(path), 0)
            with open(path, "w") as out:
                out.write("a\nb\n")
            self.assertEqual(report.count_lines(path), 2)


class Run(unittest.TestCase):
    def test_failure_prints_the_end_of_the_log(self):
        with tempfile.TemporaryDirectory() as scratch, \
                contextlib.redirect_stderr(io.StringIO()) as err, \
                self.assertRaisesRegex(report.Failure, "making it failed .exit status 3."):
            report.run_logged(["sh", "-c", "echo why; exit 3"], os.path.join(scratch, "log"),
                              "making it")
        self.assertIn("why", err.getvalue())
