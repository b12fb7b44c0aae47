# SPDX-License-Identifier: GPL-2.0
"""Runs a workflow of GitHub Actions as its runner does, as far as the example project needs it.

A key, an expression or an action that is not known here is an error, so that nothing in a workflow
is ignored. Of `container`, only the image is not started: the steps run on this machine. The
expressions `github.action_path` and `runner.temp` are not known: in a container their values are
paths of the host. The environment of a step has the right ones.
"""

import os
import re
import shutil
import subprocess

import yaml_file
from report import Failure

_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_WORKFLOW_KEYS = {"name", "on", "true", "jobs"}
_JOB_KEYS = {"runs-on", "container", "steps"}
_STEP_KEYS = {"id", "name", "uses", "with", "run", "shell", "env"}


def _known(what, found, keys):
    """Fails if the mapping `found` has other keys than `keys`."""
    others = sorted(set(map(str, found)) - keys)
    if others:
        raise Failure(f"{what} has keys that are not known here: {' '.join(others)}")


def _expand(text, contexts):
    """Returns `text` with the values of its expressions."""
    def value(match):
        found = contexts
        for name in match.group(1).split("."):
            if not isinstance(found, dict) or name not in found:
                raise Failure(f"no value for the expression {match.group(0)}")
            found = found[name]
        return str(found)
    return _EXPRESSION.sub(value, str(text))


class Runner:
    """A runner with its home directory, and with the actions that it would download.

    `actions` maps `OWNER/NAME@REF` to directories. Files that the action `actions/cache` keeps are
    in `directory` from one job to the next, as is the home directory. The directory RUNNER_TEMP is
    emptied before each job.
    """

    def __init__(self, directory, actions):
        self._home = os.path.join(directory, "home")
        self._saved = os.path.join(directory, "saved")
        self._temp = os.path.join(directory, "temp")
        self._actions = actions
        for path in (self._home, self._saved):
            os.makedirs(path, exist_ok=True)

    def run(self, path, workspace, out):
        """Runs the only job of the workflow at `path` in `workspace`; returns its exit status.

        The steps write to the open file `out`.
        """
        shutil.rmtree(self._temp, ignore_errors=True)
        os.makedirs(self._temp)
        workflow = yaml_file.read(os.path.join(workspace, path))
        _known("the workflow", workflow, _WORKFLOW_KEYS)
        (job,) = workflow["jobs"].values()
        _known("the job", job, _JOB_KEYS)
        return _Job(self._home, self._saved, self._temp, self._actions, workspace, out).run(job)


class _Job:
    """One job: the environment of its steps, and what it saves when it succeeds."""

    def __init__(self, home, saved, temp, actions, workspace, out):
        self._home, self._saved, self._temp = home, saved, temp
        self._actions, self._workspace, self._out = actions, workspace, out
        self._to_save = []

    def run(self, job):
        status = self._steps(job["steps"], {"steps": {}}, {})
        for path, saved in self._to_save:
            if not status and os.path.exists(path) and not os.path.exists(saved):
                os.rename(path, saved)
        return status

    def _steps(self, steps, contexts, env):
        """Runs `steps` up to the first that fails, and returns the exit status of the last.

        `env` is what the environment of these steps has and that of others has not.
        """
        for step in steps:
            _known("a step", step, _STEP_KEYS)
            if "uses" in step:
                inputs = {name: _expand(value, contexts)
                          for name, value in step.get("with", {}).items()}
                status = self._use(step["uses"], inputs)
            else:
                status = self._bash(step, contexts, env)
            if status:
                return status
        return 0

    def _use(self, name, inputs):
        if name.startswith("actions/checkout@"):
            return 0
        if name.startswith("actions/cache@"):
            _known(name, inputs, {"path", "key"})
            self._restore(inputs["path"], inputs["key"])
            return 0
        if name not in self._actions:
            raise Failure(f"no action {name}")
        return self._composite(self._actions[name], inputs)

    def _restore(self, path, key):
        """Puts the file that an earlier job has saved with `key` at `path`."""
        if not os.path.isabs(path):
            raise Failure(f"the path of the cached file {path} is not absolute")
        saved = os.path.join(self._saved, key)
        if os.path.exists(saved):
            if os.path.exists(path):
                os.unlink(path)
            os.link(saved, path)
        self._to_save.append((path, saved))

    def _composite(self, directory, given):
        action = yaml_file.read(os.path.join(directory, "action.yml"))
        _known("the action", action, {"name", "description", "inputs", "runs"})
        _known("runs", action["runs"], {"using", "steps"})
        _known("the inputs", given, set(action["inputs"]))
        inputs = {}
        for name, one in action["inputs"].items():
            if one.get("required") and name not in given:
                raise Failure(f"the input {name} is missing")
            inputs[name] = given.get(name, one.get("default", ""))
        return self._steps(action["runs"]["steps"], {"inputs": inputs, "steps": {}},
                           {"GITHUB_ACTION_PATH": directory})

    def _bash(self, step, contexts, env):
        script, output = (os.path.join(self._temp, name) for name in ("script", "output"))
        with open(script, "w") as text:
            text.write(_expand(step["run"], contexts))
        open(output, "w").close()
        shell = step.get("shell")
        if shell not in (None, "bash"):
            raise Failure(f"a step has the shell {shell}")
        options = ["--noprofile", "--norc", "-eo", "pipefail"] if shell else ["-e"]
        env = {**os.environ, "CI": "true", "GITHUB_ACTIONS": "true", "HOME": self._home,
               "GITHUB_WORKSPACE": self._workspace, "GITHUB_OUTPUT": output,
               "RUNNER_TEMP": self._temp, **env}
        env.update({name: _expand(value, contexts)
                    for name, value in step.get("env", {}).items()})
        status = subprocess.run(["bash", *options, script], cwd=self._workspace, env=env,
                                stdin=subprocess.DEVNULL, stdout=self._out,
                                stderr=subprocess.STDOUT, check=False).returncode
        with open(output) as text:
            outputs = dict(line.rstrip("\n").split("=", 1) for line in text)
        if "id" in step:
            contexts["steps"][step["id"]] = {"outputs": outputs}
        return status
