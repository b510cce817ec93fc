"""Inside of the guest: carries out what comes on the second serial port, a JSON object a line, and answers so."""
import json
import os
import subprocess
import termios
import tty

fd = os.open("/dev/ttyS1", os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd, termios.TCSANOW)
port = os.fdopen(fd, "r+b", buffering=0)
port.write(b'{"hello": true}\n')
rest = b""
while True:
    got = port.read(65536)
    rest += got or b""
    while b"\n" in rest:
        line, rest = rest.split(b"\n", 1)
        try:
            request = json.loads(line)
        except ValueError:
            continue
        try:
            done = subprocess.run(["/bin/sh", "-c", request["command"]], stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=request.get("timeout", 60))
            answer = {"code": done.returncode, "output": done.stdout.decode(errors="replace"), "errors": done.stderr.decode(errors="replace")}
        except subprocess.TimeoutExpired:
            answer = {"code": -1, "output": "", "errors": "it took too long"}
        answer["id"] = request["id"]
        port.write(json.dumps(answer).encode() + b"\n")
