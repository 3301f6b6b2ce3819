"""A host of its own behind a serial line: SLIP as RFC 1055 has it, and answers to IPv4 echo requests."""

import os
import sys
import termios
import tty

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


def frames(line):
    packet, escaped = bytearray(), False
    while True:
        for byte in os.read(line, 1):
            if escaped:
                packet.append({ESC_END: END, ESC_ESC: ESC}.get(byte, byte))
                escaped = False
            elif byte == ESC:
                escaped = True
            elif byte != END:
                packet.append(byte)
            elif packet:
                yield packet
                packet = bytearray()


def checksum(data):
    total = sum(data[i] << 8 | data[i + 1] for i in range(0, len(data) - 1, 2))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def answer(packet):
    header = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != 1 or packet[header] != 8:
        return None
    packet[12:16], packet[16:20] = packet[16:20], packet[12:16]
    packet[header] = 0
    packet[header + 2 : header + 4] = b"\0\0"
    packet[header + 2 : header + 4] = checksum(packet[header:])
    return packet


line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(line, termios.TCSANOW)
print("ready", flush=True)
for packet in frames(line):
    reply = answer(packet)
    if reply:
        stuffed = b"".join({END: b"\xdb\xdc", ESC: b"\xdb\xdd"}.get(byte, bytes([byte])) for byte in reply)
        # No END before it, and two writes that cut the packet wherever it is.
        os.write(line, stuffed[:7])
        os.write(line, stuffed[7:] + bytes([END]))
