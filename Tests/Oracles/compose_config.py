#!/usr/bin/env python3
"""Compose files as people write them, read by `docker compose config` and by `berth config`: both must come to the same.

    compose_config.py BERTH COMPOSE [COUNT] [SEED] [DIRECTORY]

COMPOSE is the program of Docker Compose 2 (its plugin runs alone). Files are made by a seed; how often a key is used follows what was counted in real
stacks. Prints what differs, and how many files each program takes. Ends with 1 when values differ, or
when Berth refuses more than a tenth of the files that Compose takes; why each is refused is printed.
"""
import json, os, random, subprocess, sys, tempfile

IMAGES = ["nginx", "postgres:16", "redis:7-alpine", "traefik:v3.1", "ghcr.io/org/app:latest", "lscr.io/linuxserver/sonarr", "mariadb:11", "busybox",
          "quay.io/x/y@sha256:" + "a" * 64, "${REGISTRY:-docker.io}/library/caddy:${TAG:-2}"]
NAMES = ["web", "db", "cache", "worker", "proxy", "app", "api", "mail", "Search", "my-app_1"]


class Writer:
    """One file, by its dice."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.files = {}
        self.taken = []
        self.networks, self.volumes, self.secrets, self.configs = {}, {}, {}, {}

    def chance(self, percent):
        return self.dice.random() * 100 < percent

    def one(self, *choices):
        return self.dice.choice(choices)

    def environment(self):
        entries = {"TZ": "Europe/Lisbon", "DEBUG": self.one("true", '"1"', "0", "1.50", "0x10", "''"), "URL": "http://${HOST:-localhost}:8080/?a=b",
                   "PASSWORD": self.one('"$$2y$$10$$abc"', "${PW:-secret word}", "'it''s'"), "HOME": "", "OCTAL": "0755", "LONG": '"a b  c"'}
        names = self.dice.sample(sorted(entries), self.dice.randint(1, len(entries)))
        if self.chance(50):
            return ["environment:"] + ["  %s: %s" % (name, entries[name]) for name in names]
        return ["environment:"] + ["  - %s=%s" % (name, entries[name].strip("'\"")) if entries[name] else "  - %s" % name for name in names]

    def ports(self):
        forms = ['"80:80"', "8080:80", '"127.0.0.1:5432:5432"', '"3000"', '"6060-6061:6060-6061"', '"53:53/udp"', '"${PORT:-9000}:9000"',
                 '"[::1]:81:81"', '{ target: 90, published: "9090", protocol: tcp, mode: host }', "{ target: 91 }"]
        # A port of the host is one container's: files that give it twice are no stacks.
        forms = [form for form in forms if form not in self.taken]
        chosen = self.dice.sample(forms, min(len(forms), self.dice.randint(1, 3)))
        self.taken += [form for form in chosen if form not in ('"3000"', "{ target: 91 }")]
        return ["ports:"] + ["  - " + form for form in chosen] if chosen else []

    def label_file(self):
        self.files["labels"] = "a=b\n# a comment\nempty=\nquoted=\"x y\"\n"
        return ["label_file: " + self.one("./labels", "[./labels]")]

    def volume_list(self):
        lines = []
        for form in self.dice.sample(range(10), self.dice.randint(1, 4)):
            name = self.one("data", "cache_dir", "Media")
            if form in (0, 1):
                self.volumes.setdefault(name, "")
            lines.append([name + ":/data", "%s:/backup:ro" % name, "./config:/config", "/etc/localtime:/etc/localtime:ro", "../shared:/shared:z",
                          "/anonymous", "{ type: bind, source: ./bind, target: /bind, read_only: true }",
                          "{ type: tmpfs, target: /scratch, tmpfs: { size: 64m } }", self.one("~/media:/media:rw", "/mnt:/mnt:ro,rslave"),
                          "{ type: bind, source: /srv, target: /srv, bind: { create_host_path: false } }"][form])
        targets, kept = set(), []
        for line in lines:
            target = line.split("target: ")[1].split(",")[0].split(" ")[0] if "target: " in line else line.split(":")[1] if ":" in line else line
            if target not in targets:
                kept.append(line)
            targets.add(target)
        return ["volumes:"] + ["  - " + line for line in kept]

    def healthcheck(self):
        test = self.one('["CMD", "pg_isready", "-U", "me"]', '["CMD-SHELL", "curl -f http://localhost || exit 1"]', "curl -f http://localhost/$$X", "[\"NONE\"]")
        if self.chance(10):
            return ["healthcheck: { disable: true }"]
        lines = ["healthcheck:", "  test: " + test]
        for key, values in [("interval", ["10s", "1m30s", "1.5s", "90s"]), ("timeout", ["5s", "500ms"]), ("retries", ["3", "10"]),
                            ("start_period", ["40s", "1h"]), ("start_interval", ["2s"])]:
            if self.chance(50):
                lines.append("  %s: %s" % (key, self.one(*values)))
        return lines

    def depends_on(self, others):
        others = [name for name in others if self.chance(60)] or others[:1]
        if self.chance(70):
            return ["depends_on: [%s]" % ", ".join(others)]
        lines = ["depends_on:"]
        for name in others:
            lines.append("  %s: { condition: %s%s }" % (name, self.one("service_started", "service_completed_successfully"),
                                                       self.one("", ", restart: true", ", required: false")))
        return lines

    def service(self, name, others):
        lines = []
        if self.chance(96):
            lines.append("image: " + self.one(*IMAGES))
        else:
            lines.append("image: x\n    pull_policy: %s" % self.one("always", "missing", "never"))
        for percent, make in [
            (77, self.ports), (70, self.environment), (71, self.volume_list), (15, self.healthcheck),
            (75, lambda: ["restart: " + self.one("unless-stopped", "always", '"no"', "on-failure", "on-failure:3")]),
            (59, lambda: ["container_name: %s-%d" % (name.lower(), self.dice.randint(1, 99999))]),
            (20, lambda: ["command: " + self.one('["serve", "--port", "80"]', "npm run dev", 'sh -c "echo $$HOME && sleep 1"', "--a=b --c 'd e'")]),
            (6, lambda: ["entrypoint: " + self.one('["/entry.sh"]', "/bin/sh -c", "[]")]),
            (16, lambda: ["labels:", "  - traefik.enable=true", '  - "traefik.http.routers.%s.rule=Host(`x.y`)"' % name]),
            (8, lambda: ["labels: { com.example.a: b, com.example.n: 1, com.example.t: true }"]),
            (16, lambda: ["security_opt: [%s]" % self.one("no-new-privileges:true", "no-new-privileges", "apparmor=unconfined", "label:disable")]), (29, self.network_use), (29, lambda: ['expose: [%s]' % self.one("3000", '"8000"', "80, 81")]),
            (11, self.env_file), (4, lambda: ["platform: linux/amd64"]), (3, self.logging), (4, lambda: ["stdin_open: true"]),
            (6, lambda: ["cap_add: [NET_ADMIN, SYS_TIME]"]), (3, lambda: ["cap_drop: [ALL]"]), (3, lambda: ["privileged: true"]),
            (6, lambda: ["user: " + self.one('"1000:1000"', '"${UID:-1000}"', "root")]), (3, lambda: ["working_dir: /srv/app"]),
            (4, lambda: ["hostname: %s" % name.lower()]), (4, lambda: ["shm_size: " + self.one("128m", '"1gb"', "67108864")]),
            (6, lambda: ["mem_limit: " + self.one("512m", "1g")]), (2, lambda: ["cpus: " + self.one("0.5", "1.5", "2")]), (2, lambda: ["pids_limit: 100"]),
            (3, lambda: ["ulimits: { nofile: { soft: 1024, hard: 65536 }, nproc: 65535 }"]), (2, lambda: ["sysctls: { net.core.somaxconn: 1024 }"]),
            (2, lambda: ["sysctls: [net.ipv4.ip_forward=1]"]), (2, lambda: ["devices: [\"/dev/dri:/dev/dri\", /dev/snd]"]),
            (3, lambda: ["extra_hosts: [\"host.docker.internal:host-gateway\", \"b:10.0.0.2\"]"]), (2, lambda: ["dns: " + self.one("8.8.8.8", "[1.1.1.1, 9.9.9.9]")]),
            (2, lambda: ["tmpfs: " + self.one("/tmp", "[/tmp, /run]", '["/run:rw,noexec,nosuid,size=65536k", "/tmp:exec,mode=1777"]', "/run:uid=1000,gid=1000")]), (4, lambda: ["stop_grace_period: " + self.one("30s", "1m", "1m30s")]),
            (2, lambda: ["stop_signal: SIGINT"]), (3, lambda: ["init: true"]), (3, lambda: ["read_only: true"]), (3, self.secret_use), (1, self.config_use),
            (4, lambda: ["deploy: { resources: { limits: { cpus: '0.50', memory: 256M }, reservations: { memory: 64M } } }"]),
            (2, lambda: ["deploy: { replicas: 1, placement: { constraints: [node.role == manager] }, labels: [a=b] }"]),
            (2, lambda: ["group_add: [\"998\"]"]), (1, lambda: ["pid: host"]), (1, lambda: ["ipc: host"]), (2, lambda: ["oom_score_adj: -500"]),
            (3, lambda: ["deploy: { restart_policy: { condition: %s, max_attempts: 3, delay: 5s } }" % self.one("on-failure", "any", "none")]),
            (1, lambda: ["gpus: all"]), (1, lambda: ["annotations: { a: b }"]), (1, lambda: ["mem_swappiness: 10"]), (1, lambda: ["runtime: nvidia"]),
            (1, lambda: ["oom_kill_disable: " + self.one("false", "true")]), (2, self.label_file),
        ]:
            if self.chance(percent):
                lines += make()
        if others and self.chance(39):
            lines += self.depends_on(others)
        if self.chance(6):
            lines.append("profiles: [%s]" % self.one("debug", "tools"))
        seen, kept, skip = set(), [], False
        for line in lines:
            if not line.startswith(" "):
                key = line.split(":")[0]
                skip = key in seen
                seen.add(key)
            if not skip:
                kept.append(line)
        if "mem_limit" in seen or "cpus" in seen:
            kept = [line for line in kept if not line.startswith("deploy:")]
        return ["  %s:" % name] + ["    " + part for line in kept for part in line.split("\n    ")]

    def network_use(self):
        if self.chance(8):
            return ["network_mode: " + self.one("host", "none")]
        names = self.dice.sample(["front", "back", "proxy_net"], self.dice.randint(1, 2))
        for name in names:
            self.networks.setdefault(name, self.one("", "", " { driver: bridge }", " { internal: true }", " { external: true }",
                                                    " { name: real_net, external: true }",
                                                    " { ipam: { config: [{ subnet: 172.2%d.0.0/16 }] } }" % len(self.networks)))
        if self.chance(60):
            return ["networks: [%s]" % ", ".join(names)]
        return ["networks:"] + ["  %s:%s" % (name, self.one("", " { aliases: [x.local] }", " { priority: 100 }")) for name in names]

    def env_file(self):
        self.files[".env.app"] = "A=1\nB=\"two words\" # comment\nexport C='$NOT'\nD=${A}-${HOST:-h}\n#E=1\nF=\nG: yaml\n\nM=\"line one\nline two\"\n"
        return ["env_file: " + self.one(".env.app", "[.env.app]", "[{ path: .env.app, required: true }, { path: none.env, required: false }]")]

    def logging(self):
        return ["logging:", "  driver: " + self.one("json-file", "local"), "  options: { max-size: 10m, max-file: \"3\" }"]

    def secret_use(self):
        self.secrets["token"] = self.one(" { file: ./token.txt }", " { environment: HOME }")
        return ["secrets: " + self.one("[token]", "[{ source: token, target: t, mode: 0440 }]")]

    def config_use(self):
        self.configs["conf"] = self.one(" { file: ./conf.txt }", " { content: \"a=${HOST:-x}\" }")
        return ["configs: " + self.one("[conf]", "[{ source: conf, target: /etc/conf }]")]

    def text(self):
        names = self.dice.sample(NAMES, self.dice.choice([1, 1, 2, 2, 3, 4, 6]))
        lines = []
        if self.chance(10):
            lines.append("version: " + self.one('"3.8"', "'2'"))
        lines.append("name: " + self.one("stack", "my-app", "t1"))
        if self.chance(4):
            lines += ["x-common: &common", "  restart: always", "  labels: { from: anchor }"]
        lines.append("services:")
        for index, name in enumerate(names):
            block = self.service(name, names[:index])
            if any(line == "x-common: &common" for line in lines) and not any(line.startswith(("    restart:", "    labels:")) for line in block):
                block.insert(1, "    <<: *common")
            lines += block
        for section, entries in [("volumes", self.volumes), ("networks", self.networks), ("secrets", self.secrets), ("configs", self.configs)]:
            if section == "volumes":
                for name in entries:
                    entries[name] = self.one("", "", " {}", " { driver: local }", " { name: real_%s }" % name.lower(), " { external: true }",
                                             " { labels: { a: b } }")
            if entries:
                lines.append(section + ":")
                lines += ["  %s:%s" % entry for entry in sorted(entries.items())]
        return "\n".join(lines) + "\n"


def difference(left, right, path=""):
    """What differs between two values, as (path, of Compose, of Berth)."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for key in sorted(set(left) | set(right)):
            if key not in left:
                found.append((path + "/" + key, "-", right[key]))
            elif key not in right:
                found.append((path + "/" + key, left[key], "-"))
            else:
                found += difference(left[key], right[key], path + "/" + key)
        return found
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [found for index, pair in enumerate(zip(left, right)) for found in difference(*pair, "%s[%d]" % (path, index))]
    return [] if left == right and isinstance(left, bool) == isinstance(right, bool) else [(path, left, right)]


