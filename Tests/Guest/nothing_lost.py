#!/usr/bin/env python3
"""The package in a guest with systemd: reboots, power cuts, upgrades and removal, judged by a ledger outside of Berth's state.

    python3 nothing_lost.py PACKAGE [--cuts N] [--reboots N] [--upgrades N] [--live N] [--seed N] [--folder DIRECTORY] [--debian RELEASE]

Needs root, qemu-system-x86_64 and mmdebstrap. Prints what was measured; ends with 1 when something was lost, doubled or left over.
"""
import argparse
import json
import pathlib
import random
import re
import sys
import tempfile
import time

import guest
import ledger

HERE = pathlib.Path(__file__).resolve().parent
# A line of YAML in double quotes; `$$` is a dollar sign there.
LINE = (r"echo \"$$BERTH_RUN_ID $${BERTH_DUE_AT:--} $$(cat /proc/sys/kernel/random/boot_id) $$(cut -d' ' -f1 /proc/uptime)\" >> /ledger/lines"
        " && sync /ledger/lines")
SCHEDULES = {"often": "every 5s", "minutely": "* * * * *"}
DATABASE = "sqlite3 -json 'file:/var/lib/berth/berth.db?mode=ro'"


def recipe(live):
    def job(schedule, after=""):
        return f'{{ rootfs: host, command: [sh, -c, "{LINE}{after}"], volumes: ["/ledger:/ledger"], network_mode: none{schedule} }}'

    jobs = "".join(f"  {name}: {job(f', schedule: {json.dumps(text)}')}\n" for name, text in SCHEDULES.items()) + (
        f"  byhand: {job(', logging: { driver: journald }', ' && echo done')}\n")
    services = '  db: { rootfs: host, command: [sleep, "1000000"], network_mode: none, restart: always, stop_grace_period: 1s }\n'
    services += '  web: { rootfs: host, command: [sleep, "1000000"], network_mode: none, restart: unless-stopped, depends_on: [db], stop_grace_period: 1s }\n'
    services += "".join(
        f'  s{number}: {{ rootfs: host, command: [sleep, "1000000"], network_mode: none, restart: always, stop_grace_period: 1s }}\n' for number in range(live))
    return f"name: shop\nservices:\n{services}jobs:\n{jobs}"


