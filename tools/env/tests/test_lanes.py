# SPDX-License-Identifier: GPL-2.0
"""Lanes run at the same time; what they yield comes in order, whatever happens to one of them."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

import lanes
import report

HERE = os.path.dirname(os.path.abspath(lanes.__file__))

# Two lanes of which each starts a child process and has something to remove at its end.
_INTERRUPTED = """
import os, signal, subprocess, sys
import lanes
def stop(number, _):
    raise SystemExit(128 + number)
signal.signal(signal.SIGTERM, stop)
def lane(name):
    path = os.path.join(sys.argv[1], name)
    child = subprocess.Popen(["sleep", "60"])
    try:
        with open(path, "w") as out:
            out.write(str(child.pid))
        yield name
        child.wait()
    finally:
        child.kill()
        child.wait()
        os.unlink(path)
try:
    for result in lanes.run([lambda: lane("a"), lambda: lane("b")]):
        print(result, flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


class Lanes(unittest.TestCase):
    def run_lanes(self, *found):
        return [str(result) if isinstance(result, lanes.Died) else result
                for result in lanes.run(found)]

    def test_results_come_lane_after_lane(self):
        def slow():
            yield 1
            time.sleep(0.2)
            yield 2

        self.assertEqual(self.run_lanes(slow, lambda: iter([3, 4]), lambda: iter([])),
                         [1, 2, 3, 4])

    def test_lanes_run_at_the_same_time(self):
        first, second = os.pipe(), os.pipe()

        def meet(mine, other):
            os.write(mine, b"x")
            yield os.read(other, 1)

        self.assertEqual(self.run_lanes(lambda: meet(first[1], second[0]),
                                        lambda: meet(second[1], first[0])), [b"x", b"x"])

    def test_failed_lane_keeps_its_results_and_those_of_others(self):
        def fail():
            yield 1
            raise ValueError("why")

        found = self.run_lanes(fail, lambda: iter([2]))
        self.assertEqual([found[0], found[2]], [1, 2])
        self.assertIn("ValueError: why", found[1])

    def test_killed_lane_keeps_its_results_and_those_of_others(self):
        def die():
            yield 1
            os.kill(os.getpid(), signal.SIGKILL)

        self.assertEqual(self.run_lanes(die, lambda: iter([2])), [1, "exit status -9", 2])

    def test_lines_of_all_lanes_are_printed_by_the_first_process(self):
        def lane(name):
            report.say(f"{name} {os.getpid()}")
            yield os.getpid()

        with contextlib.redirect_stderr(io.StringIO()) as said:
            found = self.run_lanes(lambda: lane("a"), lambda: lane("b"))
        self.assertEqual(sorted(said.getvalue().splitlines()),
                         [f"a {found[0]}", f"b {found[1]}"])
        self.assertNotIn(os.getpid(), found)

    def test_both_lanes_end_on_ctrl_c_and_clean_up(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            with self.subTest(number), contextlib.ExitStack() as stack:
                scratch = stack.enter_context(tempfile.TemporaryDirectory())
                process = stack.enter_context(subprocess.Popen(
                    [sys.executable, "-c", _INTERRUPTED, scratch], cwd=HERE,
                    stdout=subprocess.PIPE, text=True))
                self.assertEqual(process.stdout.readline(), "a\n")
                while len(os.listdir(scratch)) < 2:
                    time.sleep(0.05)
                process.send_signal(number)
                self.assertEqual(process.wait(), status)
                deadline = time.monotonic() + 10
                while os.listdir(scratch) and time.monotonic() < deadline:
                    time.sleep(0.05)
                self.assertEqual(os.listdir(scratch), [])


class Terminal(unittest.TestCase):
    def setUp(self):
        self.stderr = io.StringIO()
        self.stderr.isatty = lambda: True
        for patch in (mock.patch.object(report.sys, "stderr", self.stderr),
                      mock.patch.dict(report._states, clear=True)):
            patch.start()
            self.addCleanup(patch.stop)

    def last_line(self):
        return self.stderr.getvalue().splitlines()[-1].rpartition("\033[K")[2]

    def test_steps_share_the_last_line(self):
        report.show("a", "vfence: one: 00:01 so far", False)
        report.show("b", "vfence: two: 00:02 so far", False)
        self.assertEqual(self.last_line(), "vfence: one: 00:01 so far | two: 00:02 so far")
        report.show("a", "vfence: one: done", True)
        self.assertIn("\033[Kvfence: one: done\n", self.stderr.getvalue())
        self.assertEqual(self.last_line(), "vfence: two: 00:02 so far")

    def test_long_line_is_cut(self):
        report.show("a", "x" * 10000, False)
        self.assertLess(len(self.last_line()), 10000)

    def test_output_is_above_the_states(self):
        report.show("a", "state", False)
        with contextlib.redirect_stdout(self.stderr):
            report.out("ok 1")
        self.assertTrue(self.stderr.getvalue().endswith("\r\033[Kok 1\n\r\033[Kstate"))
