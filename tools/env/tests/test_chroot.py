# SPDX-License-Identifier: GPL-2.0
"""Mount points are made inside; files of the host that are mounted there stay as they are."""

import os
import subprocess

import chroot
from tests.scratch import Scratch


class MountPoints(Scratch):
    def make(self, source, target):
        """Makes the mount point `target` for `source`, without the mount."""
        subprocess.run(["sh", "-e", "-c", chroot._bind(source, target)[0]], check=True,
                       env={**os.environ, "root": self.path("root")})
        return self.path(f"root{target}")

    def test_missing_file_and_dangling_link_become_an_empty_file(self):
        self.write("source", "")
        self.write("root/etc/hosts", "")
        os.symlink("../run/resolv.conf", self.path("root/etc/resolv.conf"))
        for target in ("/etc/resolv.conf", "/new/file"):
            path = self.make(self.path("source"), target)
            self.assertTrue(os.path.isfile(path) and not os.path.islink(path), target)

    def test_file_that_exists_is_not_emptied(self):
        self.write("source", "new")
        self.write("root/build/program", "old")
        with open(self.make(self.path("source"), "/build/program")) as text:
            self.assertEqual(text.read(), "old")

    def test_directory(self):
        self.assertTrue(os.path.isdir(self.make(self.directory, "/a/b")))
