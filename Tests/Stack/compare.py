#!/usr/bin/env python3
"""The same services under docker compose and under Berth, point by point.

    python3 compare.py BERTH-PROGRAMS REGISTRY COMPOSE [--only docker|berth]

BERTH-PROGRAMS: the folder of berth, berthd and berth-shim. REGISTRY: where images.sh pushed the images, over plain HTTP.
COMPOSE: docker compose's program; dockerd is started here, in a folder of its own. Prints a line a point, and what differs in
what the web app finds in its sandbox. Ends with 1 when a point of Berth's does not hold.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SERVICES = ["cache", "db", "proxy", "web", "worker"]


def run(*words, check=True, **options):
    done = subprocess.run(words, text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def until(what, limit, poll=0.1):
    """Seconds until `what` holds; None when it never does."""
    begin = time.monotonic()
    while time.monotonic() - begin < limit:
        try:
            if what():
                return time.monotonic() - begin
        except (OSError, RuntimeError, ValueError, KeyError, IndexError):
            pass
        time.sleep(poll)
    return None


class Side:
    """One of the two, with its daemon."""

    port = 0

    def __init__(self, home, registry):
        self.home, self.registry, self.daemon = home, registry, None
        self.environment = {**os.environ, "HOME": home, "REGISTRY": registry, "PORT": str(self.port)}

    def get(self, path="/", limit=3):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=limit) as answer:
            return json.load(answer)

    def spawn(self, *words):
        log = open(f"{self.home}/daemon.log", "ab")
        self.daemon = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def end(self, how=signal.SIGTERM):
        self.daemon.send_signal(how)
        self.daemon.wait()

    def power_cut(self):
        """The daemon and every container are gone at once."""
        pids = [self.pid(service) for service in SERVICES]
        self.end(signal.SIGKILL)
        self.cut()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 10)

    def cut(self):
        pass


class Docker(Side):
    port = 18180
    name = "docker"

    def __init__(self, home, registry, compose):
        super().__init__(home, registry)
        self.compose = compose
        self.environment["DOCKER_HOST"] = f"unix://{home}/docker.sock"

    def start(self):
        self.spawn("dockerd", "--data-root", f"{self.home}/data", "--exec-root", f"{self.home}/exec", "-H", f"unix://{self.home}/docker.sock",
                   "--pidfile", f"{self.home}/pid")
        if until(lambda: self.docker("info").returncode == 0, 60) is None:
            raise RuntimeError("dockerd does not start")

    def docker(self, *words):
        return run("docker", *words, env=self.environment)

    def cut(self):
        # containerd is dockerd's child, and its shims are containerd's.
        for entry in os.listdir("/proc"):
            try:
                words = open(f"/proc/{entry}/cmdline").read()
            except OSError:
                continue
            if self.home in words and entry.isdigit() and int(entry) != os.getpid():
                os.kill(int(entry), signal.SIGKILL)
        if os.path.exists(f"{self.home}/pid"):
            os.remove(f"{self.home}/pid")

    def verb(self, *words):
        return run(self.compose, "-f", f"{HERE}/compose.yaml", *words, env=self.environment, check=False)

    def up(self):
        return self.verb("up", "-d", "--wait")

    def down(self):
        return self.verb("down")

    def inspect(self, service):
        found = self.docker("ps", "-aq", "--filter", f"label=com.docker.compose.service={service}").stdout.split()
        return json.loads(self.docker("inspect", found[0]).stdout)[0]

    def started(self, service):
        return self.inspect(service)["State"]["StartedAt"]

    def pid(self, service):
        return self.inspect(service)["State"]["Pid"]

    def state(self, service):
        return self.inspect(service)["State"]["Status"]

    def restarts(self, service):
        return self.inspect(service)["RestartCount"]

    def left(self):
        return self.docker("ps", "-aq").stdout.split() + self.docker("network", "ls", "-q", "--filter", "name=shop").stdout.split()


class Berth(Side):
    port = 18181
    name = "berth"

    def __init__(self, home, registry, programs):
        super().__init__(home, registry)
        self.programs = programs
        os.makedirs(f"{home}/.config/containers")
        with open(f"{home}/.config/containers/registries.conf", "w") as file:
            file.write(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')

    def start(self):
        self.spawn(f"{self.programs}/berthd", "--state-dir", f"{self.home}/state", "--runtime-dir", f"{self.home}/run", "--recipe-dir", f"{self.home}/none")
        if until(lambda: self.verb("ps").returncode == 0, 30) is None:
            raise RuntimeError("berthd does not start")

    def verb(self, *words):
        return run(f"{self.programs}/berth", "--socket", f"{self.home}/run/berth.sock", *words, env=self.environment, check=False)

    def up(self):
        return self.verb("-f", f"{HERE}/compose.yaml", "-f", f"{HERE}/jobs.yaml", "up", "--wait")

    def down(self):
        return self.verb("down", "shop")

    def status(self, service):
        return next(row for row in json.loads(self.verb("ps", "--json").stdout) if row["name"] == service)

    def started(self, service):
        return max(row["started_at"] for row in json.loads(self.verb("runs", service, "--json").stdout) if row.get("started_at"))

    def pid(self, service):
        """The first process in the run's control group."""
        mine = self.status(service)["runs"][0]
        return min(int(entry) for entry in os.listdir("/proc") if entry.isdigit() and self.is_in(entry, mine))

    @staticmethod
    def is_in(entry, group):
        try:
            return group in open(f"/proc/{entry}/cgroup").read()
        except OSError:
            return False

    def state(self, service):
        return self.status(service)["state"]

    def restarts(self, service):
        return self.status(service)["restarts"]

    def cut(self):
        # Of its shims each holds its run's directory open.
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if open(f"/proc/{entry}/comm").read().startswith(("berth-shim", "shim")) and any(
                    os.readlink(f"/proc/{entry}/fd/{number}").startswith(self.home) for number in os.listdir(f"/proc/{entry}/fd")
                ):
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                continue

    def left(self):
        found = [line for line in open("/proc/self/mounts") if self.home in line and "/run/net" not in line]
        return found + json.loads(self.verb("network", "ls", "--json").stdout)


