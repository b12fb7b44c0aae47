# SPDX-License-Identifier: GPL-2.0
"""Finds the Debian mirror in the apt configuration of the host.

Both formats of sources are read: deb822 (`.sources`) and one line (`.list`). Sources of other
archives are ignored. A main archive is required. The security archive is left out if the host has
no source of it.
"""

import glob
import os
import re

from report import Failure

# Other archives have other names for their suites.
_MAIN_SUITE = re.compile(r"^(bookworm|trixie|forky|sid|stable|testing|unstable)$")
_SECURITY_SUITE = re.compile(r"^(bookworm|trixie|forky|stable|testing)-security$")


def deb822(text):
    """Yields (uri, suite) of the enabled binary sources in deb822 `text`."""
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
                yield uri, suite


def one_line(text):
    """Yields (uri, suite) of the binary sources in one-line `text`."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)", line)
        if match:
            yield match.group(1), match.group(2)


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


def _usable(uri):
    return re.match(r"^(https?|file|ftp)://", uri) is not None and "snapshot." not in uri


def uris(etc_apt="/etc/apt"):
    """Returns the URIs of Debian's main and security archives; the latter may be None."""
    main = security = None
    for uri, suite in _sources(etc_apt):
        if not _usable(uri):
            continue
        uri = uri.rstrip("/")
        if _SECURITY_SUITE.match(suite):
            security = security or uri
        elif _MAIN_SUITE.match(suite) and uri.endswith("/debian"):
            main = main or uri
    if not main:
        raise Failure(f"{etc_apt} names no Debian mirror: add a source for your release, "
                      "'deb URI trixie main', with a URI that ends in /debian")
    return main, security


def lines(suite, etc_apt="/etc/apt"):
    """Returns sources for `suite` with its updates, security fixes and backports."""
    main, security = uris(etc_apt)
    sources = [f"deb {main} {suite}{part} main" for part in ("", "-updates", "-backports")]
    if security:
        sources.append(f"deb {security} {suite}-security main")
    return sources
