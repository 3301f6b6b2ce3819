"""Answers ICMPv4 echo on a TUN device, the textbook loop.   tun-echo.py NAME"""

import fcntl
import os
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", sys.argv[1].encode(), IFF_TUN | IFF_NO_PI))
while True:
    packet = bytearray(os.read(tun, 65536))
    icmp = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != 1 or packet[icmp] != 8:
        continue
    packet[12:16], packet[16:20] = packet[16:20], packet[12:16]
    packet[icmp] = 0
    checksum = (packet[icmp + 2] << 8 | packet[icmp + 3]) + 0x0800
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    packet[icmp + 2], packet[icmp + 3] = checksum >> 8 & 255, checksum & 255
    os.write(tun, packet)
