# SPDX-License-Identifier: GPL-2.0
"""Runs a job of GitLab CI as its runner does, as far as the example project needs it.

A key that is not known here is an error, so that nothing in a job is ignored. Of `image`, nothing
is started: the script runs on this machine.
"""

import os
import re
import subprocess

import yaml_file
from report import Failure

_JOB_KEYS = {"image", "variables", "cache", "before_script", "script", "artifacts", "extends"}
# The user name and the password by which the repositories of the server can be cloned.
USER, TOKEN = "gitlab-ci-token", "token-of-the-job"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")


def _expand(text, variables):
    """Returns `text` with the values of its variables; one that is not set is empty."""
    def value(match):
        dollar, braced, plain = match.groups()
        return dollar or _expand(variables.get(braced or plain, ""), variables)
    return _VARIABLE.sub(value, str(text))


def _merge(base, job):
    """Returns `base` with the entries of `job`; mappings are merged, other values replaced."""
    merged = dict(base)
    for key, value in job.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


class Runner:
    """A runner and its server.

    `projects` maps (project, ref) to a checkout of files to include; `url` is that of the server,
    from which jobs clone. The cache is in `directory` from one job to the next.
    """

    def __init__(self, directory, projects, url):
        self._saved = os.path.join(directory, "saved")
        self._temp = os.path.join(directory, "temp")
        self._projects, self._url = projects, url
        for path in (self._saved, self._temp):
            os.makedirs(path, exist_ok=True)

    def run(self, workspace, out):
        """Runs the only job of the project in `workspace`; returns its exit status.

        The job writes to the open file `out`. It fails if it leaves no report.
        """
        name, job = self._job(yaml_file.read(os.path.join(workspace, ".gitlab-ci.yml")))
        unknown = sorted(set(job) - _JOB_KEYS)
        if unknown:
            raise Failure(f"the job {name} has keys that are not known here: {' '.join(unknown)}")
        variables = {"CI": "true", "GITLAB_CI": "true", "CI_SERVER_URL": self._url,
                     "CI_JOB_TOKEN": TOKEN,
                     "CI_PROJECT_DIR": workspace, "CI_JOB_NAME": name, "CI_JOB_NAME_SLUG": name,
                     **job.get("variables", {})}
        variables = {key: _expand(value, variables) for key, value in variables.items()}
        saved = os.path.join(self._saved, _expand(job["cache"]["key"], variables))
        paths = [os.path.normpath(path) for path in job["cache"]["paths"]]
        for path in paths:
            if os.path.exists(os.path.join(saved, path)):
                os.rename(os.path.join(saved, path), os.path.join(workspace, path))
        status = self._bash([*job["before_script"], *job["script"]], workspace, variables, out)
        for path in paths:
            if os.path.exists(os.path.join(workspace, path)):
                os.makedirs(saved, exist_ok=True)
                os.rename(os.path.join(workspace, path), os.path.join(saved, path))
        report = job["artifacts"]["reports"]["junit"]
        if not os.path.exists(os.path.join(workspace, report)):
            raise Failure(f"the job has left no {report}")
        return status

    def _job(self, content):
        """Returns (name, job) of the only job of a configuration that is not hidden."""
        jobs = {}
        for one in content.pop("include", []):
            directory = self._projects.get((one["project"], one["ref"]))
            if not directory:
                raise Failure(f"no project {one['project']} with the ref {one['ref']}")
            jobs.update(yaml_file.read(os.path.join(directory, one["file"])))
        jobs.update(content)
        ((name, job),) = [(name, job) for name, job in jobs.items() if not name.startswith(".")]
        return name, _merge(jobs[job["extends"]], job) if "extends" in job else job

    def _bash(self, lines, workspace, variables, out):
        script = os.path.join(self._temp, "script")
        with open(script, "w") as text:
            text.write("set -eo pipefail\n" + "\n".join(lines) + "\n")
        return subprocess.run(["bash", script], cwd=workspace,
                              env={**os.environ, **variables, "TMPDIR": self._temp},
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                              check=False).returncode
