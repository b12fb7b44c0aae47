# SPDX-License-Identifier: GPL-2.0
"""Chooses a Debian kernel, fetches its packages, and unpacks what guests and modules need of them.

The archive drops releases and whole series. A mirror of old packages, which the host's apt sources
may name too, is read only for a series that the archive no longer has.

The result is a directory with `image` (the kernel and its modules), `headers` (its configuration
and symbols), `release` (what `uname -r` prints) and, unless the caller has it, `source`.
"""

import os
import re
import shutil
import subprocess
import typing

import chroot
import host
import mirror
from report import Failure, run_logged, say

# The mount point of the directory; `apt` in it has the state of apt until all is fetched.
_OUT = f"{chroot.MOUNT}/out"

_APT = """
Dir::Etc::SourceList "{out}/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{out}/apt/lists";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
"""

# The archive may lack a suite, so a failed update does not end this. Without --error-on, apt-get
# succeeds if it cannot reach the archive.
_LIST = r"""
cd "$1/apt"; mkdir -p lists/partial
apt-get update --error-on=any || touch incomplete
set -e
apt-cache pkgnames linux- > names
{ grep -E '^linux-(binary|modules|headers|source)-[0-9]' names || true; } |
    xargs --no-run-if-empty apt-cache madison > packages
"""

_FETCH = r"""
set -e
cd "$1"; kernel=$2; source=$3; shift 3
apt-get download "$@"
for deb in *.deb; do
    dpkg-deb -x "$deb" unpacked
    rm "$deb"
done
mkdir -p image/lib headers
mv unpacked/usr/lib/modules image/lib/
depmod -b image "$kernel"
mv unpacked/usr/src/linux-headers-"$kernel"/.config \
   unpacked/usr/src/linux-headers-"$kernel"/Module.symvers headers/
if [ -n "$source" ]; then
    tar -xf "unpacked/usr/src/$source.tar.xz"
    mv "$source" source
fi
rm -rf unpacked apt
echo "$kernel" > release
"""


class Gone(Failure):
    """Neither the archive nor a mirror of old packages has a kernel of a series asked for."""


class Wanted(typing.NamedTuple):
    """The kernels of which one is fetched."""
    # The preferred release of each series, the preferred series first.
    pins: dict
    # Debian's flavour and architecture.
    flavour: str
    architecture: str
    # The release whose source the caller has.
    have: str = ""

    @property
    def pin(self):
        """The preferred kernel, as `uname -r` prints it."""
        return f"{next(iter(self.pins.values()))}-{self.flavour}"


class Choice(typing.NamedTuple):
    """A kernel: its series, its release without the flavour, and the version of its packages."""
    series: str
    release: str
    version: str


def available(text):
    """Returns the versions of each package in `text`, what `apt-cache madison` prints."""
    versions = {}
    for line in text.splitlines():
        name, version, _ = (word.strip() for word in line.split("|", 2))
        if version not in versions.setdefault(name, []):
            versions[name].append(version)
    return versions


def _numbers(release):
    return [int(number) for number in re.findall(r"\d+", release)]


def choose(versions, wanted):
    """Returns the Choice among the packages `versions`, or None.

    The pin of a series is preferred to the newest release, and that to the next series. All
    packages of a kernel must have the same version.
    """
    for series, pin in wanted.pins.items():
        pattern = re.compile(rf"linux-headers-({re.escape(series)}\.[^-]*)-{wanted.flavour}")
        releases = [match.group(1) for match in map(pattern.fullmatch, versions) if match]
        for release in sorted(releases, key=lambda one: (one == pin, _numbers(one)), reverse=True):
            kernel = f"{release}-{wanted.flavour}"
            needed = [f"linux-binary-{kernel}", f"linux-modules-{kernel}",
                      f"linux-source-{series}"]
            for version in versions[f"linux-headers-{kernel}"]:
                if all(version in versions.get(name, ()) for name in needed):
                    return Choice(series, release, version)
    return None


def _inside(directory, log, script, *words, what):
    """Runs the shell `script` with the state of apt in `directory`."""
    command = ["bash", "-c", script, "fetch", _OUT, *words]
    run_logged(chroot.argv(command, binds=[(directory, _OUT), *mirror.local()],
                           env={"APT_CONFIG": f"{_OUT}/apt/apt.conf"}), log, what)


def _list(directory, log, sources, wanted):
    """Returns the versions of the kernel packages in `sources`, and whether all could be read."""
    state = os.path.join(directory, "apt")
    shutil.rmtree(state, ignore_errors=True)
    os.makedirs(state)
    with open(os.path.join(state, "sources.list"), "w") as text:
        text.writelines(f"{line}\n" for line in sources)
    with open(os.path.join(state, "apt.conf"), "w") as text:
        text.write(_APT.format(out=_OUT, architecture=wanted.architecture))
        text.writelines(f"{line}\n" for line in host.apt_proxies())
    _inside(directory, log, _LIST, what="listing the kernels of the archive")
    with open(os.path.join(state, "packages")) as text:
        return available(text.read()), not os.path.exists(os.path.join(state, "incomplete"))


def fetch(wanted, suite, directory, log, exact=False):
    """Fills `directory` with a kernel that is Wanted, from Debian `suite`.

    With `exact`, only the pin will do.
    """
    sources, old = mirror.lines(suite), mirror.old(suite)
    versions, complete = _list(directory, log, sources, wanted)
    choice, place = choose(versions, wanted), "the archive"
    if not choice or choice.series != next(iter(wanted.pins)):
        current = choice
        # An archive that is down has dropped nothing.
        if complete and old:
            versions, complete = _list(directory, log, [*sources, *old], wanted)
            choice = choose(versions, wanted)
            complete = complete or choice
        if not complete:
            raise Failure(f"cannot list the kernels of the archive: see {log}")
        if choice != current:
            place = "a mirror of old packages"
    series = " or ".join(wanted.pins)
    if not choice:
        raise Gone(f"the archive has no {wanted.flavour} kernel {series}: add a mirror of old "
                   "packages to apt's sources")
    kernel = f"{choice.release}-{wanted.flavour}"
    if exact and kernel != wanted.pin:
        raise Gone(f"the archive has no kernel {wanted.pin}")
    if place != "the archive" or kernel != wanted.pin:
        say(f"vfence: taking kernel {kernel} from {place}")
    source = f"linux-source-{choice.series}" if choice.release != wanted.have else ""
    names = [f"linux-{part}-{kernel}" for part in ("binary", "modules", "headers")]
    _inside(directory, log, _FETCH, kernel, source,
            *(f"{name}={choice.version}" for name in [*names, source] if name),
            what="fetching the kernel")


def release(directory):
    """Returns the release of the kernel in `directory`, as `uname -r` prints it."""
    with open(os.path.join(directory, "release")) as text:
        return text.read().strip()
