#!/usr/bin/env python3
"""Runs on a bridge, each with a published port, many at once: how many a second under Berth and Docker, and what is left after.

    python3 many.py BERTH-PROGRAMS REGISTRY COMPOSE [RUNS] [AT-ONCE]
"""

import concurrent.futures
import os
import shutil
import sys
import tempfile
import time

import compare


def counted():
    """What a run could leave behind on this host."""
    groups = sum(len(folders) for top in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] for _, folders, _ in os.walk(top))
    rules = compare.run("nft", "list", "ruleset", check=False).stdout + compare.run("iptables-save", check=False).stdout
    return {
        "interfaces": len(os.listdir("/sys/class/net")), "mounts": len(open("/proc/self/mounts").readlines()), "control groups": groups,
        "rules": len(rules.splitlines()), "namespaces": len({os.readlink(path) for path in namespaces()}),
        "addresses": len(compare.run("ip", "-o", "address").stdout.splitlines()),
    }


def namespaces():
    for entry in filter(str.isdigit, os.listdir("/proc")):
        path = f"/proc/{entry}/ns/net"
        try:
            os.readlink(path)
        except OSError:
            continue
        yield path


def main():
    programs, registry, program = sys.argv[1:4]
    runs = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    once = int(sys.argv[5]) if len(sys.argv) > 5 else 50
    image = f"{registry}/stack/web:1"
    for kind, argument in [(compare.Berth, programs), (compare.Docker, program)]:
        home = tempfile.mkdtemp(prefix="many-")
        side = kind(home, registry, os.path.abspath(argument))
        before = counted()
        side.start()
        try:
            if kind is compare.Berth:
                text = "name: many\njobs:\n" + "".join(
                    f"  j{number}: {{ image: '{image}', command: ['/bin/true'], ports: ['127.0.0.1:{21000 + number}:80'] }}\n" for number in range(once))
                with open(f"{home}/many.yaml", "w") as file:
                    file.write(text)
                done = side.verb("up", f"{home}/many.yaml")
                if done.returncode != 0:
                    raise RuntimeError(done.stderr)
            else:
                side.docker("pull", "-q", image)
            there = counted()

            def lane(number):
                good = 0
                for _ in range(runs // once):
                    if kind is compare.Berth:
                        done = side.verb("run", f"j{number}", "--wait")
                    else:
                        done = compare.run("docker", "run", "--rm", "-p", f"127.0.0.1:{22000 + number}:80", image, "/bin/true", env=side.environment, check=False)
                    good += done.returncode == 0
                    if done.returncode != 0:
                        print(side.name, number, done.stderr.strip()[-300:], flush=True)
                return good

            begin = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(once) as pool:
                good = sum(pool.map(lane, range(once)))
            taken = time.monotonic() - begin
            time.sleep(2)
            after = counted()
            more = {name: after[name] - there[name] for name in after if after[name] != there[name]}
            print(f"{side.name:7}{good} of {runs} runs, {once} at once: {taken:.1f} s, {runs / taken:.1f} a second; more than before the runs: {more or 'nothing'}", flush=True)
            if kind is compare.Berth:
                side.verb("down", "many")
        finally:
            side.end()
        compare.until(lambda: counted() == before, 5)
        left = {name: count - before[name] for name, count in counted().items() if count != before[name]}
        print(f"{side.name:7}left at the end: {left or 'nothing'}", flush=True)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
