# SPDX-License-Identifier: GPL-2.0
"""How everything of ours is started: so that it ends when we do.

Whatever ends us, be it SIGKILL, ends what we have started, and its mounts go
with it: an interrupted run leaves nothing behind that runs, writes or is busy.
"""

PREFIX = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private",
          "--pid", "--fork", "--kill-child", "--mount-proc"]
