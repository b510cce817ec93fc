"""The judge finds each fault that is planted, and none where none is."""
import copy
import unittest

import ledger

T = ledger.milliseconds("2026-11-30T20:00:00.000Z")


def time(seconds):
    return f"2026-11-30T20:00:{seconds:02d}.000Z"


def good():
    lines, runs, dues = [], [], []
    for number, seconds in enumerate((5, 10, 25)):
        runs.append({"run_id": f"r{number}", "name": "often", "due_at": time(seconds), "outcome": "succeeded", "state": "finished"})
        lines.append(f"r{number} {time(seconds)} boot 12.3")
        dues.append({"name": "often", "due_at": time(seconds), "first_due_at": time(seconds), "result": "ran", "reason": None, "count": 1, "run_id": f"r{number}"})
    dues.append({"name": "often", "due_at": time(20), "first_due_at": time(15), "result": "missed", "reason": "daemon down", "count": 2, "run_id": None})
    runs.append({"run_id": "h1", "name": "byhand", "due_at": None, "outcome": "succeeded", "state": "finished"})
    lines.append("h1 - boot 13.0")
    return lines, runs, dues


class Judge(unittest.TestCase):
    def judge(self, spoil=lambda lines, runs, dues: None, acknowledged=("h1",)):
        lines, runs, dues = copy.deepcopy(good())
        spoil(lines, runs, dues)
        return ledger.judge(lines, runs, dues, {"often": "every 5s"}, T, T + 25_000, acknowledged)

    def test_nothing_is_wrong(self):
        self.assertEqual(self.judge(), [])

    def test_each_planted_fault_is_found(self):
        faults = {
            "began twice": lambda lines, runs, dues: lines.append(lines[0]),
            "not in the history": lambda lines, runs, dues: lines.append("r9 - boot 1.0"),
            "never began": lambda lines, runs, dues: lines.pop(0),
            "no row for a due time": lambda lines, runs, dues: dues.pop(0),
            "two rows for a due time": lambda lines, runs, dues: dues.append(dict(dues[3], due_at=time(15), count=1)),
            "a wrong count": lambda lines, runs, dues: dues[3].update(count=3),
            "no reason": lambda lines, runs, dues: dues[3].update(reason=None),
            "a false failure": lambda lines, runs, dues: runs[0].update(outcome="start-error"),
            "a run without a row": lambda lines, runs, dues: dues[0].update(run_id="r9"),
            "another due time": lambda lines, runs, dues: runs[0].update(due_at=time(10)),
            "a torn line": lambda lines, runs, dues: lines.append("r0 2026"),
            "two runs for a due time": lambda lines, runs, dues: (
                lines.append(f"r8 {time(5)} boot 1.0"), runs.append(dict(runs[0], run_id="r8"))),
            "an acknowledged run is gone": lambda lines, runs, dues: (runs.pop(), lines.pop()),
        }
        for name, spoil in faults.items():
            with self.subTest(name):
                self.assertTrue(self.judge(spoil), name)

    def test_counts_due_times(self):
        self.assertEqual(ledger.expected("* * * * *", T, T + 150_000), [T + 60_000, T + 120_000])
        self.assertEqual(ledger.expected("every 5s", T - 1, T + 5000), [T, T + 5000])

    def test_reads_a_ledger_that_goes_on(self):
        runs = [{"run_id": "a"}, {"run_id": "b"}]
        # b began after the first reading, c after its rows were read, and x has no row at all.
        self.assertEqual(ledger.reading(["a 1", "x 1"], runs, ["a 1", "x 1", "b 1", "c 1"]), ["a 1", "x 1", "b 1"])


if __name__ == "__main__":
    unittest.main()
