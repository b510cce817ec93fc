import os
import sys

from client import ask

print("visit", ask(sys.argv[1], "INC visits"), "due at", os.environ.get("BERTH_DUE_AT", "no time: run by hand"))
