#!/usr/bin/env python3
"""Has Prometheus itself gather a daemon's numbers: promtool checks their form, and what a real server has gathered is compared with the history.

    python3 metrics.py PROGRAMS

Needs root, prometheus and promtool.
"""
import json
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RECIPE = """name: shop
services:
  web: { rootfs: host, command: [sleep, "1000"], network_mode: none, restart: always }
  asked: { rootfs: host, command: [sleep, "1000"], network_mode: none, healthcheck: { test: ["CMD", "true"], interval: 1s } }
jobs:
  tick: { rootfs: host, command: ["true"], schedule: every 1s, network_mode: none }
  fails: { rootfs: host, command: ["false"], schedule: every 2s, network_mode: none }
  slow: { rootfs: host, command: [sleep, "1000"], schedule: every 1s, network_mode: none }
  rests: { rootfs: host, command: ["true"], schedule: every 1h, network_mode: none }
"""


def free():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def main():
    programs = sys.argv[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="berth-metrics-"))
    path, port, own = f"{folder}/run/berth.sock", free(), free()
    log = open(folder / "log", "wb")
    daemon = subprocess.Popen(
        [f"{programs}/berthd", "--state-dir", f"{folder}/state", "--runtime-dir", f"{folder}/run", "--recipe-dir", f"{folder}/recipes", "--shim",
         f"{programs}/berth-shim", "--stop-all", "--metrics", f"127.0.0.1:{port}"], stderr=log)
    (folder / "berth.yaml").write_text(RECIPE)
    (folder / "prometheus.yml").write_text(f"""global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{ROOT}/Examples/prometheus/alerts.yaml]
scrape_configs:
  - job_name: berth
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
""")
    prometheus = None
    wrong = []

    def berth(*words):
        return subprocess.run([f"{programs}/berth", "--socket", path, *words], capture_output=True, text=True, check=False)

    def until(what, condition, seconds=40):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit(f"{what}: not within {seconds} s; see {folder}")

    def ask(query):
        with urllib.request.urlopen(f"http://127.0.0.1:{own}/api/v1/query?query={urllib.parse.quote(query)}", timeout=10) as answer:
            return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in json.load(answer)["data"]["result"]}

    def value(query):
        found = list(ask(query).values())
        return found[0] if found else None

    try:
        until("the daemon answers", lambda: berth("up", "-f", f"{folder}/berth.yaml").returncode == 0)
        prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{own}"],
            stdout=log, stderr=log)
        until("failures are gathered", lambda: (value('berth_runs_total{name="fails",outcome="failed"}') or 0) >= 3)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read()
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        if checked.returncode != 0 or checked.stdout or checked.stderr:
            wrong.append(f"promtool: {checked.stdout.decode()}{checked.stderr.decode()}")
        rules = subprocess.run(["promtool", "check", "rules", ROOT / "Examples/prometheus/alerts.yaml"], capture_output=True, text=True, check=False)
        if rules.returncode != 0:
            wrong.append(f"promtool: {rules.stdout}{rules.stderr}")
        # Each number that an alert or a panel names is one that is there.
        names = set(re.findall(rb"^# TYPE (\w+)", text, re.M))
        for file in (ROOT / "Examples/prometheus").iterdir():
            for used in set(re.findall(rb"\bberth_\w+", file.read_bytes())):
                if re.sub(rb"_(bucket|sum|count)$", b"", used) not in names and used not in names:
                    wrong.append(f"{file.name} names {used.decode()}, which is not there")
        berth("pause", "tick")
        berth("pause", "fails")
        berth("pause", "slow")
        time.sleep(4)
        with sqlite3.connect(f"file:{folder}/state/berth.db?mode=ro", uri=True) as database:
            for name, outcome, count in database.execute("select name, outcome, count(*) from runs where outcome is not null group by 1, 2"):
                found = value(f'berth_runs_total{{project="shop",name="{name}",outcome="{outcome}"}}')
                if found != count:
                    wrong.append(f"{name}: {count} runs {outcome}, and Prometheus has {found}")
            for name, result, reason, count in database.execute(
                    "select name, result, coalesce(reason, ''), sum(count) from due_times where reason is not 'paused' group by 1, 2, 3"):
                found = value(f'berth_due_times_total{{name="{name}",result="{result}",reason="{reason}"}}')
                if found != count:
                    wrong.append(f"{name}: {count} due times {result} {reason}, and Prometheus has {found}")
        for query, wanted in (('berth_service_up{name="web"}', 1), ('berth_job_paused{name="tick"}', 1), ('berth_job_paused{name="rests"}', 0),
                              ("berth_history_writable", 1), ('berth_service_healthy{name="asked"}', 1),
                              ('berth_runs_in_progress{name="slow"}', 1)):
            if value(query) != wanted:
                wrong.append(f"{query} is {value(query)}, not {wanted}")
        if (value('berth_job_failures_in_a_row{name="fails"}') or 0) < 3 or not value("berth_start_delay_seconds_count"):
            wrong.append("failures in a row, or delays of starts, are not there")
        if abs((value('berth_job_next_start_timestamp_seconds{name="rests"}') or 0) - time.time()) > 3600:
            wrong.append("the next start is not within the hour")
        dashboard = json.loads((ROOT / "Examples/prometheus/dashboard.json").read_text())
        for target in (target for panel in dashboard["panels"] for target in panel["targets"]):
            try:
                ask(target["expr"].replace("$__rate_interval", "1m").replace("$project", ".*"))
            except OSError as error:
                wrong.append(f"the dashboard asks what cannot be asked: {target['expr']}: {error}")
        alerts = {dict(metric)["alertname"] for metric in ask('ALERTS{alertstate=~"pending|firing"}')}
        if "BerthJobFails" not in alerts:
            wrong.append(f"the job that fails is no alert: {alerts}")
        print(f"Prometheus: {len(text.splitlines())} lines, {len(names)} names; alerts {sorted(alerts)}")
    finally:
        for process in (prometheus, daemon):
            if process:
                process.terminate()
                process.wait(60)
    if wrong:
        raise SystemExit("\n".join(wrong) + f"\nsee {folder}")
    shutil.rmtree(folder, ignore_errors=True)


main()
