#!/usr/bin/env python3
"""Ends a daemon and its shims at every fail point and at random, and judges what is left by a ledger outside of Berth's state.

    python3 faults.py points|daemons|shims|places|calls|flood [--programs DIRECTORY] [--shim FILE] [--rounds N] [--seed N] [--keep]

`points` needs debug builds: each fail point of the daemon and of the shim is made to kill, to fail and to stall, ROUNDS times, and each must have
been hit. `daemons` ends the daemon ROUNDS times, by SIGKILL or SIGTERM, under load. `shims` kills ROUNDS shims. `places` fills the
runtime directory and the logs, leaves the daemon few descriptors, and asks 200 questions at once. `calls` has strace make each system call of a
launch fail, for the first time that it is made, the second, and so on (ROUNDS of them, taken at random; 0: all), and looks whether what is started
nonetheless is in a sandbox as whole as without it. `flood` has three jobs write ROUNDS GB of lines at once, and shows how punctual another one is. Needs root; ends
with 1 when something was lost, doubled or left over.
"""
import argparse
import collections
import hashlib
import io
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Guest"))
import ledger  # noqa: E402

# In a recipe, `$$` is a dollar sign.
LINE = (r"echo \"$$BERTH_RUN_ID $${BERTH_DUE_AT:--} $$(cat /proc/sys/kernel/random/boot_id) $$(cut -d' ' -f1 /proc/uptime)\" >> LEDGER/lines"
        " && sync LEDGER/lines")
