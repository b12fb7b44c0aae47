# SPDX-License-Identifier: GPL-2.0
"""The results of a build do not outlive the stage of the cache that they were built against."""

import os

import build
from tests.scratch import Scratch


class Stages(Scratch):
    def test_results_are_kept_for_the_same_stage_only(self):
        results = self.path("clients")
        build._forget_other_stage(results, "/cache/clients_trixie-1")
        self.write("clients/program", "")
        build._forget_other_stage(results, "/cache/clients_trixie-1")
        self.assertIn("program", os.listdir(results))
        build._forget_other_stage(results, "/cache/clients_trixie-2")
        self.assertNotIn("program", os.listdir(results))
