# SPDX-License-Identifier: GPL-2.0
"""The list of suites is parsed, and every suite of a guest has a result."""

import json
import types
import unittest
from unittest import mock

import inside
import ktap
import testrun
from inside import Suite
from report import Failure
from tests.scratch import Scratch


class List(unittest.TestCase):
    def test_list(self):
        text = "# all\nbasic\nunload nomodule\nrender drm a=1 b=2\n\n"
        self.assertEqual(inside.suites(text, "debug"),
                         [Suite("basic", 1, []), Suite("unload", 0, []),
                          Suite("render", 2, ["a=1", "b=2"])])

    def test_only_one_kernel(self):
        text = "long misc only=stock a=1\nchecked misc only=debug\n"
        for guest in ("stock", "rt", "7.2"):
            self.assertEqual(inside.suites(text, guest), [Suite("long", 1, ["a=1"])])
        self.assertEqual(inside.suites(text, "debug"), [Suite("checked", 1, [])])

    def test_only_one_root(self):
        text = "old drm only=trixie\nboth drm\n"
        self.assertEqual(inside.suites(text, "trixie"), [Suite("old", 2, []), Suite("both", 2, [])])
        self.assertEqual(inside.suites(text, "forky"), [Suite("both", 2, [])])

    def test_time_limit(self):
        text = "slow misc a=1 seconds=900 only=stock\nunload nomodule seconds=7\n"
        self.assertEqual(inside.suites(text, "stock"),
                         [Suite("slow", 1, ["a=1"], 900), Suite("unload", 0, [], 7)])

    def test_variants_left_out_on_the_debug_kernel(self):
        text = "both drm debug-without=render a=1\nfour drm debug-without=render_a,render_b\n"
        self.assertEqual(inside.suites(text, "stock"),
                         [Suite("both", 2, ["a=1"]), Suite("four", 2, [])])
        self.assertEqual(inside.suites(text, "debug"),
                         [Suite("both", 2, ["a=1"], None, ("-Vrender",)),
                          Suite("four", 2, [], None, ("-Vrender_a", "-Vrender_b"))])

    def test_ordinary_user(self):
        text = "open misc user=render a=1\nprivate misc\n"
        self.assertEqual(inside.suites(text, "debug"),
                         [Suite("open", 1, ["a=1"], by_user=True), Suite("private", 1, [])])

    def test_once_for_each_guest(self):
        text = "basic misc only=stock a=1\nbasic misc only=debug a=2\n"
        self.assertEqual(inside.suites(text, "debug"), [Suite("basic", 1, ["a=2"])])

    def test_bad_lines(self):
        for text in ("basic nomodul\n", "basic nomodule twice\n", "basic drm nomodule\n",
                     "basic\nbasic nomodule\n", "basic misc seconds=long\n",
                     "basic misc only=release\n", "basic misc user=root\n"):
            with self.subTest(text), self.assertRaises(ValueError):
                inside.suites(text, "stock")


class Driver(Scratch):
    def run_suite(self, suite, failing=None, loaded=()):
        """Runs `suite` without a guest; returns its record and the commands.

        The command `failing` fails, and the modules `loaded` are in the kernel before.
        """
        commands = []

        def run(argv, **_):
            commands.append(argv)
            return types.SimpleNamespace(returncode=1 if argv[0] == failing else 0)

        with mock.patch.object(inside.subprocess, "run", run), \
                mock.patch.object(inside, "_in_kernel", lambda: set(loaded)):
            record = inside._run(suite, ["/m/vfence.ko", "/m/vfence_drm.ko"], {}, self.directory, 9)
        return record, commands

    def test_program_runs_between_load_and_unload(self):
        record, commands = self.run_suite(Suite("basic", 1, ["a=1"]))
        self.assertEqual(commands[0], ("insmod", "/m/vfence.ko", "a=1"))
        self.assertEqual(commands[1][-1], "basic")
        self.assertEqual(commands[2:], [("rmmod", "vfence")])
        self.assertEqual((record["status"], record["problems"]), (0, []))

    def test_program_does_not_run_after_a_failed_insmod(self):
        record, commands = self.run_suite(Suite("basic", 2, []), failing="insmod")
        self.assertEqual(commands, [("insmod", "/m/vfence.ko")])
        self.assertEqual((record["status"], record["problems"]), (125, ["insmod vfence failed"]))

    def test_program_does_not_run_on_a_module_of_an_earlier_suite(self):
        for modules in (0, 1, 2):
            record, commands = self.run_suite(Suite("basic", modules, []),
                                              loaded=["drm", "vfence"])
            self.assertEqual(commands, [("rmmod", "vfence")])
            self.assertEqual((record["status"], record["problems"]),
                             (125, ["vfence is still loaded"]))

    def test_program_of_a_user_may_be_missing(self):
        with mock.patch.object(inside.glob, "glob", lambda _: []), \
                mock.patch.object(inside.os.path, "exists", lambda _: False):
            self.assertEqual(inside._argv(Suite("no_such_test", 1, [], by_user=True))[-1],
                             "no_such_test")


