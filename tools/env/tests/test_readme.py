# SPDX-License-Identifier: GPL-2.0
"""The programs that the README shows are the ones that the tests run."""

import os
import re
import unittest

_CHECKOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
_SHOWN = {"c": "selftests/examples/example.c", "rust": "tools/vfence/examples/example.rs"}


def _read(path):
    with open(os.path.join(_CHECKOUT, path)) as text:
        return text.read()


class Readme(unittest.TestCase):
    def test_shows_the_examples(self):
        readme = _read("README.md")
        for language, path in _SHOWN.items():
            blocks = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.M | re.S)
            # All but the licence.
            program = _read(path).split("\n", 1)[1].lstrip("\n")
            self.assertEqual(blocks, [program], f"README.md does not show {path}")

    def test_links_lead_somewhere(self):
        for target in re.findall(r"\]\(([^):]+)\)", _read("README.md")):
            self.assertTrue(os.path.exists(os.path.join(_CHECKOUT, target)), target)


if __name__ == "__main__":
    unittest.main()
