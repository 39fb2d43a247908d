#!/opt/rapidjws/bin/python -IS
"""Ask a listener for a path, and end with 0 where it answers with 200: probes of pods without a port.

``rapidjws-probe /run/rapidjws/verify.sock /readyz`` or ``rapidjws-probe 127.0.0.1:8088 /healthz``. It imports
the standard library only, to cost a node little every few seconds.
"""

import socket
import sys

TIMEOUT_S = 2.0


def main(words: list[str]) -> int:
    """Return the exit status: 0 good, 1 another answer or none, 2 wrong words."""
    if len(words) != 2 or not words[1].startswith("/"):
        print("usage: rapidjws-probe SOCKET-OR-HOST:PORT /PATH", file=sys.stderr)
        return 2
    address, path = words
    try:
        if address.startswith("/"):
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            link.settimeout(TIMEOUT_S)
            link.connect(address)
        else:
            host, _, port = address.rpartition(":")
            link = socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S)
        with link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode("ascii"))
            line = b""
            while b"\n" not in line and len(line) < 1024:
                piece = link.recv(1024)
                if not piece:
                    break
                line += piece
    except (OSError, ValueError) as fault:
        print(f"{address}: {fault}", file=sys.stderr)
        return 1
    status = line.split(b"\n", 1)[0].split(b" ")[1:2]
    if status == [b"200"]:
        return 0
    print(f"{address}{path}: {line[:60]!r}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