class Guests(unittest.TestCase):
    def names(self, word):
        return [one.name for one in testrun._guests(word)]

    def test_one_kernel_runs_all_suites(self):
        for name in testrun.KERNELS:
            self.assertEqual([(one.name, one.smoke) for one in testrun._guests(name)],
                             [(name, False)])

    def test_all_kernels_run_all_suites(self):
        self.assertEqual(self.names("all"), testrun.KERNELS)
        self.assertFalse(any(one.smoke for one in testrun._guests("all")))

    def test_default_has_a_short_run_of_the_other_kernels_of_debian(self):
        whole = [one.name for one in testrun._guests(None) if not one.smoke]
        self.assertEqual(whole, ["stock", "debug"])
        self.assertEqual(self.names(None), [name for name in testrun.KERNELS
                                            if name != "rt-debug"])

    def unavailable(self, name, releases=(), error=None, word=None):
        def tree(_):
            if error:
                raise error
        one = next(one for one in testrun._guests(word) if one.name == name)
        with mock.patch.object(testrun.kernel, "tree", tree), \
                mock.patch.object(testrun.kernel, "release",
                                  lambda name="stock": dict(releases)[name]):
            suite = testrun._unavailable(one)
        return suite and suite.status

    def test_kernel_that_the_archive_has_dropped_is_skipped(self):
        gone = testrun.archive.Gone("no 7.2")
        self.assertEqual(self.unavailable("7.2", error=gone), "skipped")
        for name, word in (("7.2", "7.2"), ("7.2", "all"), ("stock", None), ("debug", None)):
            self.assertEqual(self.unavailable(name, error=gone, word=word), "failed")

    def test_guests_do_not_run_the_programs_of_an_earlier_build(self):
        def programs(name):
            if testrun.kernel.KERNELS[name].architecture == "arm64":
                raise Failure("no compiler")

        with mock.patch.object(testrun, "_unavailable", lambda _: None), \
                mock.patch.object(testrun.build, "programs", programs), \
                mock.patch.object(testrun, "_host_suites", lambda: iter(["host"])), \
                mock.patch.object(testrun, "_guest_suites", lambda one: iter([one.name])):
            first, *others = testrun._all("all")
        self.assertEqual((first.name, first.status), ("programs", "failed"))
        self.assertEqual(others, ["host", "stock", "rt", "7.2", "debug", "rt-debug"])

    def test_kernel_that_cannot_be_made_fails(self):
        self.assertEqual(self.unavailable("7.2", error=Failure("no network")), "failed")

    def test_short_run_of_the_stock_kernel_is_skipped(self):
        same, other = [("stock", "1"), ("7.2", "1")], [("stock", "2"), ("7.2", "1")]
        self.assertEqual(self.unavailable("7.2", same), "skipped")
        self.assertIsNone(self.unavailable("7.2", other))
        self.assertIsNone(self.unavailable("stock", same))

    def test_programs_are_built_once_for_each_architecture(self):
        built = []
        with mock.patch.object(testrun, "_guest_suites", lambda one: []), \
                mock.patch.object(testrun, "_unavailable", lambda one: None), \
                mock.patch.object(testrun.build, "programs", built.append), \
                mock.patch.object(testrun, "_host_suites", lambda: []):
            list(testrun._all(None))
            self.assertEqual([testrun.kernel.KERNELS[name].architecture for name in built],
                             ["amd64", "arm64"])
            list(testrun._all("arm64"))
        self.assertEqual(built[2:], ["arm64"])

    def test_results_of_both_lanes_are_in_order(self):
        def suites(one):
            yield ktap.Suite(one.name)
            if one.name == "rt":
                raise ValueError("broken")

        with mock.patch.object(testrun, "_guest_suites", suites), \
                mock.patch.object(testrun, "_unavailable", lambda one: None), \
                mock.patch.object(testrun.build, "programs", lambda name: None), \
                mock.patch.object(testrun, "_host_suites", lambda: [ktap.Suite("host")]):
            found = list(testrun._all("all"))
        checked = [name for name in testrun.KERNELS if name.endswith("debug")]
        self.assertEqual([suite.name for suite in found],
                         ["host", "stock", "rt", "lane", *checked])
        self.assertIn("ValueError: broken", found[3].output)


