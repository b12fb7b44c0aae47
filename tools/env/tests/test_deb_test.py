# SPDX-License-Identifier: GPL-2.0
"""How the test of the packages finds what a removed package leaves."""

import os

import deb_test
from tests.scratch import Scratch


class Listing(Scratch):
    def test_differences_are_named(self):
        for name in ("etc/same", "etc/edited", "etc/removed", "proc/1/status"):
            self.write(f"root/{name}", "old")
        os.symlink("same", self.path("root/etc/link"))
        before = deb_test.listing(self.path("root"))
        self.write("root/etc/edited", "new")
        self.write("root/proc/2/status", "new")
        self.write("root/usr/new", "new")
        os.unlink(self.path("root/etc/removed"))
        os.chmod(self.path("root/etc/same"), 0o600)
        os.unlink(self.path("root/etc/link"))
        os.symlink("edited", self.path("root/etc/link"))
        self.assertEqual(deb_test.differences(before, deb_test.listing(self.path("root"))), [
            "changed: /etc/edited", "changed: /etc/link", "gone: /etc/removed",
            "changed: /etc/same", "left: /usr", "left: /usr/new"])
