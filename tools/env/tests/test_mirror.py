# SPDX-License-Identifier: GPL-2.0
"""The mirror is found in both formats of apt's sources; other archives are ignored."""

import mirror
from report import Failure
from tests.scratch import Scratch


class Uris(Scratch):
    def test_deb822(self):
        self.write("sources.list.d/debian.sources",
                   "Types: deb\nURIs: http://mirror.example/debian/\nSuites: bookworm\n\n"
                   "Types: deb\nURIs: http://mirror.example/debian-security\n"
                   "Suites: bookworm-security\n")
        self.assertEqual(mirror.uris(self.directory), ("http://mirror.example/debian",
                                                 "http://mirror.example/debian-security"))

    def test_one_line(self):
        self.write("sources.list", "# deb http://no.example/debian trixie main\n"
                   "deb [arch=amd64] http://yes.example/debian trixie main\n")
        self.assertEqual(mirror.uris(self.directory)[0], "http://yes.example/debian")

    def test_other_and_disabled_sources_are_ignored(self):
        self.write("sources.list.d/other.list", "deb https://vendor.example/apt stable main\n")
        self.write("sources.list.d/off.sources",
                   "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: trixie\n")
        with self.assertRaisesRegex(Failure, "names no Debian mirror"):
            mirror.uris(self.directory)

    def test_lines(self):
        self.write("sources.list", "deb http://a.example/debian bookworm main\n")
        main = ["deb http://a.example/debian trixie main",
                "deb http://a.example/debian trixie-updates main",
                "deb http://a.example/debian trixie-backports main"]
        self.assertEqual(mirror.lines("trixie", self.directory), main)
        self.write("sources.list.d/security.list",
                   "deb http://b.example/debian-security bookworm-security main\n")
        self.assertEqual(mirror.lines("trixie", self.directory),
                         [*main, "deb http://b.example/debian-security trixie-security main"])
