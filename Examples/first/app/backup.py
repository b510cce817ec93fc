"""Copies the store, and fails now and then."""
import os
import random
import sqlite3
import sys

source, target = sys.argv[1:3]
if os.environ["BERTH_ATTEMPT"] == "1" and random.random() < 0.5:
    sys.exit("backup: the disk is having a bad day")
path = os.path.join(target, "store-" + os.environ["BERTH_RUN_ID"] + ".db")
with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as store, sqlite3.connect(path) as copy:
    store.backup(copy)
for old in sorted(os.listdir(target))[:-5]:
    os.unlink(os.path.join(target, old))
print("backup:", os.path.basename(path), os.path.getsize(path), "bytes,", len(os.listdir(target)), "kept")
