# SPDX-License-Identifier: GPL-2.0
"""The measured frequency of the time stamp counter is exact, whatever else runs."""

import unittest
from unittest import mock

import tsc


class Frequency(unittest.TestCase):
    def test_readings_agree(self):
        first = tsc.khz()
        self.assertGreater(first, 100_000)
        self.assertLess(abs(tsc.khz() - first), first / 1000)

    def test_most_exact_reading_is_taken(self):
        # Each reading has a time before and after it. The second one was not interrupted.
        times = iter([0, 900, 1000, 1002, 2000, 2900] + [10000, 20000] * 47)
        ticks = iter([1, 2, 3] + [4] * 47)
        with mock.patch.object(tsc.time, "monotonic_ns", lambda: next(times)):
            self.assertEqual(tsc._samples(lambda: next(ticks)), (1001, 2))
