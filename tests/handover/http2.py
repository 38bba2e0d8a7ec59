"""A client of HTTP/2 that follows RFC 9113 §6.8: after GOAWAY it opens no stream on that connection, waits for those
that the server has taken, and sends the others again on a new one. It speaks frames itself, so that what a server
owes is counted stream by stream; h2load, curl and the libraries hide it or give up."""

import socket
import struct
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
STATUS_200 = 0x88  # the eighth field of the static table of RFC 7541
LARGEST_WINDOW = 2**31 - 1
PATIENCE = 10


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def fields(authority, path):
    """`:method: GET`, `:scheme: http`, and two literals that are not indexed (RFC 7541 §6)."""
    literal = lambda name, value: bytes([name, len(value)]) + value.encode()
    return b"\x82\x86" + literal(0x01, authority) + literal(0x04, path)


class Lost(Exception):
    """An answer that the server owed did not come."""


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, PATIENCE)
        self.bytes, self.streams, self.next, self.last = b"", {}, 1, None
        self.unacknowledged, self.ended = 0, False
        largest = struct.pack(">HI", 4, LARGEST_WINDOW)
        more = struct.pack(">I", LARGEST_WINDOW - 65535)
        self.send(PREFACE + frame(SETTINGS, payload=largest) + frame(WINDOW_UPDATE, payload=more))

    def send(self, frames):
        try:
            self.socket.sendall(frames)
        except OSError:
            pass  # What the server still owes is seen by reading.

    def open(self, block):
        self.send(frame(HEADERS, END_STREAM | END_HEADERS, self.next, block))
        self.streams[self.next] = 0
        self.next += 2

    def frames(self):
        """Waits for more, and gives the whole frames of it."""
        try:
            read = self.socket.recv(1 << 18)
        except OSError as error:
            raise Lost(f"{error} with {len(self.owed())} streams open") from None
        self.ended = not read
        if self.ended and (self.owed() or self.last is None):
            raise Lost(f"closed with {len(self.owed())} streams open, the last one {self.last}")
        self.bytes += read
        while len(self.bytes) >= 9:
            end = 9 + int.from_bytes(self.bytes[:3], "big")
            if len(self.bytes) < end:
                return
            kind, flags, stream = struct.unpack(">BBI", self.bytes[3:9])
            payload, self.bytes = self.bytes[9:end], self.bytes[end:]
            yield kind, flags, stream, payload

    def owed(self):
        return [stream for stream in self.streams if self.last is None or stream <= self.last]


class Http2(threading.Thread):
    """So many streams at once on one connection after the other, for so long."""

    def __init__(self, address, path, length, streams, seconds):
        super().__init__(daemon=True)
        self.address, self.length, self.most = address, length, streams
        self.block = fields("%s:%d" % address, path)
        self.end = time.monotonic() + seconds
        self.good, self.again, self.connections, self.troubles = 0, 0, 0, []
        self.start()

    def run(self):
        while time.monotonic() < self.end:
            try:
                connection = Connection(self.address)
                self.connections += 1
                self.use(connection)
                connection.socket.close()
            except (Lost, OSError) as error:
                self.troubles.append(str(error))

    def use(self, connection):
        while not connection.ended:
            is_over = time.monotonic() > self.end
            while not is_over and connection.last is None and len(connection.streams) < self.most:
                connection.open(self.block)
            if is_over and not connection.owed():
                break
            for kind, flags, stream, payload in connection.frames():
                self.take(connection, kind, flags, stream, payload)
        self.again += len(connection.streams)

    def take(self, connection, kind, flags, stream, payload):
        if kind == GOAWAY:
            connection.last, code = struct.unpack(">II", payload[:8])
            if code:
                raise Lost(f"GOAWAY with {code}")
        elif kind == PING and not flags & ACK:
            connection.send(frame(PING, ACK, payload=payload))
        elif kind == SETTINGS and not flags & ACK:
            connection.send(frame(SETTINGS, ACK))
        elif kind == RST_STREAM:
            raise Lost(f"stream {stream} was reset: {payload.hex()}")
        elif kind == HEADERS and payload[0] != STATUS_200:
            raise Lost(f"stream {stream} is no 200: {payload[:20].hex()}")
        elif kind == DATA:
            connection.streams[stream] += len(payload)
            connection.unacknowledged += len(payload)
            if connection.unacknowledged > 1 << 20:
                connection.send(frame(WINDOW_UPDATE, payload=struct.pack(">I", connection.unacknowledged)))
                connection.unacknowledged = 0
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            length = connection.streams.pop(stream)
            if length != self.length:
                raise Lost(f"stream {stream} ended after {length} bytes")
            self.good += 1
