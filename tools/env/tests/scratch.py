# SPDX-License-Identifier: GPL-2.0
"""A test case with a directory of its own."""

import os
import tempfile
import unittest


class Scratch(unittest.TestCase):
    """Each test has an empty directory, which is removed when the test ends."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = scratch.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        """Writes `text` to the file `name` in the directory, whose folder is made if missing."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
