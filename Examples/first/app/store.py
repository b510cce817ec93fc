"""A key-value store: one line in, one line out, over a Unix socket. GET key | SET key value | INC key | ALL"""
import os
import socketserver
import sqlite3
import sys

path, address = sys.argv[1:3]
database = sqlite3.connect(path, isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY, value TEXT NOT NULL)")


def answer(words):
    match words:
        case ["GET", key]:
            row = database.execute("SELECT value FROM pairs WHERE key = ?", [key]).fetchone()
            return row[0] if row else "-"
        case ["SET", key, value]:
            database.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", [key, value])
            return "ok"
        case ["INC", key]:
            database.execute("INSERT INTO pairs VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = value + 1", [key])
            return answer(["GET", key])
        case ["ALL"]:
            return " ".join(f"{key}={value}" for key, value in database.execute("SELECT key, value FROM pairs ORDER BY key"))
    return "what?"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write((answer(line.decode().split()) + "\n").encode())


if os.path.exists(address):
    os.unlink(address)
print("store: ready at", address, flush=True)
socketserver.UnixStreamServer(address, Handler).serve_forever()