def facts(side):
    """What the web app finds, with the addresses of each side named alike."""
    found = side.get("/facts", 10)
    text = json.dumps(found)
    for name, addresses in found["names"].items():
        for address in addresses if isinstance(addresses, list) and name != "localhost" else []:
            text = re.sub(rf"\b{re.escape(address)}\b", f"<{name}>", text)
    return json.loads(text)


def flat(value, path=""):
    if isinstance(value, dict):
        return {key: item for name, inner in value.items() for key, item in flat(inner, f"{path}.{name}").items()}
    if isinstance(value, str) and "\n" in value:
        return {f"{path}[{number}]": " ".join(line.split()) for number, line in enumerate(value.splitlines())}
    return {path: value}


def points(side):
    """Yields (point, what was seen, whether it holds)."""
    begin = time.monotonic()
    up = side.up()
    taken = time.monotonic() - begin
    yield "`up --wait`, images to be brought in", f"{taken:.1f} s", up.returncode == 0
    if up.returncode != 0:
        print(up.stdout, up.stderr)
        return
    order = sorted(SERVICES, key=side.started)
    yield "order of the starts", " ".join(order), set(order[:2]) == {"cache", "db"} and order[-1] == "proxy"
    page = side.get()
    yield "the page, by the published port", f"visit {page['visits']}, {page['orders']} orders, host {page['host']}", page["visits"] >= 1
    for word in ["tea", "milk", "rice"]:
        side.get(f"/order/{word}")
    taken = until(lambda: side.get()["orders"] == 3, 15)
    yield "three orders reach the database by the worker", f"{taken and round(taken, 1)} s", taken is not None
    side.facts = facts(side)
    reached = side.facts["reached"]
    yield "who can be reached from web", " ".join(sorted(name for name, is_open in reached.items() if is_open)), reached["db:5432"] and reached["cache:6379"]

    before = side.restarts("web")
    try:
        side.get("/crash")
    except OSError:
        pass
    taken = until(lambda: side.get()["orders"] == 3 and side.restarts("web") == before + 1, 30)
    yield "web crashes, and is back", f"{taken and round(taken, 1)} s", taken is not None
    os.kill(side.pid("db"), signal.SIGKILL)
    taken = until(lambda: side.get()["orders"] == 3 and side.restarts("db") == 1, 40)
    yield "the database is killed, and is back with its data", f"{taken and round(taken, 1)} s", taken is not None
    yield "the worker, which lost its database, is up", side.state("worker"), until(lambda: side.state("worker") == "running", 15) is not None

    side.verb("stop", "cache")
    stopped = side.state("cache")
    time.sleep(2)
    stays = side.state("cache")
    side.verb("start", "cache")
    taken = until(lambda: side.get()["orders"] == 3, 20)
    yield "stop and start of one service", f"{stopped}, {stays}, then up", stopped == stays and taken is not None

    visits = side.get()["visits"]
    down = side.down()
    left = side.left()
    yield "after `down` there is left", "nothing" if not left else str(left), down.returncode == 0 and not left
    begin = time.monotonic()
    up = side.up()
    yield "`up --wait` again, images there", f"{time.monotonic() - begin:.1f} s", up.returncode == 0
    page = side.get()
    yield "data after `down` and `up`", f"{page['orders']} orders, visits {'go on' if page['visits'] > visits else 'begin anew'}", page["orders"] == 3

    side.power_cut()
    begin = time.monotonic()
    side.start()
    taken = until(lambda: side.get()["orders"] == 3, 90)
    yield "all are killed, the daemon too: the page answers after", f"{time.monotonic() - begin:.1f} s", taken is not None
    settled = until(lambda: all(side.state(service) == "running" for service in SERVICES), 60)
    yield "then all are up, started again in vain", f"{settled is not None}, {sum(max(0, side.restarts(name) - side.usual) for name in SERVICES)} times", settled is not None


