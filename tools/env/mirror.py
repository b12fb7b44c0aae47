# SPDX-License-Identifier: GPL-2.0
"""Finds the Debian mirror: in $VFENCE_MIRROR, or in the apt configuration of the host.

The variable has the URI of a main archive and, after a space, that of a security archive, which may
be left out. A host that is not Debian needs it.

Both formats of sources are read: deb822 (`.sources`) and one line (`.list`). Sources of other
archives are ignored. A main archive is required. The security archive is left out if the host has
no source of it. A mirror of old packages, whose URI contains `snapshot.`, is kept apart.
"""

import glob
import os
import re

from report import Failure

# The environment variable that names a mirror.
VARIABLE = "VFENCE_MIRROR"
# Other archives have other names for their suites.
_MAIN_SUITE = re.compile(r"^(bookworm|trixie|forky|sid|stable|testing|unstable)$")
# The mark of a mirror of old packages in its URI, and the suites that are read from it.
_OLD = "snapshot."
_OLD_SUITE = re.compile(_MAIN_SUITE.pattern.replace("$", "(-backports)?$"))
_SECURITY_SUITE = re.compile(r"^(bookworm|trixie|forky|stable|testing)-security$")


def deb822(text):
    """Yields (uri, suite, whether it is trusted) of the enabled binary sources in `text`."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {}
        name = None
        for line in stanza.splitlines():
            if line[:1].isspace() and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("trusted", "").lower() == "yes"


def one_line(text):
    """Yields (uri, suite, whether it is trusted) of the binary sources in one-line `text`."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)", line)
        if match:
            yield match.group(2), match.group(3), "trusted=yes" in (match.group(1) or "").split()


def _sources(etc_apt):
    for path in sorted(glob.glob(os.path.join(etc_apt, "sources.list.d", "*.sources"))):
        with open(path) as text:
            yield from deb822(text.read())
    lists = [os.path.join(etc_apt, "sources.list")]
    lists += sorted(glob.glob(os.path.join(etc_apt, "sources.list.d", "*.list")))
    for path in lists:
        if os.path.exists(path):
            with open(path) as text:
                yield from one_line(text.read())


def _archives(etc_apt):
    """Yields (uri, suite, options) of the sources that may be archives of Debian."""
    for uri, suite, trusted in _sources(etc_apt):
        if re.match(r"^(https?|file|ftp)://", uri):
            yield uri.rstrip("/"), suite, ["trusted=yes"] if trusted else []


def _place(uri, options):
    """Returns `uri` after its options, as a source has them."""
    return f"[{' '.join(options)}] {uri}" if options else uri


def uris(etc_apt="/etc/apt"):
    """Returns Debian's main and security archives, each its URI after options; or None."""
    given = os.environ.get(VARIABLE, "").split()
    if len(given) > 2 or not all(re.match(r"^(https?|file|ftp)://", uri) for uri in given):
        raise Failure(f"{VARIABLE} is '{os.environ[VARIABLE]}': expected the URI of a Debian "
                      "mirror and, after a space, that of its security archive")
    if given:
        return given[0].rstrip("/"), given[1].rstrip("/") if given[1:] else None
    main = security = None
    for uri, suite, options in _archives(etc_apt):
        if _OLD in uri:
            continue
        if _SECURITY_SUITE.match(suite):
            security = security or _place(uri, options)
        elif _MAIN_SUITE.match(suite) and uri.endswith("/debian"):
            main = main or _place(uri, options)
    if not main:
        raise Failure(f"{etc_apt} names no Debian mirror: set {VARIABLE} to the URI of one, or "
                      "add a source, 'deb URI trixie main', with a URI that ends in /debian")
    return main, security


def lines(suite, etc_apt="/etc/apt"):
    """Returns sources for `suite` with its updates, security fixes and backports."""
    main, security = uris(etc_apt)
    sources = [f"deb {main} {suite}{part} main" for part in ("", "-updates", "-backports")]
    if security:
        sources.append(f"deb {security} {suite}-security main")
    return sources


def old(suite, etc_apt="/etc/apt"):
    """Returns sources for `suite` and its backports on the mirrors of old packages."""
    # The Release file of an old state of the archive has expired.
    found = [_place(uri, ["check-valid-until=no", *options])
             for uri, one, options in _archives(etc_apt)
             if _OLD in uri and _OLD_SUITE.match(one)]
    return [f"deb {place} {suite}{part} main"
            for place in dict.fromkeys(found) for part in ("", "-backports")]


def local(etc_apt="/etc/apt"):
    """Returns the mounts of the archives that are directories of the host."""
    uris_ = [*os.environ.get(VARIABLE, "").split(), *(uri for uri, _, _ in _archives(etc_apt))]
    paths = [uri.removeprefix("file://") for uri in uris_ if uri.startswith("file://")]
    return [(path, path) for path in dict.fromkeys(paths) if os.path.isdir(path)]


def for_suite(suite, stable):
    """Returns the sources for `suite`, and the options of mmdebstrap that they need.

    A suite other than `stable` is under development. It has no updates. Its Release file expires
    after a week, and a mirror that is synchronised less often serves an expired one; apt still
    checks the signatures.
    """
    if suite == stable:
        return lines(suite), []
    return lines(suite)[:1], ['--aptopt=Acquire::Check-Valid-Until "false"']
