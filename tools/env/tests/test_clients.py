# SPDX-License-Identifier: GPL-2.0
"""Clients have names, root file systems and suites; an unknown name gets the list of names."""

import os
import re
import subprocess
import sys
import unittest
from unittest import mock

import build
import clients
import inside
from report import Failure

_FOLDER = os.path.join(build.CHECKOUT, "selftests", "clients")


class Names(unittest.TestCase):
    def test_unknown_name_lists_the_names(self):
        with self.assertRaises(Failure) as caught:
            clients.client("gnome")
        self.assertEqual(str(caught.exception),
                         f"no client 'gnome'; CLIENT is one of {', '.join(clients.CLIENTS)}")

    def test_each_client_has_a_known_root(self):
        for name, client in clients.CLIENTS.items():
            self.assertIn(client.suite, clients.SUITES, name)

    def test_each_compositor_of_the_demonstration_is_in_the_table(self):
        with open(os.path.join(_FOLDER, "compositor.h")) as text:
            known = re.findall(r'\.name = "(\w+)"', text.read())
        for client in clients.CLIENTS.values():
            program, *arguments = client.command.split()
            if program == "wayland_demo":
                self.assertIn(arguments[0], known)


class Words(unittest.TestCase):
    def refused(self, *words):
        """Returns what the command prints when it refuses `words`."""
        done = subprocess.run([sys.executable, os.path.dirname(clients.__file__), *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        return done.stdout

    def test_word_without_effect_is_refused(self):
        kernel = "vfence: clients run on the stock kernel: leave out KERNEL=debug\n"
        self.assertEqual(self.refused("run", "--kernel=debug", "--client=weston"), kernel)
        self.assertEqual(self.refused("test", "--kernel=debug", "--clients"), kernel)
        self.assertEqual(self.refused("run", "--client=weston", "--", "true"),
                         "vfence: CLIENT has a command of its own: leave out CMD\n")


class Roots(unittest.TestCase):
    def make(self, suite):
        """Returns the arguments with which the root of `suite` is made."""
        with mock.patch.object(clients.root, "make") as make, \
                mock.patch.object(clients.mirror, "lines", lambda name: [name, "updates"]):
            clients._build(suite, "directory", "log")
        return make.call_args.args[2:]

    def test_stable_has_updates_and_testing_has_none(self):
        self.assertEqual(self.make("trixie"),
                         ("trixie", clients.PACKAGES["trixie"], ["trixie", "updates"], []))
        self.assertEqual(self.make("forky")[2], ["forky"])

    def test_only_testing_may_have_an_expired_release_file(self):
        self.assertIn("Check-Valid-Until", "".join(self.make("forky")[3]))

    def test_each_root_boots_as_a_guest(self):
        for packages in clients.PACKAGES.values():
            self.assertLessEqual({"qemu-system-x86", "virtme-ng", "busybox-static", "kmod"},
                                 set(packages))


class Suites(unittest.TestCase):
    def test_each_root_has_suites(self):
        with open(os.path.join(_FOLDER, "suites")) as text:
            listing = text.read()
        for suite in clients.SUITES:
            self.assertTrue(inside.suites(listing, suite), suite)
