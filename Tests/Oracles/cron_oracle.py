"""Two independent answers to "when is this due": lines of MODE, EXPRESSION, ZONE, START, COUNT in, instants (seconds since
the epoch) after START out, one line each; a line 'error' for what is refused.

`cronsim` asks cronsim, an implementation of Debian's rules. `brute` looks at every minute of COUNT days with Python's
zoneinfo: what schedules with '*' in minute or hour promise where clocks are set."""
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


def simulated(expression, zone, start, count):
    found = []
    for instant in CronSim(expression, datetime.fromtimestamp(start, timezone.utc).astimezone(zone)):
        found.append(int(instant.timestamp()))
        if len(found) == count:
            break
    return found


def brute(expression, zone, start, days):
    rule = CronSim(expression, datetime.fromtimestamp(start, timezone.utc))
    found = []
    for minute in range(start // 60 + 1, start // 60 + 1 + days * 1440):
        local = datetime.fromtimestamp(minute * 60, timezone.utc).astimezone(zone)
        if local.second == 0 and local.minute in rule.minutes and local.hour in rule.hours and local.month in rule.months and rule.match_day(local.date()):
            found.append(minute * 60)
    return found


for line in sys.stdin:
    mode, expression, zone, start, count = line.rstrip("\n").split("\t")
    try:
        answer = (simulated if mode == "cronsim" else brute)(expression, ZoneInfo(zone), int(start), int(count))
        print(" ".join(map(str, answer)))
    except (CronSimError, StopIteration):
        print("error")
