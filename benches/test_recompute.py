#!/usr/bin/env -S python3 -B
"""Shows that benches/recompute can fail: a page, a README or a result in which one number was changed does not pass.

    COFFERDAM=target/release/cofferdam benches/test_recompute.py

RESULT=FILE names the result; otherwise the newest record of a default run is taken, and the README's text is checked
against it too.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
PROGRAM = os.environ.get("COFFERDAM", BENCHES.parent / "target" / "release" / "cofferdam")
RECORD = sorted((BENCHES / "records").glob("*-readme.json"))[-1]
RESULT = Path(os.environ.get("RESULT", RECORD))
README = BENCHES.parent / "README.md"
# A number with a source, and its text.
SHOWN = re.compile(r'(<data value="[^"]*" data-(\w+)="[^"]*" data-field="[^"]*">)([^<]*)(</data>)')
# A number in each part of the README's text.
PARTS = {
    "header": r"a job takes about (\S+)",
    "table": r"first reply of @echo +\S+ µs +(\S+)",
    "phases": r"Phases of a job, thread / process: queue (\S+)",
    "beside": r"Beside these, mixed: this guest, 4 at once: (\S+)",
    "crossover": r"at least (\S+) µs \[",
    "job": r"A job of this guest\s+takes (\S+)",
    "faults": r"worker gets SIGKILL +host died; every job of +worker lost; (\S+)",
    "advice": r"a process worker starts (\S+) µs",
}


def other_digit(text):
    """The text with another first digit."""
    place = re.search(r"\d", text).start()
    return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]


def replaced(text, match, group, new):
    return text[: match.start(group)] + new + text[match.end(group) :]


class Mutations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        page = Path(cls.folder.name) / "page.html"
        subprocess.run([PROGRAM, "report", RESULT, "--report", page], check=True, stdout=subprocess.DEVNULL)
        cls.html = page.read_text(encoding="utf-8")
        cls.result = json.loads(RESULT.read_text(encoding="utf-8"))

    def check(self, result=None, html=None, readme=None):
        """How recompute ends, and what it says."""
        folder = Path(self.folder.name)
        arguments = [RESULT]
        if result:
            arguments = [folder / "mutant.json"]
            arguments[0].write_text(json.dumps(result), encoding="utf-8")
        for option, text in (("--html", html), ("--readme", readme)):
            if text:
                path = folder / f"mutant{option}"
                path.write_text(text, encoding="utf-8")
                arguments += [option, path]
        ended = subprocess.run([BENCHES / "recompute", *arguments], capture_output=True, text=True)
        return ended.returncode, ended.stdout + ended.stderr

    def assert_found(self, **mutant):
        code, said = self.check(**mutant)
        self.assertEqual(code, 1, said)
        self.assertIn("MISMATCH", said)

    def test_what_was_not_changed_passes(self):
        code, said = self.check(html=self.html)
        self.assertEqual(code, 0, said)

    def test_a_changed_text_of_any_kind_of_number_is_found(self):
        firsts = {}
        for shown in SHOWN.finditer(self.html):
            if re.search(r"\d", shown[3]):
                firsts.setdefault(shown[2], shown)
        self.assertLessEqual({"row", "containment", "crossover", "result"}, firsts.keys())
        for kind, shown in firsts.items():
            with self.subTest(kind):
                self.assert_found(html=replaced(self.html, shown, 3, other_digit(shown[3])))

    def test_a_changed_full_value_is_found(self):
        shown = re.search(r'<data value="([^"]*)" data-row="job.p50"', self.html)
        self.assert_found(html=replaced(self.html, shown, 1, f"1{shown[1]}"))

    def test_a_changed_sample_is_found(self):
        result = json.loads(json.dumps(self.result))
        series = next(row["series"] for row in result["rows"] if row["metric"] == "p50")
        for rounds in result["series"][series]["process"]:
            rounds[:] = [1.5 * sample for sample in rounds]
        self.assert_found(result=result)

    def test_a_changed_latency_of_a_bystander_is_found(self):
        result = json.loads(json.dumps(self.result))
        row = next(row for row in result["containment"] if row["host_survived"])
        if not row.get("injected"):
            self.skipTest("this result is older than kept latencies")
        after = row["injected"][0]["counted"]["after_s"]
        after[:] = [2.0 * sample for sample in after]
        self.assert_found(result=result)

    def test_a_number_without_a_source_is_found_in_a_sentence(self):
        if not self.result["claims"][0].get("figures"):
            self.skipTest("this result is older than figures")
        self.assert_found(html=self.html.replace("<span data-prose>", "<span data-prose>13 ", 1))

    @unittest.skipUnless(RESULT == RECORD, "the README shows another result")
    def test_a_changed_number_in_any_part_of_the_readme_is_found(self):
        readme = README.read_text(encoding="utf-8")
        for part, pattern in PARTS.items():
            with self.subTest(part):
                found = re.search(pattern, readme)
                self.assertIsNotNone(found, f"the README has no {part}")
                self.assert_found(readme=replaced(readme, found, 1, other_digit(found[1])))


if __name__ == "__main__":
    sys.exit(unittest.main())
