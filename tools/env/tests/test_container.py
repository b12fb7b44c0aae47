# SPDX-License-Identifier: GPL-2.0
"""The README of the container image has the commands that build it, and one that runs in it."""

import os
import unittest

import build
import container
from report import Failure


class Commands(unittest.TestCase):
    def test_the_page(self):
        with open(os.path.join(build.CHECKOUT, "Documentation", "ci", "README.md")) as text:
            page = text.read()
        image, run = container.commands(page)
        self.assertIn("--file Documentation/ci/Containerfile --tag vfence build/container", image)
        self.assertTrue(run.endswith("./my-test"))
        packages = [word for word in image.split() if word.startswith("gcc,")]
        self.assertEqual(packages, [word for word in run.split() if word.startswith("gcc,")])
        with self.assertRaisesRegex(Failure, "1 blocks of commands"):
            container.commands(page.replace(f"    {run}\n", ""))
