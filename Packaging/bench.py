"""Measures Berth beside crun, runc and Docker on this machine, in one go, and prints a table."""
import atexit
import json
import os
import platform
import re
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

# Programs of another release, to be measured beside these, where BERTH_BENCH_PROGRAMS names their directory.
BIN = os.environ.get("BERTH_BENCH_PROGRAMS") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".build", "release")
QUICK = len(sys.argv) > 1 and sys.argv[1] == "quick"
ROWS = []


def row(what, measure, value, goal=""):
    ROWS.append((what, measure, value, goal))
    print(f"  {what:4} {measure:62} {value:>24}  {goal}", flush=True)


def sh(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, **options)


# Where an installed Berth has the files of its runs: /run is memory on every distribution. What is durable stays on the disk.
MEMORY = tempfile.mkdtemp(prefix="berth-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
atexit.register(shutil.rmtree, MEMORY, ignore_errors=True)


class Berth:
    def __init__(self, home, name):
        self.home = os.path.join(home, name)
        os.makedirs(self.home)
        self.runtime = os.path.join(MEMORY, name)
        self.socket = os.path.join(self.runtime, "berth.sock")
        self.start()

    def start(self):
        self.log = open(os.path.join(self.home, "log"), "a")
        self.process = subprocess.Popen(
            [f"{BIN}/berthd", "--state-dir", f"{self.home}/state", "--runtime-dir", self.runtime, "--recipe-dir", f"{self.home}/none", "--stop-all",
             "--max-recipe-bytes", "64000000"], stderr=self.log)
        while self.run("version", "--json", check=False).stdout.find('"berthd"') < 0:
            time.sleep(0.02)

    def run(self, *words, check=True):
        result = sh(f"{BIN}/berth", *words, env={**os.environ, "BERTH_SOCKET": self.socket})
        if check and result.returncode != 0:
            raise SystemExit(f"berth {words}: {result.stderr}")
        return result

    def up(self, text):
        path = os.path.join(self.home, "berth.yaml")
        with open(path, "w") as file:
            file.write(text)
        self.run("up", "-f", path, "--max-recipe-bytes", "64000000")

    def query(self, sql):
        with sqlite3.connect(f"file:{self.home}/state/berth.db?mode=ro", uri=True) as database:
            return database.execute(sql).fetchall()

    def wait(self, sql, value, seconds=300):
        end = time.time() + seconds
        while time.time() < end:
            if self.query(sql)[0][0] == value:
                return True
            time.sleep(0.02)
        return False

    def cpu(self):
        """Processor time of the daemon and of those of its children that it waited for, in seconds."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(int(fields[i]) for i in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")

    def memory(self, key="VmRSS"):
        return int(re.search(rf"{key}:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def percentiles(values):
    values = sorted(values)
    return statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.99))]


def disk(home):
    """What each commit waits for."""
    times = []
    with open(os.path.join(home, "synced"), "wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            start = time.monotonic()
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - start)
    row("", "the disk: 4 KiB written and synced, median of 50", f"{1000 * statistics.median(times):.2f} ms")


def busy():
    """Processor time that all of the machine has used, in seconds: of a container much is the kernel's own work, before and after it."""
    fields = [int(field) for field in open("/proc/stat").readline().split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def floor(home, root):
    """The least that a container costs, in seconds of processor time; None where it cannot be made."""
    program = os.path.join(home, "floor")
    scratch = os.path.join(home, "floor.d")
    os.makedirs(scratch)
    compiler = shutil.which("clang") or shutil.which("cc")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "floor.c")
    count = 300 if QUICK else 1000

    def fails(why):
        row("", "the floor: a bare sandbox of /bin/true", "does not run here", (why.strip() or "no reason given").split("\n")[-1][:60])

    if not compiler:
        return fails("no C compiler")
    built = sh(compiler, "-O2", "-o", program, source)
    if built.returncode:
        return fails(built.stderr)
    time.sleep(1)
    before, start = busy(), time.monotonic()
    result = sh(program, root, scratch, str(count), str(2 * os.cpu_count()))
    took = time.monotonic() - start
    time.sleep(1)
    used = (busy() - before) / count
    if result.returncode:
        return fails(result.stderr)
    row("", f"the floor: {count} bare sandboxes of /bin/true", f"{1000 * used:.1f} ms, {count / took:.0f} runs/s")
    return used


def root_with_busybox(home):
    root = os.path.join(home, "root")
    os.makedirs(os.path.join(root, "bin"))
    shutil.copy(shutil.which("busybox"), os.path.join(root, "bin", "busybox"))
    for name in ("true", "sh", "sleep", "date", "yes", "head"):
        os.symlink("busybox", os.path.join(root, "bin", name))
    return root


def peers(home, root):
    """Whole runs of /bin/true, one after another."""
    bundle = os.path.join(home, "bundle")
    os.makedirs(bundle)
    count = 20 if QUICK else 60
    found = {}
    for name, arguments in (("crun", []), ("runc", [])):
        program = shutil.which(name)
        if not program:
            continue
        for file in ("config.json",):
            if os.path.exists(os.path.join(bundle, file)):
                os.unlink(os.path.join(bundle, file))
        sh(program, "spec", cwd=bundle)
        with open(os.path.join(bundle, "config.json")) as file:
            config = json.load(file)
        config["process"].update(terminal=False, args=["/bin/true"])
        config["root"] = {"path": root, "readonly": True}
        with open(os.path.join(bundle, "config.json"), "w") as file:
            json.dump(config, file)
        # Old releases refuse hosts with both kinds of control groups; there they see the v1 kind only.
        hide = "umount /sys/fs/cgroup/unified 2>/dev/null; exec "
        times = []
        script = hide + f'python3 - <<"X"\nimport subprocess, time\nfor i in range({count}):\n    t = time.monotonic()\n    r = subprocess.run(["{program}", "run", f"bench{{i}}"], cwd="{bundle}", stdin=subprocess.DEVNULL, capture_output=True)\n    assert r.returncode == 0, r.stderr\n    print(time.monotonic() - t)\nX'
        result = sh("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
        times = [float(line) for line in result.stdout.split()]
        if times:
            found[name] = statistics.median(times)
            row("", f"{name} run, whole run of /bin/true, median of {len(times)}", f"{1000 * found[name]:.1f} ms")
        else:
            row("", f"{name} run", "does not run here", result.stderr.strip().split("\n")[-1][:60])
    if sh("docker", "info").returncode == 0:
        tar = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
        sh("docker", "import", "-", "berth-bench", stdin=tar.stdout)
        for network in ("bridge", "none"):
            times = []
            for _ in range(5 if QUICK else 10):
                start = time.monotonic()
                if sh("docker", "run", "--rm", "--network", network, "berth-bench", "/bin/true").returncode == 0:
                    times.append(time.monotonic() - start)
            if times:
                found["docker " + network] = statistics.median(times)
                row("", f"docker run --rm --network {network}, median of {len(times)}", f"{1000 * statistics.median(times):.0f} ms")
    else:
        row("", "docker run", "no daemon reachable")
    return found


def latency(home, root, network="network_mode: none", what="P1", measure="own files, no network", goal="<= 4 / 15 ms"):
    berth = Berth(home, "latency" + what)
    seconds = 15 if QUICK else 40
    jobs = f"  j: {{ rootfs: {root}, {network}, command: [date, '+%s.%N'], schedule: '* * * * * *', overlap: allow }}\n"
    # busybox's date has no nanoseconds, so the run's own start is read from the record that its shim made before the exec.
    berth.up(f"name: b\njobs:\n{jobs}")
    time.sleep(seconds)
    berth.run("down", "b")
    rows = berth.query("select strftime('%s', started_at) * 1000 + substr(started_at, 21, 3) - (strftime('%s', due_at) * 1000) from runs where trigger = 'schedule' and outcome = 'succeeded'")
    median, p99 = percentiles([r[0] for r in rows])
    row(what, f"due time -> command released, {len(rows)} runs, {measure}", f"{median:.0f} / {p99:.0f} ms", goal)
    berth.stop()


def throughput(home, root, docker, least):
    berth = Berth(home, "throughput")
    count = 300 if QUICK else 1000
    due = int(time.time()) + 6
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due))
    berth.up("name: b\njobs:\n" + "".join(f"  j{i}: {{ rootfs: {root}, network_mode: none, command: ['true'], schedule: 'at {at}' }}\n" for i in range(count)))
    while time.time() < due - 0.2:
        time.sleep(0.05)
    before, own = busy(), berth.cpu()
    good = berth.wait("select count(*) from runs where outcome = 'succeeded'", count)
    took = time.time() - due
    time.sleep(1)
    used, own = busy() - before, berth.cpu() - own
    rate = count / took
    ratio = f", {rate / docker:.0f} x docker" if docker else ""
    row("P2", f"{count} jobs due in one second, all durable", f"{rate:.0f} runs/s{ratio}" if good else "not all succeeded", ">= 400/s, >= 60 x docker")
    row("P2", "daemon's peak memory then", f"{berth.memory('VmHWM'):.0f} MB", "<= 50 MB")
    ratio = f", {used / count / least:.1f} x floor" if least else ""
    row("P3", f"processor time of a whole run, {1000 * own / count:.1f} ms of it the daemon's", f"{1000 * used / count:.1f} ms{ratio}", "<= 1.5 x floor")
    berth.run("down", "b")
    berth.stop()


