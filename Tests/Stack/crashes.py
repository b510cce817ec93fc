#!/usr/bin/env python3
"""A service that crashes each second, under steady requests by its published port: what clients see, under Docker and Berth.

    python3 crashes.py BERTH-PROGRAMS REGISTRY COMPOSE [SECONDS]
"""

import collections
import os
import shutil
import socket
import sys
import tempfile
import threading
import time

import compare

EVERY = 0.05


def ask(port, address, seen, times):
    begin = time.monotonic()
    try:
        with socket.create_connection((address, port), 5) as link:
            link.settimeout(5)
            link.sendall(b"GET / HTTP/1.0\r\n\r\n")
            text = b""
            while piece := link.recv(4096):
                text += piece
        what = "answered" if text.endswith(b"ok\n") else "cut off"
    except ConnectionRefusedError:
        what = "refused"
    except ConnectionResetError:
        what = "reset"
    except socket.timeout:
        what = "no answer in 5 s"
    except OSError as error:
        what = os.strerror(error.errno)
    seen[what] += 1
    times[what] = max(times.get(what, 0), time.monotonic() - begin)


def watch(side, address, seconds):
    seen, times, threads = collections.Counter(), {}, []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        thread = threading.Thread(target=ask, args=(side.port, address, seen, times))
        thread.start()
        threads.append(thread)
        time.sleep(EVERY)
    for thread in threads:
        thread.join()
    return ", ".join(f"{count} {what} (slowest {1000 * times[what]:.0f} ms)" for what, count in seen.most_common())


def main():
    programs, registry, program = sys.argv[1:4]
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 40
    # The address that other hosts would use.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(("192.0.2.1", 9))
        own = link.getsockname()[0]
    for kind, argument in [(compare.Docker, program), (compare.Berth, programs)]:
        home = tempfile.mkdtemp(prefix="crashes-")
        side = kind(home, registry, os.path.abspath(argument))
        side.start()
        try:
            words = ["up", "-d"] if kind is compare.Docker else ["up"]
            flags = ["-f", f"{compare.HERE}/crashing.yaml"]
            done = compare.run(*([side.compose] if kind is compare.Docker else [f"{side.programs}/berth", "--socket", f"{home}/run/berth.sock"]), *flags, *words,
                               env=side.environment, check=False)
            if done.returncode != 0:
                raise RuntimeError(done.stdout + done.stderr)
            half = [None, None]
            threads = [threading.Thread(target=lambda number=number, address=address: half.__setitem__(number, watch(side, address, seconds)))
                       for number, address in enumerate(["127.0.0.1", own])]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(f"{side.name:7}by 127.0.0.1: {half[0]}\n{side.name:7}by {own}: {half[1]}\n{side.name:7}{side.restarts('web')} restarts", flush=True)
        finally:
            if kind is compare.Docker:
                compare.run(side.compose, *flags, "down", env=side.environment, check=False)
            else:
                side.verb("down", "shop")
            side.end()
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
