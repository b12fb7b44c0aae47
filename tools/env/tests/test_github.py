# SPDX-License-Identifier: GPL-2.0
"""A workflow runs as its files say, and nothing in it is ignored. JSON is YAML."""

import json
import os

import github
import yaml_file
from report import Failure
from tests.scratch import Scratch

_ACTION = {
    "name": "greet",
    "inputs": {"who": {"required": True}, "word": {"default": "hello"}},
    "runs": {"using": "composite", "steps": [
        {"id": "first", "shell": "bash",
         "run": '[ ! -e "$RUNNER_TEMP/kept" ] || echo left\n'
                'printf "%s\\n" "key=k 1" "file=$RUNNER_TEMP/kept" >> "$GITHUB_OUTPUT"'},
        {"uses": "actions/cache@v4", "with": {"path": "${{ steps.first.outputs.file }}",
                                              "key": "${{ steps.first.outputs.key }}"}},
        {"shell": "bash", "env": {"WHO": "${{ inputs.who }}"},
         "run": 'cd "$RUNNER_TEMP"; [ ! -e kept ] || echo again; touch kept\n'
                'echo "${{ inputs.word }} $WHO $GITHUB_ACTION_PATH"; [ ! "$FAIL" ]'},
    ]},
}


class Workflow(Scratch):
    def setUp(self):
        super().setUp()
        self.addCleanup(setattr, yaml_file, "read", yaml_file.read)
        yaml_file.read = lambda path: json.loads(self.read(path))
        self.addCleanup(os.environ.pop, "FAIL", None)
        self.write("action/action.yml", json.dumps(_ACTION))
        os.makedirs(self.path("work"))
        self.runner = github.Runner(self.path("runner"), {"o/greet@v1": self.path("action")})

    def read(self, path):
        with open(path) as text:
            return text.read()

    def run_steps(self, *steps, **more):
        self.write("work/w.yml", json.dumps(
            {"on": "push", "jobs": {"j": {"runs-on": "x", "steps": steps, **more}}}))
        with open(self.path("out"), "w") as out:
            status = self.runner.run("w.yml", self.path("work"), out)
        return status, self.read(self.path("out"))

    def test_an_action_gets_its_inputs_and_outputs_of_steps(self):
        step = {"uses": "o/greet@v1", "with": {"who": "you $HOME"}}
        expected = f"hello you $HOME {self.path('action')}\n"
        self.assertEqual(self.run_steps({"uses": "actions/checkout@v4"}, step), (0, expected))
        self.assertEqual(self.run_steps(step), (0, "again\n" + expected))

    def test_a_job_that_fails_saves_no_cache(self):
        step = {"uses": "o/greet@v1", "with": {"who": "you"}}
        os.environ["FAIL"] = "1"
        self.assertEqual(self.run_steps(step)[0], 1)
        del os.environ["FAIL"]
        self.assertNotIn("again", self.run_steps(step)[1])

    def test_a_failed_step_ends_the_job(self):
        self.assertEqual(self.run_steps({"run": "false\necho no"}, {"run": "echo never"}),
                         (1, ""))

    def test_what_is_not_known_is_an_error(self):
        for step, problem in (
                ({"run": "true", "if": "always()"}, "keys that are not known here: if"),
                ({"uses": "o/other@v1"}, "no action o/other@v1"),
                ({"uses": "o/greet@v1"}, "the input who is missing"),
                ({"uses": "o/greet@v1", "with": {"who": "", "x": ""}}, "not known here: x"),
                ({"run": "echo ${{ secrets.x }}"}, "no value for the expression"),
                ({"run": "echo ${{ github.action_path }}"}, "no value for the expression"),
                ({"run": "true", "shell": "pwsh"}, "the shell pwsh")):
            with self.assertRaisesRegex(Failure, problem):
                self.run_steps(step)
        with self.assertRaisesRegex(Failure, "not known here: services"):
            self.run_steps(services={})
