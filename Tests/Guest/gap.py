"""How long the control socket does not answer, in milliseconds, until the file of the second argument is there: `gap.py SOCKET FILE`."""
import os
import socket
import sys
import time

longest, last = 0.0, time.monotonic()
while not os.path.exists(sys.argv[2]):
    try:
        with socket.socket(socket.AF_UNIX) as port:
            port.settimeout(5)
            port.connect(sys.argv[1])
            port.sendall(b"GET /v1/version HTTP/1.1\r\nhost: berth\r\nconnection: close\r\n\r\n")
            if port.recv(4096).startswith(b"HTTP/1.1 200"):
                now = time.monotonic()
                longest, last = max(longest, now - last), now
    except OSError:
        pass
    time.sleep(0.02)
print(round(max(longest, time.monotonic() - last) * 1000))
