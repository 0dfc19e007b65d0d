"""The table maker and the runner, without any peer: `python3 -B -m unittest discover -s benches/peers`."""

import copy
import dataclasses
import json
import random
import statistics
import sys
import unittest
from pathlib import Path
from unittest import mock

import install
import table
import trial
from arms import ARMS, MEASURES, REFERENCES

DATA = Path(__file__).resolve().parent / "testdata"
RECORD = json.loads((DATA / "rounds.json").read_text())


def row(record, measure, arm):
    at = [one["name"] for one in record["measures"]].index(measure)
    return next(row for row in table.blocks(record)[at].rows if row.arm == arm)


def ratios(record, measure, arm):
    return [one and dataclasses.astuple(one) for one in row(record, measure, arm).ratios]


class Intervals(unittest.TestCase):
    def test_it_agrees_with_the_one_of_the_library(self):
        # The numbers of the test in host/src/stats/interval.rs.
        found = table.median_interval(list(range(12, 0, -1)))
        self.assertEqual(found.median, 6.5)
        self.assertAlmostEqual(found.low, 3.263118441, places=6)
        self.assertAlmostEqual(found.high, 9.736881559, places=6)

    def test_few_values_give_their_whole_range(self):
        self.assertEqual(table.median_interval([3.0, 1.0, 2.0]), table.Interval(2.0, 1.0, 3.0))
        self.assertEqual(table.median_interval([5.0]), table.Interval(5.0, 5.0, 5.0))

    def test_it_holds_the_truth_as_often_as_it_says(self):
        rng = random.Random(1)
        for n in (6, 9, 12):
            intervals = [table.median_interval([rng.gauss(0, 1) for _ in range(n)]) for _ in range(2000)]
            held = sum(one.low <= 0 <= one.high for one in intervals) / 20
            self.assertTrue(93 <= held <= 97, f"{n}: {held} %")


class Tables(unittest.TestCase):
    def test_the_recorded_rounds_give_the_recorded_table(self):
        self.assertEqual(table.text(RECORD), (DATA / "table.txt").read_text())
        self.assertEqual(table.markdown(RECORD), (DATA / "table.md").read_text())

    def test_a_ratio_is_that_of_a_round_and_so_free_of_the_machines_drift(self):
        # All rounds of the file differ by up to three times; within a round the process takes twice as long.
        self.assertEqual(ratios(RECORD, "echo", "cofferdam process"), [(2.0, 2.0, 2.0), None])

    def test_ratios_from_one_to_twelve_have_the_median_and_the_interval_of_the_library(self):
        thread, process = ratios(RECORD, "echo", "rising")
        for found, known in zip(thread, (6.5, 3.263118441, 9.736881559)):
            self.assertAlmostEqual(found, known, places=6)
        for found, known in zip(process, thread):
            self.assertAlmostEqual(found, known / 2)

    def test_a_value_is_the_median_of_the_rounds(self):
        rounds = [one["p50"] for one in RECORD["trials"] if (one["measure"], one["arm"]) == ("echo", "rising")]
        self.assertEqual(row(RECORD, "echo", "rising").value, statistics.median(rounds))

    def test_the_order_of_the_trials_does_not_matter(self):
        shuffled = copy.deepcopy(RECORD)
        random.Random(3).shuffle(shuffled["trials"])
        same = [table.blocks(one)[0].rows[3] for one in (RECORD, shuffled)]
        self.assertEqual(*same)

    def test_failed_rounds_are_told_and_leave_the_others(self):
        shaky = row(RECORD, "echo", "shaky")
        self.assertEqual((shaky.rounds, len(shaky.failures)), (10, 2))
        self.assertEqual(table.notes(shaky), "2 of 12 rounds failed: exit code 1: it fell over")

    def test_an_arm_that_always_fails_or_is_missing_is_a_row_with_the_reason(self):
        self.assertEqual(table.notes(row(RECORD, "echo", "broken")), "no answer within 60 s")
        self.assertIn("ENOTFOUND", table.notes(row(RECORD, "memory", "absent")))
        self.assertIsNone(row(RECORD, "echo", "broken").value)

    def test_a_round_whose_reference_failed_has_no_ratio(self):
        record = copy.deepcopy(RECORD)
        gone = ("echo", "cofferdam thread")
        record["trials"] = [one for one in record["trials"] if (one["measure"], one["arm"]) != gone]
        self.assertIsNone(ratios(record, "echo", "rising")[0])
        self.assertIsNotNone(ratios(record, "echo", "rising")[1])

    def test_no_line_is_wider_than_the_terminal(self):
        wide = [line for line in table.text(RECORD).splitlines() if len(line) > table.WIDTH]
        self.assertEqual(wide, [])

    def test_numbers_have_three_digits_or_so(self):
        self.assertEqual([table.digits(x) for x in (1234.5, 99.96, 9.996, 0.1, 0.0123)], ["1234", "100", "10.0", "0.10", "0.012"])
        self.assertEqual([table.value_text(x, "s") for x in (82e-3, 119e-6, 4.5e-7)], ["82.0 ms", "119 µs", "450 ns"])
        self.assertEqual(table.value_text(73e-6, "s/message"), "13.7 k/s")
        self.assertEqual(table.value_text(54 * 1024, "B"), "54.0 KiB")


