# SPDX-License-Identifier: GPL-2.0
"""The table of kernels: what each is made from, and the options of those built here."""

import os
import unittest
from unittest import mock

import kernel
from report import Failure
from tests.scratch import Scratch


class Table(unittest.TestCase):
    def test_kernels_of_debian_are_of_a_supported_series(self):
        for name, one in kernel.KERNELS.items():
            self.assertIn(one.series, [None, *kernel.PINS], name)

    def test_kernels_built_here_share_the_packages_of_stock(self):
        for name, one in kernel.KERNELS.items():
            self.assertEqual(kernel._base(name), "stock" if one.own else name)

    def test_each_architecture_has_its_tools_and_a_foreign_one_a_root_for_guests(self):
        with mock.patch.object(kernel.root, "path", lambda architecture: architecture), \
                mock.patch.object(kernel.root, "guest_path", lambda: "guest"):
            for name, one in kernel.KERNELS.items():
                self.assertEqual(kernel.tools(name), one.architecture)
                self.assertEqual(kernel.guest_root(name),
                                 None if one.architecture == "amd64" else "guest")


class Fragments(Scratch):
    def setUp(self):
        super().setUp()
        self.release = "7.3.4+deb13-amd64"
        for name, value in (("HERE", self.directory), ("release", lambda: self.release)):
            patch = mock.patch.object(kernel, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.write("guest.config", "# why\nCONFIG_A=y\nCONFIG_B=y\n")
        self.write("debug.config", "CONFIG_C=y\nCONFIG_B=n\n")

    def test_later_fragment_replaces_an_option(self):
        self.assertEqual(kernel._fragment("debug"), "CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=y\n")

    def test_older_series_has_options_of_its_own(self):
        self.write("linux-7.2.config", "CONFIG_D=y\n")
        before = kernel._fragment("debug")
        self.release = "7.2.12+deb13-amd64"
        self.assertEqual(kernel._fragment("debug"), f"{before}CONFIG_D=y\n")

    def test_option_that_kconfig_dropped_is_named(self):
        self.write("fragment", kernel._fragment("debug"))
        self.write(".config", "CONFIG_C=y\n")
        with self.assertRaisesRegex(Failure, "the debug kernel: CONFIG_A=y$"):
            kernel._check_config("debug", self.directory)
        self.write(".config", "CONFIG_A=y\nCONFIG_C=y\n")
        kernel._check_config("debug", self.directory)


class Packages(unittest.TestCase):
    def test_pin_of_a_kernel_alone_will_do(self):
        fetches = []

        def stage(name, inputs, build, detail):
            fetches.append(build)
            return name

        one = kernel.Kernel("rt-amd64", series="7.3", pin="7.3.9+deb13")
        with mock.patch.multiple(kernel.archive, fetch=mock.DEFAULT,
                                 release=lambda _: "7.3.9+deb13-rt-amd64") as mocks, \
                mock.patch.object(kernel.cache, "stage", stage), \
                mock.patch.object(kernel.root, "path", lambda: None), \
                mock.patch.dict(kernel.KERNELS, {"rt_running": one}):
            self.assertEqual(kernel.packages("rt_running"), "packages_rt_running")
            fetches[0]("directory", "log")
        wanted = kernel.archive.Wanted({"7.3": "7.3.9+deb13"}, "rt-amd64", "amd64")
        mocks["fetch"].assert_called_once_with(wanted, kernel.root.SUITE, "directory", "log",
                                               exact=True)


class Source(Scratch):
    def test_source_is_that_of_stock_unless_the_kernel_has_its_own(self):
        for name in ("stock/source", "rt", "7.2/source"):
            os.makedirs(self.path(name))
        with mock.patch.object(kernel, "packages", lambda name="stock": self.path(name)):
            self.assertEqual([kernel.source(name) for name in ("stock", "rt", "7.2")],
                             [self.path(f"{name}/source") for name in ("stock", "stock", "7.2")])
