"""Judges a history by what containers wrote down themselves, outside of Berth's state, and by a calendar of its own.

A line of the ledger is the first act of a run, synced: `RUN-ID DUE BOOT-ID UPTIME`, DUE being `-` for a run by hand. It shares no code with
what it judges: due times are counted here, and rows are read as they stand.
"""
import collections
import datetime

MINUTE = 60_000


def milliseconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 + 0.5)


def expected(schedule, begin, end):
    """The due times of `every Ns` and of each minute, after `begin` and up to `end`, in milliseconds."""
    step = MINUTE if schedule == "* * * * *" else int(schedule.removeprefix("every ").removesuffix("s")) * 1000
    first = begin // step * step + step
    return list(range(first, end + 1, step))


def reading(before, runs, after):
    """The lines to judge these rows by: work goes on while both are read, so a run may begin after its row was looked for, or end before its line was.

    before, after: the ledger's lines as they were before and after the rows were read."""
    rows, known = {run["run_id"] for run in runs}, set(before)
    return [line for line in after if line in known or line.split(" ", 1)[0] in rows]


def judge(lines, runs, dues, schedules, begin, end, acknowledged=()):
    """What is wrong, a sentence each.

    runs: dicts of run_id, name, due_at, outcome, state. dues: dicts of name, due_at, first_due_at, result, reason, count, run_id.
    schedules: text by name of a job. acknowledged: ids of runs whose success somebody was told.
    """
    wrong = []
    began = collections.Counter()
    due_of = {}
    for line in lines:
        words = line.split()
        if len(words) != 4:
            wrong.append(f"a line of the ledger is torn: {line!r}")
            continue
        began[words[0]] += 1
        due_of[words[0]] = words[1]
    by_id = {run["run_id"]: run for run in runs}
    for run_id, count in began.items():
        if count > 1:
            wrong.append(f"run {run_id} began {count} times")
        run = by_id.get(run_id)
        if run is None:
            wrong.append(f"run {run_id} began, and the history does not know it")
        elif run["outcome"] == "start-error":
            wrong.append(f"run {run_id} began, and the history says that it could not be started")
        elif (run["due_at"] or "-") != due_of[run_id]:
            wrong.append(f"run {run_id} was told another due time than its row has")
    for run in runs:
        if run["name"] in schedules and run["outcome"] == "succeeded" and began[run["run_id"]] == 0:
            wrong.append(f"run {run['run_id']} succeeded, and never began")
    for run_id in acknowledged:
        if by_id.get(run_id, {}).get("outcome") != "succeeded":
            wrong.append(f"run {run_id} was told to have succeeded, and the history says {by_id.get(run_id)}")
    for name, schedule in schedules.items():
        wrong += judge_dues(name, expected(schedule, begin, end), [due for due in dues if due["name"] == name], by_id, began, begin, end)
    return wrong


def judge_dues(name, wanted, dues, by_id, began, begin, end):
    wrong, seen = [], collections.Counter()
    starts = collections.Counter(run["due_at"] for run in by_id.values() if run["name"] == name and run["due_at"] and began[run["run_id"]])
    for due, count in starts.items():
        if count > 1:
            wrong.append(f"{name}: user code began {count} times for the due time {due}")
    for due in dues:
        first, last = milliseconds(due["first_due_at"] or due["due_at"]), milliseconds(due["due_at"])
        covered = [at for at in wanted if first <= at <= last]
        if begin < first and last <= end and len(covered) != due["count"]:
            wrong.append(f"{name}: a row of {due['count']} due times covers {len(covered)}: {due}")
        for at in covered:
            seen[at] += 1
        if due["result"] == "ran":
            run = by_id.get(due["run_id"])
            if run is None:
                wrong.append(f"{name}: due {due['due_at']} ran, and its run has no row")
            elif run["outcome"] == "succeeded" and began[due["run_id"]] != 1:
                wrong.append(f"{name}: due {due['due_at']} ran, and user code began {began[due['run_id']]} times")
        elif not due["reason"]:
            wrong.append(f"{name}: due {due['due_at']} is {due['result']} for no reason")
    for at in wanted:
        if seen[at] != 1:
            text = datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc).isoformat()
            wrong.append(f"{name}: due {text} has {seen[at]} rows")
    return wrong
