"""The worker: moves orders from Redis to PostgreSQL. It ends at a failure, and is started again."""

import os
import signal
import sys

import psycopg2
import redis

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
password = open(os.environ["DB_PASSWORD_FILE"]).read().strip()
connection = psycopg2.connect(host=os.environ["DB_HOST"], dbname=os.environ["DB_NAME"], user="postgres", password=password)
connection.autocommit = True
with connection.cursor() as cursor:
    cursor.execute("create table if not exists orders (id serial primary key, word text, made timestamptz default now())")
queue = redis.Redis(host=os.environ["CACHE_HOST"])
print("worker: ready", flush=True)
while True:
    found = queue.blpop("orders", timeout=1)
    if found:
        with connection.cursor() as cursor:
            cursor.execute("insert into orders (word) values (%s)", (found[1].decode(),))
        print("worker: order", found[1].decode(), flush=True)
