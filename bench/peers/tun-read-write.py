"""Reads from, or writes to, a TUN device, as baseline/tun-read-write.c does.

tun-read-write.py read NAME SECONDS
tun-read-write.py write NAME SECONDS PACKET     PACKET in hexadecimal
"""

import fcntl
import json
import os
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
PACKETS_PER_LOOK = 64

way, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
packet = bytes.fromhex(sys.argv[4]) if way == "write" else b""
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))


def step():
    if way == "read":
        os.read(tun, 65536)
    else:
        os.write(tun, packet)


step()
begin, cpu, packets = time.monotonic(), time.process_time(), 0
while time.monotonic() - begin < seconds:
    for _ in range(PACKETS_PER_LOOK):
        step()
    packets += PACKETS_PER_LOOK
print(json.dumps({"packets": packets, "seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu}))
