# SPDX-License-Identifier: GPL-2.0
"""A kernel that the archive has dropped is replaced by the next best one, which is named."""

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import unittest
from unittest import mock

import archive
from archive import Choice, Gone, Wanted
from report import Failure
from tests.scratch import Scratch

PINS = {"7.3": "7.3.4+deb13", "7.2": "7.2.12+deb13"}


def packages(*kernels, flavour="amd64", without=()):
    """Returns the versions of the packages of `kernels`, each "7.3.4" or "7.3.4-2"."""
    versions = {}
    for kernel in kernels:
        number, _, revision = kernel.partition("-")
        release = f"{number}+deb13-{flavour}"
        series = number.rsplit(".", 1)[0]
        for name in (f"linux-binary-{release}", f"linux-modules-{release}",
                     f"linux-headers-{release}", f"linux-source-{series}"):
            if not name.startswith(tuple(without)):
                versions.setdefault(name, []).append(f"{number}-{revision or 1}~bpo13+1")
    return versions


class Choose(unittest.TestCase):
    def choose(self, versions, flavour="amd64", pins=None):
        choice = archive.choose(versions, Wanted(pins or PINS, flavour, "amd64"))
        return choice and choice.release

    def test_pin_is_preferred_to_a_newer_release(self):
        self.assertEqual(self.choose(packages("7.3.10", "7.3.4", "7.2.12")), "7.3.4+deb13")

    def test_newest_release_of_the_series_replaces_the_pin(self):
        self.assertEqual(self.choose(packages("7.3.9", "7.3.10", "7.2.12")), "7.3.10+deb13")

    def test_next_series_replaces_one_that_is_gone(self):
        self.assertEqual(self.choose(packages("7.2.6", "7.2.12", "7.1.13", "7.4.1")),
                         "7.2.12+deb13")
        self.assertEqual(self.choose(packages("7.2.6", "7.2.9")), "7.2.9+deb13")

    def test_series_that_is_not_supported_is_not_taken(self):
        self.assertIsNone(self.choose(packages("7.4.1", "7.1.13", "7.30.4")))

    def test_one_series_only(self):
        self.assertIsNone(self.choose(packages("7.3.4"), pins={"7.2": "7.2.12+deb13"}))

    def test_flavours_are_told_apart(self):
        versions = packages("7.3.9", flavour="cloud-amd64") | packages("7.3.8", flavour="rt-amd64")
        self.assertIsNone(self.choose(versions))
        self.assertEqual(self.choose(versions, "rt-amd64"), "7.3.8+deb13")

    def test_kernel_without_one_of_its_packages_is_not_taken(self):
        for part in ("binary", "modules", "headers", "source"):
            self.assertIsNone(self.choose(packages("7.3.4", without=[f"linux-{part}"])), part)

    def test_source_has_the_version_of_the_kernel(self):
        versions = packages("7.3.4", "7.3.5")
        versions["linux-source-7.3"] = ["7.3.5-1~bpo13+1"]
        self.assertEqual(self.choose(versions), "7.3.5+deb13")
        versions = packages("7.3.4-2", "7.3.4")
        self.assertEqual(archive.choose(versions, Wanted(PINS, "amd64", "amd64")),
                         Choice("7.3", "7.3.4+deb13", "7.3.4-2~bpo13+1"))

    def test_output_of_apt(self):
        text = ("linux-source-7.2 | 7.2.12-1 | http://a.example/debian trixie/main amd64 Packages\n"
                "linux-source-7.2 | 7.2.11-1 | http://a.example/debian trixie/main amd64 Packages\n"
                "linux-source-7.2 | 7.2.12-1 | http://b.example/debian sid/main amd64 Packages\n")
        self.assertEqual(archive.available(text), {"linux-source-7.2": ["7.2.12-1", "7.2.11-1"]})


