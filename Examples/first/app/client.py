import socket


def ask(address, line):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(address)
        connection.sendall((line + "\n").encode())
        return connection.makefile().readline().strip()