def jobs(side):
    """What only Berth has: the dump, and the restore of it."""
    dump = side.verb("run", "dump", "--wait")
    yield "the dump, run by hand", dump.stderr.strip()[-60:] or "done", dump.returncode == 0
    side.get("/order/lost")
    until(lambda: side.get()["orders"] == 4, 15)
    restore = side.verb("run", "restore", "--wait")
    yield "its restore takes the orders back", f"{side.get()['orders']} orders", restore.returncode == 0 and side.get()["orders"] == 3
    due = json.loads(side.verb("next", "--json").stdout.splitlines()[0])
    yield "the dump's next due time", due["due_at"], due["job"] == "shop/dump"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("registry")
    parser.add_argument("compose")
    parser.add_argument("--only", choices=["docker", "berth"])
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="stack-")
    sides, table, good = [], {}, True
    # What was killed is started again once: Docker does not count that, Berth does.
    Docker.usual, Berth.usual = 0, 1
    for kind, argument in [(Docker, options.compose), (Berth, os.path.abspath(options.programs))]:
        if options.only and options.only != kind.name:
            continue
        folder = f"{home}/{kind.name}"
        os.mkdir(folder)
        side = kind(folder, options.registry, os.path.abspath(argument))
        side.start()
        try:
            for checks in [points, jobs] if kind is Berth else [points]:
                for point, seen, holds in checks(side):
                    print(f"{side.name:7}{'' if holds else 'FAILS: '}{point}: {seen}", flush=True)
                    table.setdefault(point, {})[side.name] = seen
                    good = good and (holds or kind is Docker)
        finally:
            side.verb("down", *(["-v"] if kind is Docker else ["shop"]))
            side.end()
        sides.append(side)
    print()
    for point, seen in table.items():
        print(f"{point:62} {seen.get('docker', '-'):42} {seen.get('berth', '-')}")
    if len(sides) == 2:
        print("\nwhat web finds otherwise (docker | berth):")
        left, right = flat(sides[0].facts), flat(sides[1].facts)
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key):
                print(f"  {key}: {left.get(key)} | {right.get(key)}")
    shutil.rmtree(home, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
