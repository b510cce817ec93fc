#!/usr/bin/env python3
"""The package in a guest whose state disk is full, out of inodes, read-only or broken, whose clock is set, that sleeps, that boots in 1970, and
that goes one release forth and back.

    python3 faults.py PACKAGE [--previous PACKAGE] [--seed N] [--folder DIRECTORY] [--debian RELEASE]

Needs root, qemu-system-x86_64 and mmdebstrap. Prints what was measured; ends with 1 when something was lost, doubled or said wrongly.
"""
import argparse
import random
import sys
import time

import ledger
from nothing_lost import HERE, SCHEDULES, Trial

STATE = "/var/lib/berth"


class Faults(Trial):
    state_disk = "300M"

    def files(self):
        return [(HERE / "inodes.py", "root/inodes.py")] + ([(self.options.previous, "root/previous.deb")] if self.options.previous else [])

    def due(self):
        return self.rows("select count(*) as n, sum(count) as due from due_times")[0]

    def lines(self):
        return int(self.guest.run("wc -l < /ledger/lines"))

    def trouble(self, what, begin, end, words, lasts=12, may_start=False):
        """A fault of the disk: what runs runs on, people are told, and work goes on within seconds after it. Nothing starts meanwhile, unless
        there `may_start` what the reserve has space for: the ledger judges whether each of these has its row."""
        before, pid = self.containers(), self.guest.run("systemctl show -p MainPID --value berth").strip()
        self.guest.run(begin)
        # What was being launched may end.
        time.sleep(2)
        said = self.guest.run("berth ps 2>&1; berth doctor 2>&1", check=False)
        self.check(f"{what}: people are told", any(word in said for word in words) and STATE in said, said)
        lines = self.lines()
        time.sleep(lasts)
        rows, started = self.due(), self.lines() - lines
        self.check(f"{what}: nothing starts", may_start or started <= 0, f"{started} runs")
        lines += started
        self.guest.run(end)
        took = self.guest.until(f"test $(wc -l < /ledger/lines) -gt {lines}", 60)
        self.check(f"{what}: work goes on within 5 s", took <= 8, f"{took:.1f} s")
        alive = set(before) & set(self.containers())
        self.check(f"{what}: what ran runs on", len(alive) >= self.options.live + 2, (before, alive))
        self.check(f"{what}: the daemon is the same", self.guest.run("systemctl show -p MainPID --value berth").strip() == pid)
        print(f"{what}: told; {started} runs within {lasts} s; work goes on after {took:.1f} s; {self.due()['n'] - rows['n']} rows of due times after it", flush=True)

    def disk(self):
        begin = int(self.guest.run("date +%s%3N"))
        # By one who takes each byte that becomes free, root's own share of an ext4 as well.
        hog = f"mkdir {STATE}/hogs; (while test -e {STATE}/hogs; do %s; sleep 0.2; done) >/dev/null 2>&1 </dev/null & sleep 10"
        end = f"mv {STATE}/hogs {STATE}/gone; while ! rm -rf {STATE}/gone; do :; done"
        self.trouble("disk full", hog % f"cat /dev/zero >> {STATE}/hogs/one", end, ["full", "No space left", "free"], may_start=True)
        self.trouble("inodes out", hog % f"python3 /root/inodes.py {STATE}/hogs", end, ["inode", "full", "No space left"], may_start=True)
        self.judge("faults of the disk")
        reasons = {row["reason"] for row in self.rows(f"select distinct reason from due_times where reason is not null and due_ms > {begin}")}
        self.check("no false reason", not reasons & {"daemon down", "host off", "clock jump"}, reasons)

    def read_only(self):
        """As after an error in the file system, until the machine is begun anew."""
        self.broken("read-only", "echo 1 > /sys/fs/ext4/vdc/trigger_fs_error")

    def broken(self, what, command):
        pid = self.guest.run("systemctl show -p MainPID --value berth").strip()
        self.guest.run(command)
        time.sleep(3)
        lines = self.lines()
        time.sleep(10)
        said = self.guest.run("berth ps 2>&1 | grep -v ^shop", check=False).strip()
        self.check(f"{what}: people are told", STATE in said, said)
        self.check(f"{what}: nothing starts", self.lines() <= lines, f"{self.lines() - lines} runs")
        again = self.guest.run("systemctl show -p MainPID --value berth").strip()
        print(f"{what}: '{said}'; the daemon is {'the same' if pid == again else 'another'}", flush=True)
        self.guest.cut()
        self.come_back(f"after {what}")
        self.judge(what)

    def broken_disk(self):
        """Its writes fail by device-mapper; then the power goes, and the disk is whole again."""
        self.guest.run("systemctl stop berth; berthd=$(cat /run/berth/runs/*/shim | sed -n 's/^shim=//p'); kill $berthd; sleep 3; "
                       f"systemctl stop berth; umount {STATE} && dmsetup create state --table \"0 $(blockdev --getsz /dev/vdc) linear /dev/vdc 0\" && "
                       f"mount /dev/mapper/state {STATE} && systemctl start berth", timeout=120)
        self.guest.until("systemctl is-active berth", 60, "active")
        self.live(6)
        self.broken("broken disk", "dmsetup suspend --noflush state; dmsetup load state --table "
                    "\"0 $(blockdev --getsz /dev/vdc) error\"; dmsetup resume state")

    def asleep(self):
        before = self.due()
        # Suspended to memory, as a laptop is; the clock of the battery wakes it.
        self.guest.run("rtcwake -m mem -s 40", timeout=120)
        time.sleep(12)
        count = self.due()["due"] - before["due"]
        self.check("asleep: due times in the sleep are accounted for", count >= 8, count)
        print(f"asleep for 40 s: {count} due times accounted for", flush=True)
        self.judge("asleep")

    def previous(self):
        """One release back and forth again, with containers live; each opens what the other wrote."""
        if not self.options.previous:
            return
        before = self.containers()
        for package in ("previous", "berth"):
            self.guest.run(f"dpkg -i --force-downgrade /root/{package}.deb", timeout=200)
            self.guest.until("berth ps >/dev/null 2>&1", 60)
            self.live(6)
            alive = set(before) & set(self.containers())
            self.check(f"{package}: containers live on", len(alive) >= self.options.live + 2, (before, alive))
        lost = self.rows("select count(*) as n from runs where outcome = 'lost' and kind = 'service'")[0]["n"]
        print(f"one release back and forth: {len(before)} containers live on; services lost {lost}", flush=True)
        self.judge("one release back and forth")

    def clock(self):
        """Set to and fro. Due times are judged by what the containers were told."""
        for step in (600, -600, 18_000, -18_000):
            self.guest.run(f"date -s @$(($(date +%s) + {step}))")
            lines = self.lines()
            took = self.guest.until(f"test $(wc -l < /ledger/lines) -gt $(({lines} + 1))", 700 if step == -600 else 60) if step != -600 else 0
            rows = {(row["result"], row["reason"]): row["n"] for row in self.rows(
                "select result, reason, count(*) as n from due_times where reason = 'clock jump' group by 1, 2")}
            print(f"clock set by {step} s: the next run after {took:.0f} s; rows {rows}", flush=True)
        lines = [line.split() for line in self.guest.run("cat /ledger/lines").splitlines()]
        runs = {row["run_id"]: row for row in self.rows("select run_id, name, due_at from runs")}
        eras = {row["run_id"]: row["era"] for row in self.rows("select run_id, era from due_times where run_id is not null")}
        seen = {}
        for run, due, *_ in lines:
            if due != "-" and run in eras:
                seen.setdefault((runs[run]["name"], due, eras[run]), []).append(run)
        twice = {key: found for key, found in seen.items() if len(found) > 1}
        self.check("clock: no due time is run twice in an era", not twice, twice)

    def stuck(self):
        """A daemon that says nothing more is begun anew by its manager."""
        before, pid = self.containers(), self.guest.run("systemctl show -p MainPID --value berth").strip()
        self.guest.run(f"kill -STOP {pid}")
        took = self.guest.until(f"test $(systemctl show -p MainPID --value berth) != {pid} && berth ps >/dev/null 2>&1", 400)
        alive = set(before) & set(self.containers())
        self.check("stuck: what ran runs on", len(alive) >= self.options.live + 2, (before, alive))
        print(f"stuck: another daemon answers after {took:.0f} s", flush=True)

    def first_boot(self):
        self.guest.leave("systemctl poweroff")
        begin = time.monotonic()
        self.guest.boot(clock="1970-01-01T00:00:00")
        self.guest.until("berth ps 2>&1 | grep -q 'the clock shows'", 60)
        print(f"boot in 1970: {self.guest.run('berth ps 2>&1', check=False).strip()}", flush=True)
        self.guest.run(f"date -s @{int(time.time())}")
        took = self.guest.until("berth ps >/dev/null 2>&1", 30)
        print(f"boot in 1970: work goes on {took:.1f} s after the clock is right, {time.monotonic() - begin:.0f} s after the start", flush=True)
        reasons = self.rows("select result, reason, count from due_times order by due_ms desc, first_due_at desc limit 4")
        self.check("boot in 1970: what was missed while it was off has that reason", any(row["reason"] == "host off" for row in reasons), reasons)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("package")
    parser.add_argument("--previous")
    parser.add_argument("--live", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--folder")
    parser.add_argument("--debian", default="bookworm", help="the release of the guest")
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    trial = Faults(options)
    try:
        trial.install()
        for name in ("first_boot", "disk", "asleep", "previous", "stuck", "read_only", "broken_disk", "clock"):
            if not options.only or name in options.only:
                getattr(trial, name)()
    finally:
        trial.guest.close()
    print(f"{len(trial.wrong)} things are wrong" if trial.wrong else "nothing was lost, doubled or said wrongly")
    return 1 if trial.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
