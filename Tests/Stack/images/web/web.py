"""The web app: counts visits in Redis, keeps orders in PostgreSQL, and tells what it sees of its sandbox (/facts)."""

import http.server
import json
import os
import socket
import stat

import psycopg2
import redis

PASSWORD = open(os.environ["DB_PASSWORD_FILE"]).read().strip()


def database():
    return psycopg2.connect(host=os.environ["DB_HOST"], dbname=os.environ["DB_NAME"], user="postgres", password=PASSWORD, connect_timeout=2)


def cache():
    return redis.Redis(host=os.environ["CACHE_HOST"], socket_connect_timeout=2, socket_timeout=2)


def orders():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("create table if not exists orders (id serial primary key, word text, made timestamptz default now())")
        cursor.execute("select count(*) from orders")
        return cursor.fetchone()[0]


def found(name):
    try:
        return sorted({entry[4][0] for entry in socket.getaddrinfo(name, None)})
    except OSError as error:
        return "none: " + str(error)


def text(path):
    try:
        return open(path).read()
    except OSError as error:
        return "none: " + os.strerror(error.errno)


def reached(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError:
        return False


def kind(path):
    try:
        info = os.stat(path)
    except OSError as error:
        return "none: " + os.strerror(error.errno)
    return f"{stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid}"


def facts():
    status = dict(line.split(":", 1) for line in text("/proc/self/status").splitlines())
    mounts = {line.split()[4]: line.split(" - ")[1].split()[0] + " " + line.split()[5] for line in text("/proc/self/mountinfo").splitlines()}
    return {
        "environment": dict(os.environ),
        "arguments": text("/proc/1/cmdline").split("\0"),
        "pid": os.getpid(), "directory": os.getcwd(), "umask": status["Umask"].strip(),
        "user": [os.getuid(), os.getgid(), os.getgroups()],
        "hostname": socket.gethostname(),
        "hosts": text("/etc/hosts"), "resolv.conf": text("/etc/resolv.conf"),
        "names": {name: found(name) for name in ["db", "cache", "web", "proxy", "worker", "store", "shop-db", "localhost", "host.docker.internal", "nobody"]},
        "reached": {name: reached(*name.split(":")) for name in ["db:5432", "cache:6379", "proxy:80", "worker:80"]},
        "capabilities": {key: status[key].strip() for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"]},
        "mounts": mounts,
        "devices": sorted(os.listdir("/dev")),
        "files": {path: kind(path) for path in ["/", "/tmp", "/dev/shm", "/run", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/srv", "/proc/sys/kernel",
                                                os.environ["DB_PASSWORD_FILE"], "/etc/shop.ini", "/uploads", "/scratch"]},
        "config": text("/etc/shop.ini"),
        "limits": text("/proc/self/limits"),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "written": {path: written(path) for path in ["/uploads", "/scratch", "/srv", "/proc/sys/kernel/hostname", "/sys"]},
    }


def written(path):
    try:
        with open(os.path.join(path, "probe") if os.path.isdir(path) else path, "w") as file:
            file.write("x")
        return True
    except OSError as error:
        return os.strerror(error.errno)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code, value):
        body = (json.dumps(value) + "\n").encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        try:
            if self.path == "/facts":
                self.answer(200, facts())
            elif self.path == "/crash":
                os._exit(3)
            elif self.path == "/health":
                orders()
                cache().ping()
                self.answer(200, {"healthy": True})
            elif self.path.startswith("/order/"):
                cache().rpush("orders", self.path.removeprefix("/order/"))
                self.answer(202, {"taken": True})
            else:
                self.answer(200, {"visits": cache().incr("visits"), "orders": orders(), "client": self.headers.get("X-Real-IP"),
                                  "peer": self.client_address[0], "host": self.headers.get("Host")})
        except Exception as error:
            self.answer(503, {"error": str(error)})

    def log_message(self, form, *values):
        print("web:", form % values)


http.server.ThreadingHTTPServer(("", 8000), Page).serve_forever()