class Lists(unittest.TestCase):
    def test_every_arm_has_a_name_of_its_own_that_fits_its_column(self):
        names = [arm.name for arm in ARMS]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual([name for name in names if len(name) > table.NAME], [])

    def test_there_are_references_in_every_measure(self):
        for reference in REFERENCES:
            self.assertIn(reference, ARMS)
            self.assertEqual(set(reference.measures), set(MEASURES))


def arm(program):
    """An arm in Python."""
    return [sys.executable, "-c", program]


class Trials(unittest.TestCase):
    def failure(self, program):
        with self.assertRaises(trial.Failed) as caught:
            trial.timed(arm(program), {})
        return str(caught.exception)

    def test_the_samples_of_an_arm_become_quantiles(self):
        found = trial.timed(arm("print('{\"samples_ns\":[' + ','.join(map(str, range(1, 201))) + ']}')"), {})
        self.assertEqual(found["samples"], 200)
        self.assertAlmostEqual(found["p50"], 100.5e-9)
        self.assertAlmostEqual(found["p99"], 198e-9)

    def test_an_arm_that_fails_is_told_by_its_own_words(self):
        self.assertEqual(self.failure("import sys; sys.exit('no more')"), "exit code 1: no more")

    def test_an_arm_that_is_killed_is_told_from_one_that_exits(self):
        self.assertEqual(self.failure("import os; os.kill(os.getpid(), 9)"), "signal SIGKILL")

    def test_an_arm_that_dies_after_its_answer_has_failed(self):
        self.assertEqual(self.failure("print('{\"samples_ns\":[1]}', flush=True); import os; os._exit(3)"), "exit code 3")

    def test_an_arm_that_says_something_else_has_failed(self):
        self.assertIn("it said", self.failure("print('hello')"))
        self.assertEqual(self.failure("print('{}')"), "it told no samples")

    def test_an_arm_that_hangs_is_killed(self):
        with mock.patch.object(trial, "PATIENCE", 0.2):
            self.assertIn("no answer", self.failure("import time; time.sleep(1000)"))

    def test_a_program_that_is_not_there_is_a_failure_of_its_arm(self):
        with self.assertRaises(trial.Failed):
            trial.timed(["/nowhere/at/all"], {})

    def test_the_memory_of_one_more_worker_is_the_slope_over_all_children(self):
        # A worker is a child that touches eight MiB. Each process brings an interpreter along, too.
        worker = "import sys; held = bytearray(b'x' * (8 << 20)); print(flush=True); sys.stdin.read()"
        host = (
            "import subprocess, sys\n"
            "count = int(sys.argv[sys.argv.index('--workers') + 1])\n"
            f"words = [sys.executable, '-S', '-c', {worker!r}]\n"
            "pipe = subprocess.PIPE\n"
            "held = [subprocess.Popen(words, stdin=pipe, stdout=pipe) for _ in range(count)]\n"
            "for one in held: one.stdout.readline()\n"
            "print('{\"ready\":%d}' % count, flush=True)\n"
            "sys.stdin.read()\n"
            "for one in held: one.communicate()\n"
        )
        found = trial.memory(arm(host), {})
        for size in (found["p50"], found["private"]):
            self.assertTrue(8 < size / (1 << 20) < 32, found)


class Installing(unittest.TestCase):
    def test_what_cannot_be_installed_is_missing_with_the_installers_reason(self):
        failing = ["sh", "-c", "echo warning: odd >&2; echo error: no such crate >&2; echo bye >&2; exit 1"]
        with mock.patch.object(install, "say"), self.assertRaises(install.Missing) as caught:
            install.run(*failing)
        self.assertTrue(str(caught.exception).endswith("failed: error: no such crate"), caught.exception)

    def test_it_is_tried_once_for_all_arms_that_need_it(self):
        installer = install.Installer()
        broken = mock.Mock(side_effect=install.Missing("no network"))
        for _ in range(2):
            with self.assertRaises(install.Missing):
                installer.once("npm", broken)
        broken.assert_called_once()

    def test_the_lock_files_pin_every_peer(self):
        with mock.patch.object(install, "run", side_effect=install.Missing("no Node")):
            self.assertEqual(set(install.versions()), {*install.PACKAGES, *install.CRATES})


if __name__ == "__main__":
    unittest.main()