class Fetch(unittest.TestCase):
    def fetch(self, current, old=None, complete=True, have="", old_complete=True):
        """Returns the packages that are fetched, and what is said about them.

        `current` and `old` are the packages of the archive and of a mirror of old packages.
        """
        fetched = []

        def listing(_directory, _log, sources, _wanted):
            found = dict(current)
            if "old" in sources:
                found |= old
            return found, old_complete if "old" in sources else complete

        def inside(_directory, _log, _script, _kernel, source, *names, what):
            fetched.extend([source, *names])

        with mock.patch.object(archive, "_list", listing), \
                mock.patch.object(archive, "_inside", inside), \
                mock.patch.object(archive.mirror, "lines", lambda _: ["current"]), \
                mock.patch.object(archive.mirror, "old", lambda _: ["old"] if old else []), \
                contextlib.redirect_stderr(io.StringIO()) as said:
            archive.fetch(Wanted(PINS, "amd64", "amd64", have), "trixie", "/x", "/x.log")
        return fetched, said.getvalue()

    def test_packages_of_one_version_are_fetched(self):
        fetched, said = self.fetch(packages("7.3.4"))
        self.assertEqual(fetched, ["linux-source-7.3", *(
            f"{name}=7.3.4-1~bpo13+1" for name in (
                "linux-binary-7.3.4+deb13-amd64", "linux-modules-7.3.4+deb13-amd64",
                "linux-headers-7.3.4+deb13-amd64", "linux-source-7.3"))])
        self.assertEqual(said, "")

    def test_source_that_the_caller_has_is_not_fetched(self):
        fetched, _ = self.fetch(packages("7.3.4"), have="7.3.4+deb13")
        self.assertEqual((fetched[0], len(fetched)), ("", 4))
        fetched, _ = self.fetch(packages("7.3.5"), have="7.3.4+deb13")
        self.assertEqual((fetched[0], len(fetched)), ("linux-source-7.3", 5))

    def test_kernel_that_replaces_the_pin_is_named(self):
        for kernel in ("7.3.5", "7.2.12"):
            _, said = self.fetch(packages(kernel))
            self.assertEqual(said, f"vfence: taking kernel {kernel}+deb13-amd64 from the archive\n")

    def test_series_that_is_gone_comes_from_a_mirror_of_old_packages(self):
        _, said = self.fetch(packages("7.2.12"), packages("7.3.4"))
        self.assertEqual(said, "vfence: taking kernel 7.3.4+deb13-amd64 from a mirror of old "
                               "packages\n")

    def test_mirror_of_old_packages_is_not_asked_for_a_series_that_is_there(self):
        _, said = self.fetch(packages("7.3.5"), packages("7.3.4"))
        self.assertIn("7.3.5+deb13-amd64 from the archive", said)

    def test_mirror_of_old_packages_without_the_series_changes_nothing(self):
        for complete in (True, False):
            _, said = self.fetch(packages("7.2.12"), packages("7.1.3"), old_complete=complete)
            self.assertIn("7.2.12+deb13-amd64 from the archive", said)

    def test_no_kernel_at_all(self):
        with self.assertRaisesRegex(Gone, "no amd64 kernel 7.3 or 7.2"):
            self.fetch(packages("7.4.1"))

    def test_archive_that_cannot_be_read_is_no_archive_without_kernels(self):
        for current, old in (({}, None), ({}, packages("7.3.4")),
                             (packages("7.2.12"), packages("7.3.4")), (packages("7.2.12"), None)):
            with self.assertRaisesRegex(Failure, "cannot list") as caught:
                self.fetch(current, old, complete=False)
            self.assertNotIsInstance(caught.exception, Gone)

    def test_mirror_of_old_packages_that_cannot_be_read(self):
        with self.assertRaisesRegex(Failure, "cannot list") as caught:
            self.fetch({}, packages("7.1.3"), old_complete=False)
        self.assertNotIsInstance(caught.exception, Gone)

    def test_archive_that_lacks_another_suite_has_the_kernel(self):
        _, said = self.fetch(packages("7.3.5"), complete=False)
        self.assertIn("7.3.5+deb13-amd64 from the archive", said)


