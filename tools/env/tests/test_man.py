# SPDX-License-Identifier: GPL-2.0
"""The manual pages describe the parameters of the modules and the options of the tools."""

import contextlib
import io
import os
import re
import unittest

import build
import vm


def _read(*path):
    with open(os.path.join(build.CHECKOUT, *path)) as text:
        return text.read()


def _items(page, macro):
    """Returns the text of each item of a page whose heading begins with `macro` and a name."""
    text = _read("Documentation", "man", page)
    items = re.split(rf"^\.It {macro} -?([\w-]+).*\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(items[::2], items[1::2]))


def _parameters(source):
    """Returns the defaults of the parameters of a module."""
    text = _read("rust", source)
    found = dict(re.findall(r"(\w+): u32 \{\s*default: (\d+),", text))
    found.update(re.findall(r'"(\w+)",\s*default: c"(\w+)",', text))
    return found


class Man(unittest.TestCase):
    def check(self, page, parameters):
        items = _items(page, "Cm")
        self.assertEqual(set(items), set(parameters))
        for name, default in parameters.items():
            self.assertRegex(items[name], rf"The default is\n?\s?(\.Li )?{default} ?\.", name)

    def test_parameters(self):
        own, drm = _parameters("vfence_main.rs"), _parameters("vfence_drm_main.rs")
        self.assertIn("watchdog_ms", own)
        self.assertIn("bus", drm)
        self.check("vfence.4", own)
        # vfence_drm(4) refers to vfence(4) for the others.
        self.check("vfence_drm.4", {name: drm[name] for name in drm.keys() - own.keys()})
        text = _read("Documentation", "man", "vfence_drm.4")
        for name in drm.keys() & own.keys():
            self.assertEqual(drm[name], own[name])
            self.assertIn(f".Cm {name}", text)

    def test_options_of_the_virtual_machine(self):
        with contextlib.redirect_stdout(io.StringIO()) as text, self.assertRaises(SystemExit):
            vm._parse(["run", "--help"])
        options = set(re.findall(r"^  --([a-z-]+)", text.getvalue(), re.MULTILINE))
        self.assertIn("allow-log", options)
        self.assertEqual(set(_items("vfence-vm.1", "Fl")), options)

    def test_options_of_the_pipeline(self):
        options = re.findall(r"^ *#\[arg\(long.*\n *pub (\w+):",
                             _read("tools", "vfence-pipeline", "src", "options.rs"), re.MULTILINE)
        self.assertIn("hang_frame", options)
        names = {name.replace("_", "-") for name in options}
        self.assertEqual(set(_items("vfence-pipeline.1", "Fl")), names | {"h", "V"})
        text = _read("Documentation", "man", "vfence-pipeline.1")
        synopsis = set(re.findall(r"^\.Op Fl -([\w-]+)", text, re.MULTILINE))
        self.assertEqual(synopsis, names)
