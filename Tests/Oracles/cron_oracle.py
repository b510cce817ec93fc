"""Independent answers to "when is this due": lines of MODE, EXPRESSION, ZONE, START, COUNT in, instants (seconds since
the epoch) after START out, one line each; a line 'error' for what is refused, and 'hang' for what takes an oracle more than
five seconds.

`cronsim` asks cronsim, an implementation of Debian's rules. `croniter` asks croniter, whose rules agree where at most one of the day
fields is given and no clock is set. `offsets` are those that Python's zoneinfo has. `brute` looks at every minute of COUNT days with Python's
zoneinfo: what schedules with '*' in minute or hour promise where clocks are set."""
import functools
import signal
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


def iterated(expression, zone, start, count):
    # Imported here: a line of another mode does not need it.
    from croniter import croniter

    steps = croniter(expression, datetime.fromtimestamp(start, timezone.utc).astimezone(zone))
    return [int(steps.get_next(datetime).timestamp()) for _ in range(count)]


def offsets(expression, zone, start, count):
    # Here the expression is a list of instants.
    return [int(datetime.fromtimestamp(int(at), timezone.utc).astimezone(zone).utcoffset().total_seconds()) for at in expression.split(",")]


def brute(expression, zone, start, days):
    rule = CronSim(expression, datetime.fromtimestamp(start, timezone.utc))
    found = []
    end = start // 60 * 60 + days * 86400
    for minute in range(start // 60, start // 60 + 1 + days * 1440):
        # Where offsets have seconds, as Monrovia's had until 1972, the minutes of the wall clock begin within those of UTC.
        shift = -datetime.fromtimestamp(minute * 60, timezone.utc).astimezone(zone).second % 60
        instant = minute * 60 + shift
        local = datetime.fromtimestamp(instant, timezone.utc).astimezone(zone)
        if local.second != 0 or not start < instant <= end:
            continue
        if local.minute in rule.minutes and local.hour in rule.hours and local.month in rule.months and rule.match_day(local.date()):
            found.append(instant)
    return found


# Python itself keeps eight zones only, and there are six hundred.
zone_named = functools.cache(ZoneInfo)


class Hang(Exception):
    pass


def hang(*_):
    raise Hang


signal.signal(signal.SIGALRM, hang)
# Whoever starts this may have blocked it.
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

for line in sys.stdin:
    mode, expression, zone, start, count = line.rstrip("\n").split("\t")
    signal.alarm(5)
    try:
        answer = {"cronsim": simulated, "croniter": iterated, "offsets": offsets, "brute": brute}[mode](expression, zone_named(zone), int(start), int(count))
        print(" ".join(map(str, answer)))
    except (CronSimError, StopIteration):
        print("error")
    except Hang:
        print("hang")
