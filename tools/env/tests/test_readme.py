# SPDX-License-Identifier: GPL-2.0
"""The documents show the programs that the tests run, and their links have targets."""

import glob
import os
import re
import unittest

import inside
import testrun

_CHECKOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
# (page, language of its code blocks) -> the program that these blocks are, one after the other.
_SHOWN = {
    ("README.md", "c"): "selftests/examples/example.c",
    ("Documentation/tutorial.md", "c"): "selftests/examples/tutorial.c",
    ("Documentation/uapi.md", "rust"): "tools/vfence/examples/example.rs",
}
# page -> the files that its blocks of YAML are, or are a part of.
_YAML = {
    "README.md": ["Documentation/ci/example/.github/workflows/test.yml"],
    "Documentation/ci/README.md": ["Documentation/ci/example/.github/workflows/test.yml",
                                   "Documentation/ci/example/.gitlab-ci.yml"],
}


def _read(path):
    with open(os.path.join(_CHECKOUT, path)) as text:
        return text.read()


def _pages():
    pages = ["README.md", "CONTRIBUTING.md", *glob.glob("Documentation/*.md", root_dir=_CHECKOUT),
             *glob.glob("Documentation/ci/**/*.md", root_dir=_CHECKOUT, recursive=True)]
    return sorted(pages)


class Documents(unittest.TestCase):
    def test_examples_are_the_tested_programs(self):
        for (page, language), path in _SHOWN.items():
            blocks = re.findall(rf"^```{language}\n(.*?)^```$", _read(page), re.M | re.S)
            # The page omits the licence line.
            program = _read(path).split("\n", 1)[1].lstrip("\n")
            self.assertEqual("\n".join(blocks), program, f"{page} does not show {path}")

    def test_table_of_kernels_has_each_with_the_suites_that_it_runs(self):
        rows = {match.group(1): row for row in _read("README.md").splitlines()
                if (match := re.search(r"\| `make test KERNEL=(\S+)` \|$", row))}
        self.assertEqual(sorted(rows), sorted(testrun.KERNELS))
        listed = _read("selftests/suites")
        for one in testrun._guests(None):
            run = f"{len(inside.suites(listed, one.name, True))} suites by" if one.smoke else (
                "all suites and KUnit, by" if one.name == "debug" else "all suites, by")
            self.assertIn(f"{run} `make test`", rows[one.name])

    def test_examples_are_the_workflows(self):
        for page, paths in _YAML.items():
            blocks = re.findall(r"^```yaml\n(.*?)^```$", _read(page), re.M | re.S)
            self.assertEqual(len(blocks), len(paths), page)
            for block, path in zip(blocks, paths):
                self.assertIn(block, _read(path), f"{page} does not show {path}")

    def test_links_have_targets(self):
        for page in _pages():
            directory = os.path.join(_CHECKOUT, os.path.dirname(page))
            for target in re.findall(r"\]\(([^):#]+)[^):]*\)", _read(page)):
                self.assertTrue(os.path.exists(os.path.join(directory, target)),
                                f"{page}: {target}")


if __name__ == "__main__":
    unittest.main()
