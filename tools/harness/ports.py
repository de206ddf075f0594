"""Free ports of this machine's loopback."""

import contextlib
import socket
from typing import List

HOST = "127.0.0.1"


def free_ports(count: int) -> List[int]:
    """UDP ports that nobody has just now, each another one."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            s.bind((HOST, 0))
            ports.append(s.getsockname()[1])
        return ports


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
