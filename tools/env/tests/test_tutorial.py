# SPDX-License-Identifier: GPL-2.0
"""The tutorial is read as commands, what they print, and files; all of it is followed."""

import os
import subprocess
import unittest

import build
import tutorial
from tests.scratch import Scratch

_PAGE = """# Title

Text.

    mkdir my-project
    cd my-project

```c
one
```

More.

```c
two
```

    cat my_test.c || echo failed

```
one

two
```

```yaml
on: push
```
"""


class Read(unittest.TestCase):
    def test_a_page(self):
        found, files = tutorial.blocks(_PAGE)
        self.assertEqual(found, [
            tutorial.Block(5, "mkdir my-project\ncd my-project"),
            tutorial.Block(18, "cat my_test.c || echo failed", "one\n\ntwo")])
        self.assertEqual(files, {"my_test.c": "one\n\ntwo\n",
                                 ".github/workflows/test.yml": "on: push\n"})

    def test_the_tutorial(self):
        with open(os.path.join(build.CHECKOUT, "Documentation", "tutorial.md")) as text:
            found, files = tutorial.blocks(text.read())
        self.assertEqual(len(files), 2)
        commands = "\n".join(block.commands for block in found)
        for word in ("apt-get install", "git clone", "make -C", "cd my-project", "vfence-vm run"):
            self.assertIn(word, commands)
        self.assertGreaterEqual(sum(block.output is not None for block in found), 3)


class Follow(Scratch):
    def follow(self, page):
        found, files = tutorial.blocks(page)
        for name, text in files.items():
            self.write(f"files/{name}", text)
        script = tutorial.script(found).replace(tutorial.WORK, self.directory)
        subprocess.run(["bash", "-c", script], cwd=self.directory, check=False)
        return [(result.name, result.status) for result in
                (tutorial.judge(block, self.directory) for block in found)]

    def test_commands_that_succeed(self):
        self.assertEqual(self.follow(_PAGE), [("line-5", "passed"), ("line-18", "passed")])

    def test_output_that_differs(self):
        self.assertEqual(self.follow(_PAGE.replace("one\n\ntwo", "one")),
                         [("line-5", "passed"), ("line-18", "failed")])

    def test_commands_after_one_that_failed_do_not_run(self):
        self.assertEqual(self.follow(_PAGE.replace("mkdir my-project", "false")),
                         [("line-5", "failed"), ("line-18", "failed")])
