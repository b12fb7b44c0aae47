# SPDX-License-Identifier: GPL-2.0
"""A job runs as its files say, and nothing in it is ignored. JSON is YAML."""

import json

import gitlab
import yaml_file
from report import Failure
from tests.scratch import Scratch

_TEMPLATE = {".base": {
    "variables": {"WORD": "hello", "URL": ""},
    "cache": {"key": "$WORD-$CI_JOB_NAME_SLUG", "paths": ["kept/"], "when": "always"},
    "before_script": ["[ ! -e kept ] || echo again", "export MORE=1"],
    "script": ["mkdir -p kept", 'echo "$WORD $WHO $URL $MORE"', "touch report.xml", "$LAST"],
    "artifacts": {"reports": {"junit": "report.xml"}},
}}


class Job(Scratch):
    def setUp(self):
        super().setUp()
        self.addCleanup(setattr, yaml_file, "read", yaml_file.read)
        yaml_file.read = lambda path: json.loads(self.read(path))
        self.write("template/base.yml", json.dumps(_TEMPLATE))
        self.runner = gitlab.Runner(self.path("runner"), {("o/p", "v1"): self.path("template")},
                                    "file:///server")

    def read(self, path):
        with open(path) as text:
            return text.read()

    def run_job(self, ref="v1", **job):
        self.write("work/.gitlab-ci.yml", json.dumps(
            {"include": [{"project": "o/p", "ref": ref, "file": "base.yml"}],
             "one": {"extends": ".base", **job}}))
        with open(self.path("out"), "w") as out:
            status = self.runner.run(self.path("work"), out)
        return status, self.read(self.path("out"))

    def test_a_job_extends_the_template(self):
        variables = {"WHO": "you", "URL": "$CI_SERVER_URL/o/p.git $$x"}
        expected = "hello you file:///server/o/p.git $x 1\n"
        self.assertEqual(self.run_job(variables=variables), (0, expected))
        self.assertEqual(self.run_job(variables=variables), (0, "again\n" + expected))

    def test_a_failed_line_fails_the_job(self):
        status, output = self.run_job(variables={"LAST": "false"})
        self.assertEqual((status, output), (1, "hello   1\n"))

    def test_what_is_not_known_is_an_error(self):
        with self.assertRaisesRegex(Failure, "not known here: rules"):
            self.run_job(rules=[])
        with self.assertRaisesRegex(Failure, "no project o/p with the ref v2"):
            self.run_job(ref="v2")

    def test_a_missing_report_is_an_error(self):
        with self.assertRaisesRegex(Failure, "left no other.xml"):
            self.run_job(artifacts={"reports": {"junit": "other.xml"}})