# What may become of a step, in the daemon. Only where a call can fail there is an error to make.
DAEMON = {
    **{f"F{number:02}": ("kill", "stall") for number in (1, 3, 11, 12, 13, 14, 15)},
    **{f"F{number:02}": ("kill", "error", "stall") for number in (2, 4, 5, 6, 7, 8, 9, 10)},
    "A1": ("kill", "stall"), "A2": ("kill", "error", "stall"), "A3": ("kill", "stall"), "P1": ("kill", "stall"), "P2": ("kill", "stall"),
    "I1": ("kill", "error", "stall"), "I2": ("kill", "error", "stall"),
}
# `shim`, `started` and `exit` are the three records, between their writing and their renaming.
SHIM = {
    **{step: ("kill", "error", "stall") for step in ("S1", "S2", "S3", "S4", "S5", "shim", "started", "exit")},
    **{step: ("kill", "stall") for step in ("S6", "S7", "S8")},
}
# The error that a call is made to return, where it is not ENOMEM; and those that nothing can be made of: a close() frees its descriptor, whatever
# it returns, and one that strace keeps from being made does not.
ERRORS = {
    **dict.fromkeys(("openat", "openat2", "mkdirat", "mkdir", "rename", "renameat", "write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "symlinkat", "mknodat"), "ENOSPC"),
    **dict.fromkeys(("clone", "clone3", "fork", "vfork"), "EAGAIN"), **dict.fromkeys(("setresuid", "setresgid", "setgroups", "capset", "capget"), "EPERM"),
    **dict.fromkeys(("read", "poll", "ppoll", "recvmsg", "recvfrom", "wait4", "waitid", "epoll_wait", "nanosleep", "clock_nanosleep"), "EINTR"),
    **dict.fromkeys(("mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "mount_setattr", "chroot"), "EBUSY"),
}
NO_FAULT = {"close", "rt_sigaction", "rt_sigprocmask", "exit", "exit_group", "rt_sigreturn", "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "umask", "restart_syscall", "execve"}
# What a container finds of its sandbox.
SANDBOX = r"""for n in cgroup ipc mnt net pid uts; do test $(readlink /proc/self/ns/$n) = $(readlink HOST/$n 2>/dev/null || echo none) && echo shares $n; done
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|SigBlk|SigIgn):' /proc/self/status
cut -d' ' -f4- /proc/self/mountinfo | sed 's/runs.[0-9a-z]*//g; s/shared:[0-9]*//; s/master:[0-9]*//; s/scratch.[0-9a-z]*//g' | sort
hostname; umask; ulimit -a; pwd; ls /proc/self/fd | wc -l; cat /proc/self/oom_score_adj; ip -o link 2>/dev/null | wc -l
stat -c '%A %u:%g %t:%T %n' /dev/* /data /again/* /note; cat /note /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/1/comm; env | grep -v BERTH_ | sort; test -w /proc/sys/kernel/hostname && echo may write; kill -0 1; echo end"""
SCHEDULES = {"tick": "every 1s", "fails": "every 2s", "net": "every 2s"}


class Faults:
    def __init__(self, options):
        self.options, self.dice, self.wrong, self.acknowledged = options, random.Random(options.seed), [], []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="berth-faults-"))
        for name in ("ledger", "run/fail-points"):
            (self.folder / name).mkdir(parents=True)
        self.lines = self.folder / "ledger/lines"
        self.lines.touch()
        self.points = self.folder / "run/fail-points"
        (self.points / "hits").touch()
        self.database = self.folder / "state/berth.db"
        self.daemon, self.recoveries, self.mounted = None, [], []

    # ---- the daemon ----

    def start(self, descriptors=None):
        log = open(self.folder / "berthd.log", "ab")
        environment = {"PATH": os.environ["PATH"], "BERTH_FAIL_POINTS": str(self.points)}
        self.daemon = subprocess.Popen(
            [f"{self.options.programs}/berthd", "--state-dir", f"{self.folder}/state", "--runtime-dir", f"{self.folder}/run", "--recipe-dir",
             f"{self.folder}/recipes", "--shim", self.options.shim], stdout=log, stderr=log, env=environment,
            preexec_fn=descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))))

    def berth(self, *words, timeout=120):
        return subprocess.run(
            [f"{self.options.programs}/berth", *words], capture_output=True, text=True, timeout=timeout, check=False,
            env={"PATH": os.environ["PATH"], "BERTH_SOCKET": f"{self.folder}/run/berth.sock"})

    def until(self, what, condition, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.02)
        self.wrong.append(f"{what}: not within {seconds} s")
        print(f"WRONG  {self.wrong[-1]}", flush=True)
        return False

    def answers(self):
        return '"berthd"' in self.berth("version", "--json").stdout

    def recover(self, what):
        """A daemon that has ended is started anew; until the next container has begun."""
        self.daemon.wait()
        begin, before = time.monotonic(), self.lines.stat().st_size
        self.start()
        self.until(f"{what}: the daemon answers", self.answers)
        if self.until(f"{what}: containers begin again", lambda: self.lines.stat().st_size > before):
            self.recoveries.append(time.monotonic() - begin)

    def rows(self, query):
        for _ in range(50):
            try:
                with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as database:
                    database.row_factory = sqlite3.Row
                    return [dict(row) for row in database.execute(query)]
            except sqlite3.OperationalError:
                time.sleep(0.1)
        raise RuntimeError("the history cannot be read")

    # ---- what runs ----

    def image(self):
        """A small image of busybox in an OCI layout, each time another one."""
        layout = self.folder / "image"
        shutil.rmtree(layout, ignore_errors=True)
        (layout / "blobs/sha256").mkdir(parents=True)

        def blob(data, kind):
            digest = hashlib.sha256(data).hexdigest()
            (layout / "blobs/sha256" / digest).write_bytes(data)
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(shutil.which("busybox"), "bin/sh")
            note = tarfile.TarInfo("note")
            note.size = 8
            archive.addfile(note, io.BytesIO(self.dice.randbytes(8)))
        layer = blob(packed.getvalue(), "layer.v1.tar")
        config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh", "-c", "exit 0"]},
                                  "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(), "config.v1+json")
        manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
        manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))

    def recipe(self, services, image=False, sleeping=0, slow=False):
        book = f"{self.folder}/ledger"
        line = LINE.replace("LEDGER", book)

        def job(after, rest):
            return f'{{ rootfs: host, command: [sh, -c, "{line}{after}"], volumes: ["{book}:{book}"]{rest} }}'

        none = ", network_mode: none"
        jobs = {"tick": job("", f"{none}, schedule: every 1s"), "fails": job("; exit 3", f"{none}, schedule: every 2s"),
                "net": job("", ", schedule: every 2s"), "byhand": job("", f"{none}, overlap: allow")}
        if sleeping:
            jobs["naps"] = job(f"; sleep {sleeping}; exit 3", f"{none}, schedule: every 1s, overlap: allow")
        if slow:
            jobs["slow"] = '{ rootfs: host, command: [sh, -c, "sleep 3; exit 7"], network_mode: none }'
        # Two of one service at once would have the lock in vain.
        alone = f'flock -n {book}/lock.NAME -c \\"exec sleep 1000000\\" || echo NAME >> {book}/twice'
        text = "name: shop\nservices:\n"
        for name in services:
            text += (f'  {name}: {{ rootfs: host, command: [sh, -c, "{alone.replace("NAME", name)}"], volumes: ["{book}:{book}"], network_mode: none, '
                     "restart: always, stop_grace_period: 1s }\n")
        text += "jobs:\n" + "".join(f"  {name}: {body}\n" for name, body in jobs.items())
        if image:
            text += f"  packed: {{ image: 'oci:{self.folder}/image:1', network_mode: none }}\n"
        (self.folder / "berth.yaml").write_text(text)

    def up(self):
        return self.berth("up", "-f", f"{self.folder}/berth.yaml")

    def begin(self, services, **rest):
        self.recipe(services, **rest)
        self.start()
        self.until("the daemon answers", self.answers)
        answer = self.up()
        if answer.returncode != 0:
            raise RuntimeError(answer.stderr)
        self.until("containers begin", lambda: self.lines.stat().st_size > 0)
        self.since = min(ledger.milliseconds(row["at"]) for row in self.rows("select min(first_due_at) as at from due_times")) - 1

    def by_hand(self):
        answer = self.berth("run", "byhand", "--wait", "--json").stdout
        self.acknowledged += re.findall(r'"run_id":"(\w+)"', answer) if '"succeeded"' in answer else []

    # ---- what is judged ----

    def judge(self):
        end = int(time.time() * 1000)
        last = self.rows("select max(run_id) as id from runs")[0]["id"]
        self.until("due times are accounted for", lambda: all(
            ledger.milliseconds(row["at"]) >= end for row in self.rows("select name, max(due_at) as at from due_times group by name")), 60)
        self.until("runs of jobs end", lambda: not self.rows(
            f"select 1 from runs where kind = 'job' and outcome is null and run_id <= '{last}'"), 60)
        known = self.lines.read_text().splitlines()
        runs = self.rows("select run_id, name, due_at, outcome, state, reason from runs")
        dues = self.rows("select name, due_at, first_due_at, result, reason, count, run_id from due_times")
        lines = ledger.reading(known, runs, self.lines.read_text().splitlines())
        self.wrong += ledger.judge(lines, runs, dues, SCHEDULES, self.since, end, self.acknowledged)
        for run in runs:
            if run["name"] in ("fails", "naps") and run["outcome"] == "succeeded":
                self.wrong.append(f"run {run['run_id']} of {run['name']} is said to have succeeded, and cannot")
        twice = self.folder / "ledger/twice"
        if twice.exists():
            self.wrong.append(f"services ran twice at once: {twice.read_text().split()}")
        if self.rows("pragma integrity_check") != [{"integrity_check": "ok"}]:
            self.wrong.append("the history is damaged")
        outcomes = collections.Counter(f"{run['outcome'] or run['state']}" for run in runs)
        results = collections.Counter()
        for due in dues:
            results[due["result"] + (f" ({due['reason']})" if due["reason"] else "")] += due["count"]
        print(f"{len(lines)} lines, {len(self.acknowledged)} acknowledged; due times {dict(results)}; runs {dict(outcomes)}")

    def leave(self):
        """Nothing of ours stays: containers, control groups, mounts, folders of runs."""
        if self.daemon.poll() is None:
            self.berth("down", "shop")
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.wrong.append("the daemon does not end")
                self.daemon.kill()
        left = [name for name in os.listdir(self.folder / "run/runs")] if (self.folder / "run/runs").exists() else []
        if left:
            self.wrong.append(f"left behind: runs {left}")
        for place in reversed(self.mounted):
            if subprocess.run(["umount", "--recursive", place], capture_output=True, check=False).returncode != 0:
                self.wrong.append(f"left behind: {place} cannot be unmounted")
        mounts = [line.split()[1] for line in open("/proc/mounts") if str(self.folder) in line and "/netns" not in line]
        if mounts:
            self.wrong.append(f"left behind: mounts {mounts}")
        own = subprocess.run(["pgrep", "-f", f"{self.folder}/"], capture_output=True, text=True, check=False).stdout.split()
        own = [pid for pid in own if int(pid) != os.getpid()]
        if own:
            self.wrong.append(f"left behind: processes {own}")
        if not self.wrong and not self.options.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- what is done ----

    def hits(self):
        return (self.points / "hits").read_text().splitlines()

    def reach(self, who, step, action):
        what, before = f"{step} {action}", len(self.hits())
        order = self.points / f".{who}"
        order.write_text(what + (f" {self.options.stall}" if action == "stall" else "") + "\n")
        # Who makes an image new, or the recipe, makes a start reach the step.
        if step[0] in "AI":
            self.image()
            self.recipe(self.services, image=True)
        order.rename(self.points / who)
        if step[0] in "AI":
            applying = subprocess.Popen(
                [f"{self.options.programs}/berth", "up", "-f", f"{self.folder}/berth.yaml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "BERTH_SOCKET": f"{self.folder}/run/berth.sock"})
        elif step == "P2":
            self.by_hand()
        if self.until(f"{what} is hit", lambda: len(self.hits()) > before, 20):
            if action == "kill" and who == "daemon":
                self.recover(what)
            elif action == "stall":
                time.sleep(self.options.stall / 1000)
        (self.points / who).unlink(missing_ok=True)
        if step[0] in "AI":
            applying.wait(60)
            if self.up().returncode != 0:
                self.wrong.append(f"{what}: the recipe cannot be applied afterwards")
        before = self.lines.stat().st_size
        self.until(f"{what}: work goes on", lambda: self.lines.stat().st_size > before, self.options.stall / 1000 + 10)

    def points_mode(self):
        self.services = ["db", "web"]
        self.image()
        self.begin(self.services, image=True)
        done = 0
        for _ in range(self.options.rounds):
            steps = [("daemon", step, action) for step, actions in DAEMON.items() for action in actions]
            steps += [("shim", step, action) for step, actions in SHIM.items() for action in actions]
            self.dice.shuffle(steps)
            for who, step, action in steps:
                self.reach(who, step, action)
                done += 1
                if done % 5 == 0:
                    self.by_hand()
        found = collections.Counter(tuple(line.split()[:2]) for line in self.hits())
        print(f"{len(found)} of {len(steps)} points and actions were hit, {min(found.values(), default=0)} times or more")

    def daemons_mode(self):
        self.services = ["db", "web", "s1", "s2"]
        self.begin(self.services, sleeping=2)
        for number in range(self.options.rounds):
            hand = None
            if self.dice.random() < 0.3:
                hand = subprocess.Popen(
                    [f"{self.options.programs}/berth", "run", "byhand"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env={"PATH": os.environ["PATH"], "BERTH_SOCKET": f"{self.folder}/run/berth.sock"})
            time.sleep(self.dice.uniform(0.01, self.options.pause))
            kind = self.dice.choice([signal.SIGKILL, signal.SIGTERM])
            self.daemon.send_signal(kind)
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.wrong.append(f"daemon {number}: it does not end after {kind.name}")
                self.daemon.kill()
            if self.dice.random() < 0.1:
                self.recover(f"daemon {number}")
                self.by_hand()
            else:
                # Often before it has come up whole.
                self.start()
            if hand:
                hand.wait(60)
            if number % 100 == 99:
                print(f"{number + 1} daemons", flush=True)
        self.daemon.kill()
        self.recover("the last daemon")
        alive = self.rows("select name, count(*) as n, max(run_id) as run from runs where kind = 'service' group by name")
        print(f"services, runs each: {[(row['name'], row['n']) for row in alive]}")
        if any(row["n"] != 1 for row in alive):
            self.wrong.append(f"a service was started anew: {alive}")

    def full(self, place, seconds=6):
        """Somebody takes all of a disk; what ends meanwhile ends as it ends."""
        self.berth("run", "slow")
        self.until("the slow job runs", lambda: self.rows("select 1 from runs where name = 'slow' and state = 'running'"))
        with open(place / "hog", "wb", buffering=0) as hog:
            try:
                while True:
                    hog.write(bytes(1 << 20))
            except OSError:
                pass
        begun = len(self.lines.read_text().splitlines())
        time.sleep(seconds)
        said = self.berth("runs", "--limit", "3").stdout + self.berth("ps").stdout
        slow = self.rows("select outcome, exit_code, reason from runs where name = 'slow' order by run_id desc limit 1")[0]
        if (slow["outcome"], slow["exit_code"]) != ("failed", 7):
            self.wrong.append(f"{place} is full: a run that ended with code 7 is booked as {slow}")
        (place / "hog").unlink()
        self.until(f"{place} has room again: work goes on", lambda: len(self.lines.read_text().splitlines()) > begun + 1, 5)
        return said

    def places_mode(self):
        self.services = ["db"]
        for name in ("run", "state/logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", self.folder / name], check=True)
            self.mounted.append(self.folder / name)
        self.points.mkdir()
        (self.points / "hits").touch()
        self.begin(self.services, slow=True)
        said = self.full(self.folder / "run")
        if f"{self.folder}/run" not in said or "free some space" not in said:
            self.wrong.append(f"a full runtime directory is not explained: {said}")
        self.full(self.folder / "state/logs")
        dropped = self.rows("select count(*) as n from runs where outcome = 'lost'")[0]["n"]
        print(f"full disks: {dropped} runs lost")
        asking = [subprocess.Popen(
            [f"{self.options.programs}/berth", "run", "byhand", "--wait", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"PATH": os.environ["PATH"], "BERTH_SOCKET": f"{self.folder}/run/berth.sock"}) for _ in range(200)]
        answers = [asked.communicate(timeout=120)[0] for asked in asking]
        good = sum('"succeeded"' in answer for answer in answers)
        self.acknowledged += [found for answer in answers if '"succeeded"' in answer for found in re.findall(r'"run_id":"(\w+)"', answer)[:1]]
        print(f"200 clients at once: {good} were served")
        if good != 200:
            self.wrong.append(f"of 200 clients at once {good} were served")
        # Root may raise the limit, where a container's or a service's bounds leave it that; if not, it is said, and nothing is begun.
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(60)
        self.start(descriptors=64)
        deadline = time.monotonic() + 30
        while self.daemon.poll() is None and not self.answers() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.daemon.poll() is not None:
            said = (self.folder / "berthd.log").read_text().splitlines()[-1]
            if self.daemon.returncode != 71 or "it may have 64 descriptors, and needs" not in said:
                self.wrong.append(f"with few descriptors: {self.daemon.returncode} {said}")
            self.start()
        self.until("the daemon answers when all have gone", self.answers, 5)
        lost = self.rows("select reason from runs where outcome = 'lost'")
        if lost:
            self.wrong.append(f"runs are lost: {lost}")
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(60)
        self.start()
        self.until("the daemon answers", self.answers)

    def look(self, fault=None):
        """A run by hand, with a system call that fails. Returns how the run ended, what its container found, and what strace wrote."""
        shutil.rmtree(self.seen, ignore_errors=True)
        self.seen.mkdir(mode=0o777)
        self.seen.chmod(0o777)
        log = self.folder / "calls"
        log.unlink(missing_ok=True)
        server = subprocess.run(["pgrep", "-P", str(self.daemon.pid), "shim-forkserver"], capture_output=True, text=True, check=False).stdout.split()
        if not server:
            # The one before was ended by its fault; a run brings the next.
            self.berth("run", "look", "--wait")
            server = subprocess.run(["pgrep", "-P", str(self.daemon.pid), "shim-forkserver"], capture_output=True, text=True, check=True).stdout.split()
            shutil.rmtree(self.seen)
            self.seen.mkdir()
            self.seen.chmod(0o777)
        strace = subprocess.Popen(
            ["strace", "-f", "-qqq", "-b", "execve", "-o", str(log), *(["-e", f"inject={fault}"] if fault else []), "-p", server[0]],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.until(f"{fault}: the shim is watched", lambda: "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{server[0]}/status").read_text(), 10)
        try:
            answer = self.berth("run", "look", "--wait", "--json", timeout=30).stdout
        except subprocess.TimeoutExpired as late:
            answer = (late.stdout or b"").decode()
            self.wrong.append(f"{fault}: the run does not end")
            print(f"WRONG  {self.wrong[-1]}", flush=True)
            self.berth("stop", "look")
        run = re.findall(r'"run_id":"(\w+)"', answer)
        outcome = self.rows(f"select outcome, reason from runs where run_id = '{run[0] if run else ''}'")
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
        found = self.seen / run[0] if run else self.seen / "none"
        return (outcome[0] if outcome else {"outcome": None, "reason": answer}), found.read_text() if found.exists() else None, log.read_text()

    def calls_mode(self):
        self.services, self.seen = ["db"], self.folder / "ledger/seen"
        script = self.folder / "ledger/look.sh"
        script.write_text(SANDBOX.replace("HOST", "/ns") + "\n")
        self.begin(self.services)
        text = (self.folder / "berth.yaml").read_text()
        book = self.folder / "ledger"
        # A root of its own: what others mount on the host meanwhile is not seen.
        root = self.folder / "root"
        for name in ("bin", "etc", "tmp", "data"):
            (root / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin/busybox")
        for name in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
            if name != "busybox":
                (root / "bin" / name).symlink_to("busybox")
        (root / "etc/passwd").write_text("look:x:65534:65534::/home/look:/bin/sh\n")
        (root / "etc/group").write_text("look:x:65534:\nmore:x:7:look\n")
        text += (f'  look: {{ rootfs: {root}, command: [sh, -c, "sh {script} > {self.seen}/$$BERTH_RUN_ID 2>&1"], volumes: ["{book}:{book}", "data:/data", "{root}/etc:/again:ro"], user: "65534", '
                 "group_add: [8], ulimits: { nofile: 500, core: 0 }, tmpfs: [/tmp], hostname: inside, read_only: true, cap_drop: [ALL], init: true, "
                 "mem_limit: 64m, pids_limit: 50, network_mode: none, oom_score_adj: 300, sysctls: { net.ipv4.ip_unprivileged_port_start: 7 }, shm_size: 1m, "
                 'devices: ["/dev/zero:/dev/nought:r"], configs: [note], working_dir: /data, environment: { A: b }, stop_signal: SIGINT }\n'
                 "volumes: { data: {} }\nconfigs: { note: { content: noted } }\n")
        (self.folder / "berth.yaml").write_text(text)
        if self.up().returncode != 0:
            raise RuntimeError("the recipe cannot be applied")
        outcome, whole, log = self.look()
        again, same, _ = self.look()
        if outcome["outcome"] != "succeeded" or not whole or whole != same or not whole.endswith("end\n"):
            raise RuntimeError(f"{outcome} {again}: a container does not find the same twice:\n{whole}\n{sorted(set((whole or '').splitlines()) ^ set((same or '').splitlines()))}")
        counts = collections.Counter()
        for line in log.splitlines():
            pid, _, rest = line.partition(" ")
            call = re.match(r"\s*(\w+)\(", rest)
            if call and call[1] not in NO_FAULT:
                counts[pid, call[1]] += 1
        most = collections.Counter()
        for (_, call), number in counts.items():
            most[call] = max(most[call], number)
        faults = [(call, number) for call, times in most.items() for number in range(1, times + 1)]
        self.dice.shuffle(faults)
        chosen = faults[:self.options.rounds] if self.options.rounds else faults
        ends, hit, ignored = collections.Counter(), 0, collections.Counter()
        for call, number in chosen:
            fault = f"{call}:error={ERRORS.get(call, 'ENOMEM')}:when={number}"
            outcome, found, log = self.look(fault)
            if "(INJECTED)" not in log:
                continue
            hit += 1
            ends[outcome["outcome"]] += 1
            if outcome["outcome"] is None:
                self.wrong.append(f"{fault}: no definite end: {outcome}")
            elif found is not None and found != whole:
                difference = sorted(set(found.splitlines()) ^ set(whole.splitlines()))
                self.wrong.append(f"{fault}: the container runs in another sandbox ({outcome['outcome']}): {difference}")
            elif outcome["outcome"] == "succeeded" and found is None:
                self.wrong.append(f"{fault}: a success without a container")
            elif outcome["outcome"] == "succeeded":
                ignored[call] += 1
            elif not outcome["reason"]:
                self.wrong.append(f"{fault}: {outcome['outcome']} without a reason")
            before = self.lines.stat().st_size
            self.until(f"{fault}: work goes on", lambda: self.lines.stat().st_size > before, 10)
        print(f"{hit} of {len(faults)} calls were made to fail, of {len(most)} kinds; runs {dict(ends)}; without harm: {dict(ignored)}")

    def lateness(self, since):
        late = sorted(row["ms"] for row in self.rows(
            f"select started_ms - due_ms as ms from run_rows where name = 'tick' and started_ms is not null and due_ms >= {since}"))
        return f"{late[len(late) // 2]} ms (median), {late[-1]} ms (the latest of {len(late)})"

    def log_bytes(self):
        total = 0
        for file in (self.folder / "state/logs").rglob("*"):
            try:
                total += file.stat().st_size
            except FileNotFoundError:
                # A piece of a log that has gone meanwhile.
                continue
        return total

    def flood_mode(self):
        self.services = ["db"]
        self.begin(self.services)
        lines = self.options.rounds * 1_000_000_000 // 65 // 3
        with open(self.folder / "berth.yaml", "a") as recipe:
            recipe.write(f'  flood: {{ rootfs: host, command: [sh, -c, "yes {"0123456789abcdef" * 4} | head -n {lines}"], network_mode: none, overlap: allow }}\n')
        if self.up().returncode != 0:
            raise RuntimeError("the recipe cannot be applied")
        time.sleep(20)
        print(f"alone: a job of every second starts after {self.lateness(0)}")
        begin = int(time.time() * 1000)
        for _ in range(3):
            self.berth("run", "flood")
        size = 0
        while self.rows("select 1 from runs where name = 'flood' and outcome is null"):
            size = max(size, self.log_bytes())
            time.sleep(0.5)
        took = time.time() - begin / 1000
        print(f"beside {self.options.rounds} GB of lines in {took:.0f} s: {self.lateness(begin)}; logs take {size / 2**20:.0f} MiB at most")
        for row in self.rows("select run_id, outcome, log_bytes, log_dropped_bytes from runs where name = 'flood'"):
            files = [file for file in (self.folder / "state/logs").rglob(f"*{row['run_id']}*") if file.suffix != ".dropped" and file.is_file()]
            kept = sum(file.stat().st_size for file in files)
            found = sum(file.read_bytes().count(b"\n") for file in files)
            dropped = next((self.folder / "state/logs").rglob(f"*{row['run_id']}*.dropped")).read_text().split()
            if row["outcome"] != "succeeded" or kept > 17 << 20 or row["log_bytes"] - row["log_dropped_bytes"] != kept or int(
                    dropped[0]) != row["log_dropped_bytes"] or found + int(dropped[1]) != lines:
                self.wrong.append(f"{row}: {kept} bytes and {found} lines are kept of {lines}, {dropped} said to be dropped")
            print(f"{row['log_bytes'] / 1e9:.2f} GB with their stamps, of which {row['log_dropped_bytes'] / 1e9:.2f} GB were dropped and {kept / 2**20:.1f} MiB kept")

    def shims_mode(self):
        self.services = [f"s{number}" for number in range(30)]
        self.begin(self.services, sleeping=1)
        definite = []
        for number in range(self.options.rounds):
            live = list((self.folder / "run/runs").glob("*/shim"))
            self.dice.shuffle(live)
            for facts in live:
                try:
                    values = dict(re.findall(r"^(\w+)=(.*)$", facts.read_text(), re.M))
                    os.kill(int(values["shim"]), signal.SIGKILL)
                except (OSError, KeyError):
                    continue
                break
            else:
                time.sleep(0.1)
                continue
            run, begin = facts.parent.name, time.monotonic()
            service = self.rows(f"select name from runs where run_id = '{run}' and kind = 'service'")
            if service:
                # It lives on without its shim, until it ends or is stopped; a restart by hand forgets its backoff.
                self.berth("restart", f"shop/{service[0]['name']}")
            if self.until(f"shim {number} of run {run}: a definite state", lambda: self.rows(
                    f"select 1 from runs where run_id = '{run}' and outcome is not null"), 15):
                definite.append(time.monotonic() - begin)
                outcome = self.rows(f"select outcome, kind, name, reason from runs where run_id = '{run}'")[0]
                if outcome["outcome"] == "succeeded" and outcome["name"] in ("fails", "naps"):
                    self.wrong.append(f"run {run}: a false success: {outcome}")
            if number % 100 == 99:
                print(f"{number + 1} shims", flush=True)
        if definite:
            definite.sort()
            print(f"a definite state after {definite[len(definite) // 2]:.2f} s (median), {definite[-1]:.2f} s at most")
        self.until("services are back", lambda: len(self.rows("select 1 from services where state = 'running'")) == len(self.services), 60)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["points", "daemons", "shims", "places", "calls", "flood"])
    parser.add_argument("--programs", default=str(HERE.parent.parent / ".build/debug"))
    parser.add_argument("--shim")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stall", type=int, default=2000, help="milliseconds")
    parser.add_argument("--pause", type=float, default=3.0, help="the longest time between two deaths of a daemon, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    options.shim = options.shim or f"{options.programs}/berth-shim" + ("-fail-points" if options.mode == "points" else "")
    print(f"{options.mode}, seed {options.seed}", flush=True)
    faults = Faults(options)
    begin = time.monotonic()
    try:
        getattr(faults, f"{options.mode}_mode")()
        faults.judge()
    finally:
        faults.leave()
    if faults.recoveries:
        times = sorted(faults.recoveries)
        print(f"recovery of {len(times)} daemons: median {times[len(times) // 2]:.2f} s, p99 {times[int(len(times) * 0.99)]:.2f} s")
    print(f"{time.monotonic() - begin:.0f} s")
    for sentence in faults.wrong:
        print(f"WRONG  {sentence}")
    if faults.wrong:
        print(f"{len(faults.wrong)} things are wrong; see {faults.folder}")
    else:
        print("nothing was lost, doubled or left over")
    return 1 if faults.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