def memory(home, root):
    berth = Berth(home, "memory")
    berth.up("name: b\nservices:\n" + "".join(f"  s{i}: {{ rootfs: {root}, network_mode: none, command: [sleep, '100000'] , init: true}}\n" for i in range(10)))
    berth.wait("select count(*) from services where state = 'running'", 10)
    time.sleep(0.5)
    private = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{pid}/comm").read().strip() == "berth-shim" and os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid"):
                text = open(f"/proc/{pid}/smaps_rollup").read()
                private.append(sum(int(n) for n in re.findall(r"Private_\w+:\s+(\d+)", text)))
        except OSError:
            pass
    if private:
        row("P4", f"the shim's private memory, median of {len(private)}", f"{statistics.median(private)} KB", "<= 30 KB")
    for _ in range(5 if QUICK else 15):
        berth.run("restart", "s0")
        berth.wait("select count(*) from services where name = 's0' and state = 'running'", 1, 10)
    gaps = berth.query("""select (julianday(b.started_at) - julianday(a.finished_at)) * 86400000 from runs a join runs b on b.name = a.name and
        b.run_id = (select min(run_id) from runs where name = a.name and run_id > a.run_id) where a.name = 's0' and a.outcome = 'stopped' and b.trigger = 'start'""")
    if gaps:
        row("P11", f"service ended -> running again, without the pause, median of {len(gaps)}", f"{statistics.median(g[0] for g in gaps):.0f} ms", "<= 10 ms")
    berth.run("down", "b")
    berth.up("name: c\nservices:\n" + "".join(f"  s{i}: {{ rootfs: {root}, network_mode: none, command: [sleep, '100000'] , init: true}}\n" for i in range(100)))
    berth.wait("select count(*) from services where state = 'running'", 100)
    times = []
    for _ in range(20):
        start = time.monotonic()
        berth.run("ps")
        times.append(time.monotonic() - start)
    row("P10", "berth ps with 100 workloads, median of 20", f"{1000 * statistics.median(times):.1f} ms", "<= 8 ms")
    berth.run("down", "c")
    berth.stop()


