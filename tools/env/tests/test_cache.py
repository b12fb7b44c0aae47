# SPDX-License-Identifier: GPL-2.0
"""A stage is complete or absent, a used one is kept, and only known names are removed."""

import contextlib
import io
import os
import subprocess
import sys

import cache
import kernel
from report import Failure
from tests.scratch import Scratch

HERE = os.path.dirname(os.path.abspath(cache.__file__))


class Cache(Scratch):
    def setUp(self):
        super().setUp()
        self.cache = self.path("cache")
        before = os.environ.get("VFENCE_CACHE")
        os.environ["VFENCE_CACHE"] = self.cache
        self.addCleanup(os.environ.update if before else os.environ.pop,
                        *([{"VFENCE_CACHE": before}] if before else ["VFENCE_CACHE"]))
        self.addCleanup(self.release)
        self.built = []
        quiet = contextlib.redirect_stderr(io.StringIO())
        self.stderr = quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)

    def release(self):
        """Closes the descriptors of the stages, as the end of the process does."""
        for handle in cache._held.values():
            os.close(handle)
        cache._held.clear()

    def build(self, directory, _):
        self.built.append(directory)
        with open(os.path.join(directory, "result"), "w") as out:
            out.write("whole")

    def stages(self):
        return sorted(name for name in os.listdir(self.cache) if name.startswith("root-"))

    def test_built_once(self):
        first = cache.stage("root", {"a": 1}, self.build)
        self.assertEqual(cache.stage("root", {"a": 1}, self.build), first)
        self.assertEqual(len(self.built), 1)
        self.assertEqual(os.listdir(first), ["result"])

    def test_failed_build_leaves_no_stage_and_the_next_one_succeeds(self):
        def fail(directory, log):
            self.build(directory, log)
            raise Failure("no space")
        with self.assertRaises(Failure):
            cache.stage("root", {}, fail)
        self.release()
        path = cache.stage("root", {}, self.build)
        self.assertEqual(self.stages(), [os.path.basename(path)])

    def test_stale_stage_is_removed(self):
        cache.stage("root", {"a": 1}, self.build)
        self.release()
        new = cache.stage("root", {"a": 2}, self.build)
        self.assertEqual(self.stages(), [os.path.basename(new)])

    def test_stage_whose_name_begins_with_that_of_another_is_kept(self):
        debug = cache.stage("rt-debug", {}, self.build)
        self.release()
        cache.stage("rt", {}, self.build)
        self.assertTrue(os.path.exists(debug))

    def test_stage_that_another_run_uses_is_kept(self):
        old = cache.stage("root", {"a": 1}, self.build)
        self.release()
        user = subprocess.Popen(
            [sys.executable, "-c", "import sys, cache; print(cache._hold(sys.argv[1]), "
             "flush=True); sys.stdin.read()", old],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with user:
            self.assertEqual(user.stdout.readline(), "True\n")
            cache.stage("root", {"a": 2}, self.build)
            self.assertTrue(os.path.exists(os.path.join(old, "result")))
            self.release()
            self.assertIn(os.path.basename(old), cache.clear())
            user.stdin.close()
        self.assertEqual(cache.clear(), [])

    def test_second_run_waits_and_prints_a_line(self):
        path = os.path.join(cache.directory(), "root.lock")
        holder = subprocess.Popen(
            [sys.executable, "-c", "import sys, cache\nwith cache.lock(sys.argv[1], 'it'):\n"
             "    print('held', flush=True); sys.stdin.read(1)", path],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with holder:
            holder.stdout.readline()
            say = cache.say
            self.addCleanup(setattr, cache, "say", say)
            said = []

            def end_holder(line):
                said.append(line)
                holder.stdin.close()
            cache.say = end_holder
            with cache.lock(path, "making root"):
                pass
        self.assertEqual(said, ["vfence: another process is making root, waiting for it"])

    def test_clear_removes_the_cache(self):
        cache.stage("root", {}, self.build)
        os.mkdir(os.path.join(self.cache, "cargo"))
        self.release()
        self.assertEqual(cache.clear(), [])
        self.assertFalse(os.path.exists(self.cache))

    def test_clear_removes_the_stages_of_all_kernels(self):
        for name, one in kernel.KERNELS.items():
            cache.stage(name, {}, self.build)
            if not one.own:
                cache.stage(f"packages_{name}", {}, self.build)
        self.release()
        self.assertEqual(cache.clear(), [])

    def test_clear_keeps_unknown_names(self):
        cache.directory()
        for name in ("photos", "root-of-all", "debug-0123456789abcd"):
            os.mkdir(os.path.join(self.cache, name))
        self.assertEqual(cache.clear(), ["debug-0123456789abcd", "photos", "root-of-all"])

    def test_directory_with_other_files_is_refused(self):
        os.makedirs(os.path.join(self.cache, "photos"))
        with self.assertRaises(Failure):
            cache.directory()

    def test_cache_without_a_tag_is_accepted(self):
        os.makedirs(os.path.join(self.cache, "root-0123456789ab"))
        os.makedirs(os.path.join(self.cache, "cargo"))
        self.assertEqual(cache.directory(), self.cache)
