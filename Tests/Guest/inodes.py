"""Takes each inode that is free on the file system of a folder: inodes.py FOLDER"""
import itertools
import sys
import time

for number in itertools.count(time.time_ns()):
    try:
        open(f"{sys.argv[1]}/{number}", "x").close()
    except OSError:
        break