class Trial:
    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.acknowledged, self.wrong, self.boots = [], [], []
        base = pathlib.Path(options.folder or tempfile.gettempdir()) / f"berth-guest-{options.debian}"
        guest.make_image(base, options.debian)
        self.guest = guest.Guest(
            base, tempfile.mkdtemp(prefix="berth-guest-"), [(options.package, "root/berth.deb"), (HERE / "gap.py", "root/gap.py")] + self.files(),
            state=self.state_disk)

    state_disk = None

    def files(self):
        return []

    def check(self, what, holds, found=""):
        if not holds:
            self.wrong.append(f"{what}: {found}")
            print(f"WRONG  {what}: {found}", flush=True)

    def rows(self, query):
        return json.loads(self.guest.run(f'{DATABASE} "{query}"') or "[]")

    def containers(self):
        return sorted(self.guest.run("cat /run/berth/runs/*/shim | sed -n 's/^container=//p'").split())

    def install(self):
        self.guest.boot()
        self.guest.run("mount | grep -q /ledger && touch /ledger/lines && DEBIAN_FRONTEND=noninteractive apt-get -q install -y /root/berth.deb", timeout=300)
        self.guest.until("systemctl is-active berth", 60, "active")
        text = json.dumps(recipe(self.options.live))
        self.guest.run(f"python3 -c 'import json, sys; open(\"/etc/berth/recipes/shop.yaml\", \"w\").write(json.loads(sys.argv[1]))' {shell(text)}")
        self.guest.run("systemctl reload berth")
        self.guest.until("berth validate /etc/berth/recipes/shop.yaml >/dev/null; test $(berth ps --json | grep -o '\"running\"' | wc -l) -ge "
                         f"{self.options.live + 2}", 120)
        # Due times count from the moment at which the recipe was applied.
        self.guest.until(f"test $({DATABASE} 'select count(*) as n from due_rows' | grep -o '[0-9]*') -gt 0", 30)
        self.begin = self.rows("select min(first_due_ms) - 1 as n from due_rows")[0]["n"]

    def live(self, seconds):
        """Work goes on, and runs by hand are waited for: what was told to have succeeded is not to be forgotten."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            answer = self.guest.run("berth run byhand --wait --json", check=False)
            self.acknowledged += re.findall(r'"run_id":"(\w+)"', answer) if '"succeeded"' in answer else []
            time.sleep(self.dice.uniform(0, 1))

    def come_back(self, what):
        self.guest.boot()
        try:
            self.guest.until("systemctl is-active berth", 90, "active")
        except RuntimeError:
            print(self.guest.run("systemctl --failed --no-pager; journalctl -q -b -p notice --no-pager | tail -n 30", check=False), flush=True)
            raise
        wanted = self.options.live + 2
        self.guest.until(f"test $({DATABASE} \"select count(*) as n from services where state = 'running'\" | grep -o '[0-9]*') -ge {wanted}", 90)
        up = float(self.guest.run("cut -d' ' -f1 /proc/uptime"))
        self.boots.append(up)
        check = self.rows("pragma integrity_check")
        self.check(what + ": integrity_check", check == [{"integrity_check": "ok"}], check)
        order = self.rows(
            "select name from runs where kind = 'service' and outcome is null and name in ('db', 'web') order by started_at, run_id")
        self.check(what + ": db before web", [row["name"] for row in order] == ["db", "web"], order)
        print(f"{what}: all up {up:.0f} s after the kernel began", flush=True)

    def judge(self, what):
        """The daemon is asked to settle first: what is due right now has no row yet."""
        end = int(self.guest.run("date +%s%3N")) - 8000
        time.sleep(3)
        known = self.guest.run("cat /ledger/lines").splitlines()
        runs = self.rows("select run_id, name, due_at, outcome, state from runs")
        dues = self.rows("select name, due_at, first_due_at, result, reason, count, run_id from due_times")
        lines = ledger.reading(known, runs, self.guest.run("cat /ledger/lines").splitlines())
        found = ledger.judge(lines, runs, dues, SCHEDULES, self.begin, end, self.acknowledged)
        self.check(what + ": the ledger", not found, "\n  " + "\n  ".join(found))
        results = {}
        for due in dues:
            key = due["result"] + (f" ({due['reason']})" if due["reason"] else "")
            results[key] = results.get(key, 0) + due["count"]
        outcomes = {}
        for run in runs:
            outcomes[run["outcome"] or run["state"]] = outcomes.get(run["outcome"] or run["state"], 0) + 1
        print(f"{what}: {len(lines)} lines, {len(self.acknowledged)} acknowledged; due times {results}; runs {outcomes}", flush=True)

    def cuts(self):
        for number in range(self.options.cuts):
            self.live(self.dice.uniform(2, 15))
            self.guest.cut()
            self.come_back(f"power cut {number + 1}")
        self.judge("power cuts")

    def reboots(self):
        for number in range(self.options.reboots):
            self.live(self.dice.uniform(2, 10))
            before = self.rows("select run_id from runs where kind = 'service' and outcome is null")
            self.guest.leave("systemctl reboot")
            self.come_back(f"reboot {number + 1}")
            ids = ",".join(f"'{row['run_id']}'" for row in before)
            ended = self.rows(f"select outcome, count(*) as n from runs where run_id in ({ids}) group by 1")
            self.check(f"reboot {number + 1}: services were stopped in order", ended == [{"outcome": "stopped", "n": len(before)}], ended)
        if self.options.reboots:
            self.judge("reboots")
        told = self.guest.run("journalctl -q BERTH_JOB=byhand -o cat | grep -c done", check=False).strip()
        self.check("the journal is asked by a job", int(told or 0) > 0 or not self.acknowledged, told)

    def upgrades(self):
        before, gaps = self.containers(), []
        for _ in range(self.options.upgrades):
            self.guest.run("rm -f /tmp/done; (python3 /root/gap.py /run/berth/berth.sock /tmp/done > /tmp/gap) & sleep 1; "
                           "dpkg -i /root/berth.deb; berth ps >/dev/null; sleep 1; touch /tmp/done; wait", timeout=200)
            gaps.append(int(self.guest.run("cat /tmp/gap")))
        if not gaps:
            return
        lost = self.rows("select count(*) as n from runs where outcome = 'lost'")[0]["n"]
        after = self.containers()
        # Those of jobs come and go meanwhile.
        self.check("upgrades: containers live on", len(set(before) & set(after)) >= self.options.live + 2, (before, after))
        print(f"{len(gaps)} upgrades with {len(before)} containers: control gap {min(gaps)} to {max(gaps)} ms; lost runs {lost}", flush=True)

    def removal(self):
        before = self.containers()
        runs = self.rows("select count(*) as n from runs")[0]["n"]
        self.guest.run("dpkg -r berth", timeout=200)
        alive = self.guest.run("for p in " + " ".join(before) + "; do kill -0 $p 2>/dev/null && echo $p; done", check=False).split()
        self.check("removal: containers are stopped", not alive, alive)
        self.guest.run("dpkg -i /root/berth.deb", timeout=200)
        self.guest.until("systemctl is-active berth", 60, "active")
        again = self.rows("select count(*) as n from runs")[0]["n"]
        self.check("installed again: the history is there", again >= runs, (runs, again))
        self.guest.until(f"test $({DATABASE} \"select count(*) as n from services where state = 'running'\" | grep -o '[0-9]*') -ge 2", 90)
        self.guest.run("DEBIAN_FRONTEND=noninteractive dpkg -P berth", timeout=200)
        self.check("purge keeps what nobody gave up", self.guest.run("ls -d /var/lib/berth").strip() == "/var/lib/berth")
        self.guest.run("dpkg -i /root/berth.deb; echo berth berth/remove_state boolean true | debconf-set-selections", timeout=200)
        self.guest.run("DEBIAN_FRONTEND=noninteractive dpkg -P berth", timeout=200)
        self.check("purge removes what was given up", self.guest.run("ls -d /var/lib/berth 2>/dev/null", check=False) == "")
        print("removed, installed again, purged", flush=True)


def shell(text):
    return "'" + text.replace("'", "'\\''") + "'"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("package")
    parser.add_argument("--cuts", type=int, default=2)
    parser.add_argument("--reboots", type=int, default=1)
    parser.add_argument("--upgrades", type=int, default=2)
    parser.add_argument("--live", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--folder")
    parser.add_argument("--debian", default="bookworm", help="the release of the guest")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    trial = Trial(options)
    try:
        trial.install()
        for step in (trial.upgrades, trial.cuts, trial.reboots, trial.removal):
            step()
    finally:
        trial.guest.close()
    if trial.boots:
        print(f"boot to all up: {min(trial.boots):.0f} to {max(trial.boots):.0f} s")
    print(f"{len(trial.wrong)} things are wrong" if trial.wrong else "nothing was lost, doubled or left over")
    return 1 if trial.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
