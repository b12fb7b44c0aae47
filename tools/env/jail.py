# SPDX-License-Identifier: GPL-2.0
"""The command prefix that ties child processes and their mounts to this process.

When this process ends, even by SIGKILL, its children end too and their mounts go away.
"""

PREFIX = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private",
          "--pid", "--fork", "--kill-child", "--mount-proc"]
