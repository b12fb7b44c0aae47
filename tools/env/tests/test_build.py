# SPDX-License-Identifier: GPL-2.0
"""The results of a build do not outlive the stage of the cache that they were built against."""

import os
from unittest import mock

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

    def test_files_of_running_guests_are_kept(self):
        for path in ("vfence.ko", "rust/main.o", "run-1/log", "results/results", "console.log"):
            self.write(f"stock/{path}", "")
        os.symlink("rust", self.path("stock/link"))
        build._forget_other_stage(self.path("stock"), "/cache/stock-1")
        self.assertEqual(sorted(os.listdir(self.path("stock"))),
                         ["console.log", "results", "run-1", "tree"])
        self.assertEqual(os.listdir(self.path("stock/run-1")), ["log"])

    def test_programs_do_not_outlive_the_root_they_were_built_in(self):
        with mock.patch.multiple(build, BUILD=self.directory, SELFTESTS=self.path("amd64"),
                                 _SELFTESTS_ARM64=self.path("arm64"),
                                 _logged=lambda *_, **_kw: None), \
                mock.patch.object(build.kernel, "source", lambda: "/source"):
            for name, directory in (("stock", "amd64"), ("arm64", "arm64")):
                kept = []
                for root in (1, 1, 2):
                    with mock.patch.object(build.kernel, "tools", lambda _, root=root: f"/{root}"):
                        build.programs(name, rust=())
                    kept.append("program" in os.listdir(self.path(directory)))
                    self.write(f"{directory}/program", "")
                self.assertEqual(kept, [False, True, False], name)
