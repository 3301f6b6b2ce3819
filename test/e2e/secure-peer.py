"""A WebSocket program on the websockets library: asks for an echo as a client, or answers them as a server.

    secure-peer.py ask URL SOURCE TARGET [CERTIFICATE]     sends an ICMP echo request, prints who has answered
    secure-peer.py answer PORT [CERTIFICATE]               answers ICMP echo requests; prints "listening"
"""

import asyncio
import ipaddress
import ssl
import struct
import sys

import websockets


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def packet(source, target, icmp_type, rest):
    icmp = bytearray(struct.pack("!BBH", icmp_type, 0, 0) + rest)
    icmp[2:4] = struct.pack("!H", checksum(bytes(icmp)))
    header = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 1, 0, 64, 1, 0) + source + target)
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return bytes(header + icmp)


def client_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate)
    return context


async def ask(url, source, target, certificate=None):
    addresses = [ipaddress.ip_address(text).packed for text in (source, target)]
    secure = {"ssl": client_context(certificate)} if certificate else {}
    async with websockets.connect(url, **secure) as socket:
        await socket.ping()
        await socket.send("text is no packet")
        await socket.send(packet(*addresses, 8, b"\x00\x01\x00\x01" + b"vnic" * 8))
        while True:
            answer = await asyncio.wait_for(socket.recv(), 20)
            if len(answer) > 20 and answer[9] == 1 and answer[20] == 0:
                print("answered by", ipaddress.ip_address(answer[12:16]), len(answer))
                return


async def answer(port, certificate=None):
    async def serve(socket, *_):
        async for message in socket:
            if message[0] == 0x45 and message[9] == 1 and message[20] == 8:
                await socket.send(packet(message[16:20], message[12:16], 0, message[24:]))

    secure = {}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        secure = {"ssl": context}
    async with websockets.serve(serve, "127.0.0.1", int(port), **secure):
        print("listening", flush=True)
        await asyncio.Future()


asyncio.run({"ask": ask, "answer": answer}[sys.argv[1]](*sys.argv[2:]))