class Clients(unittest.TestCase):
    def collect(self, broken):
        """Returns the names of the suites with clients and those of the roots that were made.

        Making a root whose name is in `broken` fails, and so does the build in the first one.
        """
        made = []

        def path(suite):
            made.append(suite)
            if suite in broken:
                raise Failure("no network")
            return suite

        with mock.patch.object(testrun.clients, "path", path), \
                mock.patch.object(testrun.build, "client_programs", lambda: path("trixie")), \
                mock.patch.object(testrun, "_guest_suites", lambda one: [ktap.Suite(one.name)]):
            return [suite.name for suite in testrun._clients()], made

    def test_each_root_is_a_guest(self):
        self.assertEqual(self.collect([])[0], ["trixie", "forky"])

    def test_root_that_cannot_be_made_is_a_failed_guest(self):
        self.assertEqual(self.collect(["forky"])[0], ["trixie", "forky.guest"])

    def test_no_guest_without_the_programs(self):
        self.assertEqual(self.collect(["trixie"]), (["clients"], ["trixie"]))


class Collected(Scratch):
    def programs(self, **words):
        guest = testrun._GUESTS["stock"]._replace(suites=self.path("suites"), **words)
        return testrun._programs(guest)

    def test_smoke(self):
        self.write("suites", "first drm smoke a=1\nsecond misc\nthird misc smoke\n")
        self.assertEqual(self.programs(), ["first", "second", "third"])
        self.assertEqual(self.programs(smoke=True), ["first", "third"])

    def test_missing_empty_and_bad_lists_fail(self):
        with self.assertRaises(Failure):
            self.programs()
        for text in ("# nothing yet\n", "basic twice\n"):
            self.write("suites", text)
            with self.subTest(text), self.assertRaises(Failure):
                self.programs()

    def test_suite_that_did_not_run_fails(self):
        self.write("a.log", "1..1\nok 1 case\n")
        self.write("b.log", "1..2\nok 1 case\n")
        self.write("results", json.dumps({"name": "a", "status": 0, "problems": []}) + "\n")
        suites = list(testrun._program_suites("stock", ["a", "b", "c"], self.directory))
        self.assertEqual([s.status for s in suites], ["passed", "failed", "failed"])

    def test_problem_around_a_suite_that_passed_fails_it(self):
        self.write("a.log", "1..1\nok 1 case\n")
        record = {"name": "a", "status": 0, "problems": ["rmmod failed"]}
        self.write("results", json.dumps(record) + "\n")
        suite, = testrun._program_suites("stock", ["a"], self.directory)
        self.assertEqual([r.status for r in suite.results], ["passed", "failed"])

    def test_missing_results_of_kunit_and_kmemleak_fail(self):
        self.assertEqual([s.status for s in testrun._debug_suites("debug", self.directory)],
                         ["failed", "failed"])
        self.write("kunit-fence.log", "KTAP version 1\n1..1\nok 1 case\n")
        self.write("kmemleak.log", "")
        self.assertEqual([s.status for s in testrun._debug_suites("debug", self.directory)],
                         ["passed", "passed"])
        self.write("kmemleak.log", "unreferenced object 0xffff888 (size 64):\n")
        self.assertEqual([s.status for s in testrun._debug_suites("debug", self.directory)],
                         ["passed", "failed"])