class LocalArchive(Scratch):
    """A directory with the packages of some kernels, which apt reads; each has a few bytes."""

    def setUp(self):
        super().setUp()
        out = self.path("out")
        os.makedirs(out)
        for name, value in (("_OUT", out), ("_inside", self.inside)):
            patch = mock.patch.object(archive, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        quiet = contextlib.redirect_stderr(io.StringIO())
        self.said = quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)

    def inside(self, directory, log, script, *words, what):
        with open(log, "ab") as text:
            done = subprocess.run(["bash", "-c", script, "fetch", directory, *words], stdout=text,
                                  stderr=text, check=False, env=dict(
                                      os.environ, APT_CONFIG=f"{directory}/apt/apt.conf"))
        if done.returncode:
            with open(log) as text:
                self.fail(f"{what}: {text.read()}")

    def add(self, archive_name, number, architecture="amd64"):
        """Adds kernel `number` to an archive, whose packages become those of its backports."""
        release = f"{number}+deb13-{architecture}"
        series = number.rsplit(".", 1)[0]
        self.write(f"linux-source-{series}/Makefile", number)
        os.makedirs(self.path("usr/src"), exist_ok=True)
        subprocess.run(["tar", "-cJf", f"usr/src/linux-source-{series}.tar.xz",
                        f"linux-source-{series}"], cwd=self.directory, check=True)
        for name, files in {
                f"linux-binary-{release}": [f"usr/lib/modules/{release}/vmlinuz"],
                f"linux-modules-{release}": [f"usr/lib/modules/{release}/modules.builtin"],
                f"linux-headers-{release}": [f"usr/src/linux-headers-{release}/.config",
                                             f"usr/src/linux-headers-{release}/Module.symvers"],
                f"linux-source-{series}": [f"usr/src/linux-source-{series}.tar.xz"]}.items():
            every = "all" if "source" in name else architecture
            control = (f"Package: {name}\nVersion: {number}-1\nArchitecture: {every}\n"
                       "Maintainer: nobody <nobody@example.org>\nDescription: none\n")
            for file in files:
                if not os.path.exists(self.path(file)):
                    self.write(file, number)
                os.makedirs(os.path.dirname(self.path(f"deb/{file}")), exist_ok=True)
                os.rename(self.path(file), self.path(f"deb/{file}"))
            self.write("deb/DEBIAN/control", control)
            self.write(f"{archive_name}/pool/none", "")
            path = f"pool/{name}_{architecture}.deb"
            subprocess.run(["dpkg-deb", "--build", "--root-owner-group", self.path("deb"),
                            self.path(f"{archive_name}/{path}")], check=True,
                           stdout=subprocess.DEVNULL)
            subprocess.run(["rm", "-r", self.path("deb")], check=True)
            with open(self.path(f"{archive_name}/{path}"), "rb") as deb:
                content = deb.read()
            index = f"dists/trixie-backports/main/binary-{architecture}/Packages"
            self.write(f"{archive_name}/{index}.d/{name}",
                       f"{control}Filename: {path}\nSize: {len(content)}\n"
                       f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n")
            subprocess.run(f"cat {index}.d/* > {index}", shell=True, check=True,
                           cwd=self.path(archive_name))
            self.release(archive_name, index)
            # The suite itself has no packages.
            index = index.replace("-backports", "")
            self.write(f"{archive_name}/{index}", "")
            self.release(archive_name, index)

    def release(self, archive_name, index):
        """Writes the Release file of a suite, which has one index."""
        suite, _, rest = index.partition("/main/")
        with open(self.path(f"{archive_name}/{index}"), "rb") as text:
            content = text.read()
        self.write(f"{archive_name}/{suite}/Release",
                   f"Suite: {os.path.basename(suite)}\nComponents: main\n"
                   "Architectures: amd64 arm64\n"
                   "Date: Thu, 01 Jan 2026 00:00:00 UTC\nValid-Until: Fri, 02 Jan 2026 00:00:00 "
                   f"UTC\nSHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} "
                   f"main/{rest}\n")

    def fetch(self, flavour="amd64", have="", exact=False, uri=None):
        """Fetches a kernel from the archive `debian`, and from `snapshot.debian` if it exists.

        `uri` replaces the former.
        """
        options = "trusted=yes check-valid-until=no"
        sources = [[f"deb [{options}] {uri} trixie{part} main" for part in ("", "-backports")]
                   for uri in (uri or f"file://{self.path('debian')}",
                               f"file://{self.path('snapshot.debian')}")]
        with mock.patch.object(archive.mirror, "lines", lambda _: sources[0]), \
                mock.patch.object(archive.mirror, "old", lambda _: sources[1]
                                  if os.path.exists(self.path("snapshot.debian")) else []):
            archive.fetch(Wanted(PINS, flavour, flavour, have), "trixie", self.path("out"),
                          self.path("log"), exact=exact)
        files = [os.path.relpath(os.path.join(top, name), self.path("out"))
                 for top, _, names in os.walk(self.path("out")) for name in names]
        return archive.release(self.path("out")), [
            name for name in sorted(files) if not os.path.basename(name).startswith("modules.")]

    def files(self, release):
        return ["headers/.config", "headers/Module.symvers",
                f"image/lib/modules/{release}/vmlinuz", "release", "source/Makefile"]

    def test_series_that_the_archive_has(self):
        self.add("debian", "7.2.12")
        self.add("debian", "7.3.5")
        release = "7.3.5+deb13-amd64"
        self.assertEqual(self.fetch(), (release, self.files(release)))
        self.assertEqual(self.said.getvalue(),
                         f"vfence: taking kernel {release} from the archive\n")

    def test_series_that_the_archive_has_dropped(self):
        self.add("debian", "7.1.1")
        self.add("debian", "7.2.12")
        release = "7.2.12+deb13-amd64"
        self.assertEqual(self.fetch(), (release, self.files(release)))

    def test_release_that_alone_will_do(self):
        self.add("debian", "7.3.5")
        with self.assertRaisesRegex(archive.Gone, "no kernel 7.3.4[+]deb13-amd64"):
            self.fetch(exact=True)
        self.add("debian", "7.3.4")
        self.assertEqual(self.fetch(exact=True)[0], "7.3.4+deb13-amd64")

    def test_series_that_only_a_mirror_of_old_packages_has(self):
        self.add("debian", "7.2.12")
        self.add("snapshot.debian", "7.3.4")
        release = "7.3.4+deb13-amd64"
        self.assertEqual(self.fetch(), (release, self.files(release)))
        self.assertIn("from a mirror of old packages", self.said.getvalue())

    def test_other_architecture_without_the_source(self):
        self.add("debian", "7.3.4", "arm64")
        release = "7.3.4+deb13-arm64"
        files = [name for name in self.files(release) if not name.startswith("source")]
        self.assertEqual(self.fetch("arm64", "7.3.4+deb13"), (release, files))

    def test_archive_without_a_supported_series(self):
        self.add("debian", "7.1.1")
        with self.assertRaisesRegex(Gone, "no amd64 kernel 7.3 or 7.2"):
            self.fetch()

    def test_archive_that_is_down(self):
        self.add("snapshot.debian", "7.3.4")
        # Nothing listens on this port.
        for uri in (None, "http://127.0.0.1:9/debian"):
            with self.assertRaisesRegex(Failure, "cannot list the kernels"):
                self.fetch(uri=uri)
        # An archive without one of the suites cannot be told from one that is down.
        self.add("debian", "7.2.12")
        shutil.rmtree(self.path("debian/dists/trixie"))
        with self.assertRaisesRegex(Failure, "cannot list the kernels"):
            self.fetch()
