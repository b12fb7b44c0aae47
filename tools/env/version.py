# SPDX-License-Identifier: GPL-2.0
"""The version of the project, which NEWS states."""

import os
import re

from report import Failure

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The alphabet that MODULE_VERSION() and Debian's versions share.
_VERSION = re.compile(r"^vfence (\d+\.\d+\.\d+)$", re.MULTILINE)


def version(checkout=_CHECKOUT):
    """Returns the newest version in the NEWS of `checkout`, such as "0.9.0"."""
    path = os.path.join(checkout, "NEWS")
    with open(path) as text:
        found = _VERSION.search(text.read())
    if not found:
        raise Failure(f"{path} has no line 'vfence X.Y.Z'")
    return found.group(1)