def verbs(home, root):
    """What a person feels, with the state where no disk is waited for."""
    with tempfile.TemporaryDirectory(prefix="berth-bench-", dir=MEMORY) as memory:
        berth = Berth(memory, "verbs")
        berth.up(f"name: b\njobs:\n  t: {{ rootfs: {root}, network_mode: none, command: ['true'] }}\n")

        def median(*words, check=True):
            times = []
            for _ in range(7 if QUICK else 25):
                start = time.monotonic()
                berth.run(*words, check=check)
                times.append(time.monotonic() - start)
            return f"{1000 * statistics.median(times):.1f} ms"

        row("", "berth explain: the process alone, median", median("explain", "0 0 * * *"))
        row("P14", "berth run --wait of /bin/true, median", median("run", "t", "--wait"), "<= 25 ms")
        berth.run("down", "b")
        berth.stop()
        row("P15", "a verb when no daemon listens, median", median("ps", check=False), "<= 50 ms")


def sizes():
    with tempfile.TemporaryDirectory(prefix="berth-bench-") as home:
        for name in ("berth", "berthd"):
            if sh("strip", "-o", f"{home}/{name}", f"{BIN}/{name}").returncode == 0:
                row("P16", f"{name}, stripped", f"{os.path.getsize(f'{home}/{name}') / 1e6:.1f} MB", "<= 25 MB")


