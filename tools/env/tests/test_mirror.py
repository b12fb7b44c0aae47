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

    def test_mirror_of_old_packages_is_kept_apart(self):
        self.write("sources.list",
                   "deb [check-valid-until=no] http://snapshot.example/debian/2026 trixie main\n"
                   "deb http://snapshot.example/debian/2026 trixie-backports main\n"
                   "deb http://snapshot.example/debian-security/2026 trixie-security main\n"
                   "deb http://a.example/debian bookworm main\n")
        self.assertEqual(mirror.uris(self.directory), ("http://a.example/debian", None))
        uri = "[check-valid-until=no] http://snapshot.example/debian/2026"
        self.assertEqual(mirror.old("trixie", self.directory),
                         [f"deb {uri} trixie main", f"deb {uri} trixie-backports main"])

    def test_archive_in_a_directory(self):
        here = f"file://{self.directory}/debian"
        self.write("sources.list", f"deb [arch=amd64 trusted=yes] {here} trixie main\n")
        self.assertEqual(mirror.lines("trixie", self.directory)[0],
                         f"deb [trusted=yes] {here} trixie main")
        self.assertEqual(mirror.local(self.directory), [])
        self.write("debian/Release", "")
        self.assertEqual(mirror.local(self.directory), [(here[7:], here[7:])])

    def test_trusted_archive_in_deb822(self):
        self.write("sources.list.d/local.sources",
                   "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nTrusted: yes\n")
        self.assertEqual(mirror.uris(self.directory)[0], "[trusted=yes] http://a.example/debian")

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
