# SPDX-License-Identifier: GPL-2.0
"""NEWS has the version; the crates have the same one."""

import os
import re

import build
import version
from report import Failure
from tests.scratch import Scratch


class Version(Scratch):
    def test_first_version_of_news_is_taken(self):
        self.write("NEWS", "# comment\n\nvfence 1.10.0\n\n* vfence 3.0.0 is far\n\nvfence 1.9.2\n")
        self.assertEqual(version.version(self.directory), "1.10.0")

    def test_news_without_a_version_are_refused(self):
        self.write("NEWS", "vfence soon\n")
        with self.assertRaisesRegex(Failure, "no line 'vfence X.Y.Z'"):
            version.version(self.directory)

    def test_crates_have_the_version_of_news(self):
        with open(os.path.join(build.CHECKOUT, "Cargo.toml")) as text:
            self.assertIn(f'[workspace.package]\nversion = "{version.version()}"\n', text.read())
        with open(os.path.join(build.CHECKOUT, "Cargo.lock")) as text:
            locked = dict(re.findall(r'name = "(vfence[^"]*)"\nversion = "([^"]*)"', text.read()))
        self.assertEqual(set(locked.values()), {version.version()}, locked)