def idle(home, root):
    berth = Berth(home, "idle")
    berth.up("name: b\njobs:\n" + "".join(f"  j{i}: {{ rootfs: {root}, network_mode: none, command: ['true'], schedule: '{i % 60} 3 1 1 *' }}\n" for i in range(1000)))
    time.sleep(3)
    before, start = berth.cpu(), time.monotonic()
    time.sleep(10 if QUICK else 30)
    share = 100 * (berth.cpu() - before) / (time.monotonic() - start)
    row("P5", "daemon with 1,000 jobs, idle", f"{berth.memory():.0f} MB, {share:.2f} %", "<= 30 MB, <= 0.05 %")
    berth.stop()


def large(home):
    """A recipe of 100,000 jobs: read and planned without a daemon, then by one."""
    count = 100_000
    text = "name: b\ntimezone: Europe/Lisbon\njobs:\n" + "".join(
        f"  j{i}: {{ rootfs: host, network_mode: none, command: [/bin/true], schedule: '{i % 60} {i % 24} 1 1 *' }}\n" for i in range(count))
    path = os.path.join(home, "large.yaml")
    with open(path, "w") as file:
        file.write(text)
    options = ["-f", path, "--max-recipe-bytes", "64000000"]
    goal = "<= 3 s, <= 250 MB"
    start = time.monotonic()
    with open(os.devnull, "w") as nothing:
        process = subprocess.Popen([f"{BIN}/berth", "plan", "--offline", *options], stdout=nothing)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    row("P6", f"berth plan --offline, {count:,} jobs", f"{time.monotonic() - start:.1f} s, {usage.ru_maxrss / 1024:.0f} MB", goal if status == 0 else "FAILED")
    berth = Berth(home, "large")
    start = time.monotonic()
    berth.run("plan", *options)
    row("P6", "the same by the daemon", f"{time.monotonic() - start:.1f} s, {berth.memory('VmHWM'):.0f} MB", goal)
    start = time.monotonic()
    berth.run("up", *options)
    row("", "berth up of it, and the daemon after", f"{time.monotonic() - start:.1f} s, {berth.memory():.0f} MB")
    berth.stop()


def run_id(milliseconds, number):
    """As WorkloadModel/RunID.swift makes it."""
    value, text = milliseconds << 32 | number & 0xFFFFFFFF, ""
    for _ in range(16):
        text = "0123456789abcdefghjkmnpqrstvwxyz"[value & 31] + text
        value >>= 5
    return text


def fill(path, count, jobs=2000, days=180):
    """A history of so many runs, one in twenty failed, each with its due time; half of it is older than is kept."""
    end = int(time.time() * 1000) - 120_000
    begin = end - days * 86_400_000
    database = sqlite3.connect(path)
    database.executescript("pragma synchronous = off; pragma cache_size = -400000; pragma wal_autocheckpoint = 100000")

    def rows(number):
        at, job, ended = begin + (end - begin) * number // count, f"job{number % jobs:04}", 1 if number % 20 == 7 else 0
        return (run_id(at, number), "old", job, "job", "schedule", 1, at, at, at + 5, at + 900, "finished", ("succeeded", "failed")[ended], ended, 900, 1 << 20,
                "0" * 64, "native", "1082ae9f-2049-4096-8219-953cb7f03fc5", "3:b7d3e635448c0688")

    columns = "run_id project name kind trigger attempt due_ms decided_ms started_ms finished_ms state outcome exit_code cpu_us memory_peak_bytes recipe_digest engine boot_id fingerprint".split()
    insert = f"insert into run_rows ({','.join(columns)}) values ({','.join('?' * len(columns))})"
    for first in range(0, count, 200_000):
        chunk = [rows(number) for number in range(first, min(first + 200_000, count))]
        with database:
            database.executemany(insert, chunk)
            database.executemany("insert into due_rows (project, name, due_ms, era, first_due_ms, result, count, run_id) values (?, ?, ?, 0, ?, 'ran', 1, ?)",
                                 [(run[1], run[2], run[6], run[6], run[0]) for run in chunk])
    database.execute("pragma wal_checkpoint(truncate)")
    database.close()


