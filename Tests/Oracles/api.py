#!/usr/bin/env python3
"""Has schemathesis ask a daemon of its own whatever the description of its API allows, and more: nothing may end in an error of the server, or in what
the description does not name.

    python3 api.py PROGRAMS SCHEMATHESIS

SCHEMATHESIS is the folder that pip installed it into. Needs root.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

# The feed has no end, and an archive is not made of an example.
LEFT_OUT = ["/v1/changes", "/v1/volumes/{volume}/tar"]
RECIPE = """name: t
jobs: { hello: { rootfs: host, command: ["true"], schedule: every 5s, network_mode: none } }
services: { web: { rootfs: host, command: [sleep, "1000"], network_mode: none } }
"""


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener, path):
    """schemathesis speaks TCP, and the daemon a Unix socket."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        daemon = socket.socket(socket.AF_UNIX)
        try:
            daemon.connect(path)
        except OSError:
            client.close()
            continue
        for ends in ((client, daemon), (daemon, client)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


def main():
    programs, library = sys.argv[1:3]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="berth-api-"))
    path = f"{folder}/run/berth.sock"
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(
            [f"{programs}/berthd", "--state-dir", f"{folder}/state", "--runtime-dir", f"{folder}/run", "--recipe-dir", f"{folder}/recipes", "--shim",
             f"{programs}/berth-shim", "--stop-all"], stderr=log)
    try:
        (folder / "berth.yaml").write_text(RECIPE)
        end = time.monotonic() + 30
        while subprocess.run([f"{programs}/berth", "--socket", path, "up", "-f", f"{folder}/berth.yaml"], capture_output=True, check=False).returncode != 0:
            if time.monotonic() > end:
                raise SystemExit("the daemon does not answer: " + (folder / "log").read_text())
            time.sleep(0.2)
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=serve, args=(listener, path), daemon=True).start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        words = [word for path in LEFT_OUT for word in ("--exclude-path", path)]
        result = subprocess.run(
            [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", f"{address}/v1/openapi.json", "--url", address, "--checks",
             "not_a_server_error,status_code_conformance,content_type_conformance", "--phases", "coverage,fuzzing", "--max-examples", "20",
             "--request-timeout", "10", "--no-color", "--continue-on-failure", *words],
            env={**os.environ, "PYTHONPATH": library}, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        summary = result.stdout.rsplit("Test cases:", 1)[-1].strip().splitlines()[:1] if "Test cases:" in result.stdout else []
        if result.returncode != 0 or not summary or daemon.poll() is not None:
            print(result.stdout + result.stderr)
            raise SystemExit("the API does other than its description says")
        print(f"the API: {summary[0].strip()}")
    finally:
        daemon.terminate()
        daemon.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


main()
