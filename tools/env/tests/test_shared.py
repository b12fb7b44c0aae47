# SPDX-License-Identifier: GPL-2.0
"""A directory is shared with the guest unless the guest has files of its own there."""

import os

import build
import chroot
import root
import shared
from tests.scratch import Scratch


class Shared(Scratch):
    def setUp(self):
        super().setUp()
        for module, name in ((root, "path"), (shared, "say")):
            self.addCleanup(setattr, module, name, getattr(module, name))
        root.path = lambda: self.path("root")
        self.said = []
        shared.say = self.said.append
        for path in ("root/etc/passwd", "root/usr/bin/sh", "root/root/.profile"):
            self.write(path, "")
        for path in ("root/home", "root/tmp", "root/usr/src"):
            os.makedirs(self.path(path))
        os.symlink("usr/bin", self.path("root/bin"))

    def test_directories_of_users_are_shared(self):
        for path in ("/home", "/home/user/project", "/root", "/root/project", "/tmp/project",
                     "/usr/src", "/usr/src/project", "/etc/project", "/work"):
            self.assertEqual(shared.binds(path), [(path, path), *build.HERE], path)
        self.assertEqual(self.said, [])

    def test_directories_of_the_guest_are_named(self):
        for path in ("/", "/tmp", "/etc", "/usr", "/usr/bin", "/bin", "/run/user/1000", "/dev/shm",
                     chroot.MOUNT, os.path.dirname(chroot.MOUNT), f"{chroot.MOUNT}/source"):
            self.assertEqual(shared.binds(path), build.HERE, path)
            self.assertIn(f"does not see the files of this machine in {path}:", self.said.pop())

    def test_checkout_is_mounted_once(self):
        for path in (build.CHECKOUT, os.path.join(build.CHECKOUT, "selftests")):
            self.assertEqual(shared.binds(path), build.HERE)