def main():
    berth, compose = sys.argv[1], sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    directory = sys.argv[5] if len(sys.argv) > 5 else tempfile.mkdtemp()
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "HOST": "h.example"}
    taken, valid, same, reasons, wrong = 0, 0, 0, {}, 0
    for seed in range(first, first + count):
        writer = Writer(seed)
        folder = os.path.join(directory, str(seed))
        os.makedirs(folder, exist_ok=True)
        text = writer.text()
        for name, content in list(writer.files.items()) + [("compose.yaml", text)]:
            with open(os.path.join(folder, name), "w") as file:
                file.write(content)
        if seed % 5 == 0:
            with open(os.path.join(folder, ".env"), "w") as file:
                file.write("TAG=3\nPW='a$b'\nPORT=9001\n")
        run = lambda *words: subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        theirs = run(compose, "config", "--format", "json")
        if theirs.returncode != 0:
            print("%d: Compose refuses it: %s" % (seed, theirs.stderr.strip().splitlines()[-1][:160]))
            continue
        taken += 1
        ours = run(berth, "config", "--json")
        if ours.returncode != 0:
            error = json.loads(ours.stdout) if ours.stdout.startswith("{") else {"problems": [], "error": ours.stderr}
            for problem in [p for p in error.get("problems") or [] if p["severity"] == "error"] or [{"message": error["error"]}]:
                reasons.setdefault(problem["message"][:110], []).append(seed)
            continue
        valid += 1
        found = difference(json.loads(theirs.stdout), json.loads(ours.stdout))
        if not found:
            same += 1
            continue
        wrong += 1
        for path, left, right in found[:6]:
            print("%d: %s: Compose %s, Berth %s" % (seed, path, json.dumps(left)[:120], json.dumps(right)[:120]))
    print("%d files, Compose takes %d, Berth takes %d of these (%.1f %%), %d come to the same" % (count, taken, valid, 100 * valid / max(1, taken), same))
    for message, seeds in sorted(reasons.items(), key=lambda entry: -len(entry[1])):
        print("refused %d times: %s (such as %d)" % (len(seeds), message, seeds[0]))
    return 1 if wrong or valid < 0.9 * taken else 0


if __name__ == "__main__":
    sys.exit(main())