def history(home, root):
    """Questions to a long history, and launches while half of it is forgotten."""
    count = 1_000_000 if QUICK else 10_000_000
    berth = Berth(home, "history")
    berth.up(f"name: b\njobs:\n  probe: {{ rootfs: {root}, network_mode: none, command: [/bin/true] }}\n")
    berth.stop()
    fill(f"{berth.home}/state/berth.db", count)
    start = time.monotonic()
    berth.start()
    row("P8", f"{count:,} runs: the daemon answers after its start", f"{1000 * (time.monotonic() - start):.0f} ms")
    slowest = {}
    for words in (["--limit", "50"], ["old/job0007", "--limit", "50"], ["--outcome", "failed", "--limit", "50"], ["--since", "2d", "--limit", "50"],
                  ["old/job0007", "--outcome", "failed", "--since", "60d", "--limit", "50"]):
        times = []
        for _ in range(11):
            start = time.monotonic()
            berth.run("runs", *words)
            times.append(1000 * (time.monotonic() - start))
        slowest[statistics.median(times)] = " ".join(words)
    row("P8", f"berth runs {slowest[max(slowest)]}", f"{max(slowest):.0f} ms", "<= 50 ms")

    def launches(seconds):
        first, end = berth.query("select max(run_id) from run_rows")[0][0], time.monotonic() + seconds
        while time.monotonic() < end:
            berth.run("run", "probe", "--wait")
        return percentiles([r[0] for r in berth.query(f"select started_ms - decided_ms from run_rows where project = 'b' and run_id > '{first}'")])

    without = launches(20)
    # A daemon trusts its clock after ten minutes, and forgets nothing before.
    end = time.monotonic() + 700
    while not berth.query("select count(*) from pruned_rows")[0][0]:
        if time.monotonic() > end:
            raise SystemExit("nothing is forgotten")
        time.sleep(0.5)
    start, beside = time.monotonic(), launches(40)
    row("P8", "decided -> started, before old runs are forgotten", f"{without[0]:.0f} / {without[1]:.0f} ms")
    row("P8", "the same meanwhile", f"{beside[0]:.0f} / {beside[1]:.0f} ms", "20 ms more")
    last = -1
    while (found := berth.query("select sum(count) from pruned_rows")[0][0]) != last:
        last = found
        time.sleep(5)
    row("", f"{last:,} rows forgotten", f"{time.monotonic() - start:.0f} s, {berth.memory('VmHWM'):.0f} MB")
    berth.stop()


def schedules():
    """Due times a second, one core: the slowest and the median of common expressions in three zones."""
    result = sh(f"{BIN}/ScheduleBenchmark")
    rates = [(int(line.split("\t")[0]), line.split("\t", 1)[1].replace("\t", " in ")) for line in result.stdout.splitlines()]
    if not rates:
        raise SystemExit(f"the schedule benchmark did not run: {result.stderr}")
    slowest = min(rates)
    row("P7", f"next due time, median of {len(rates)} expressions and zones", f"{statistics.median(r[0] for r in rates) / 1e6:.1f} million/s", ">= 1 million/s")
    row("P7", f"the slowest: {slowest[1]}", f"{slowest[0] / 1e6:.1f} million/s", ">= 1 million/s")


def main():
    if os.geteuid() != 0:
        raise SystemExit("the benchmark needs root")
    home = tempfile.mkdtemp(prefix="berth-bench-")
    cpu = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    print(f"{time.strftime('%Y-%m-%d %H:%M')}  {os.cpu_count()} x {cpu.group(1) if cpu else platform.machine()}, Linux {platform.release()}")
    for name in ("crun", "runc", "docker"):
        if shutil.which(name):
            print("  " + sh(name, "--version").stdout.split("\n")[0])
    try:
        disk(home)
        schedules()
        large(home)
        root = root_with_busybox(home)
        found = peers(home, root)
        latency(home, root)
        latency(home, root, "ports: ['127.0.0.1::80']", "P12", "on a bridge with a port", "<= P1 + 2 ms")
        docker = found.get("docker bridge")
        throughput(home, root, 2 / docker if docker else None, floor(home, root))
        memory(home, root)
        verbs(home, root)
        idle(home, root)
        sizes()
        history(home, root)
    finally:
        shutil.rmtree(home, ignore_errors=True)


main()
