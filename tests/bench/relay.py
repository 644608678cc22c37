"""Forwards TCP connections and delays what they carry, as a distant host would.

Usage: relay.py PORT ADDRESS ADDRESS_PORT ROUND_TRIP_MILLISECONDS
"""

import asyncio
import sys

PORT, ADDRESS, ADDRESS_PORT, ROUND_TRIP = sys.argv[1:]
DELAY = float(ROUND_TRIP) / 2000


async def serve(reader, writer):
    far_reader, far_writer = await asyncio.open_connection(ADDRESS, int(ADDRESS_PORT))
    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


async def carry(reader, writer):
    """Everything goes out DELAY after it came in; nothing waits for what is before it."""
    clock = asyncio.get_running_loop()
    queue = asyncio.Queue()
    sending = asyncio.create_task(send(queue, writer, clock))
    data = b"first"
    while data:
        try:
            data = await reader.read(65536)
        except ConnectionError:
            data = b""
        queue.put_nowait((clock.time() + DELAY, data))
    await sending


async def send(queue, writer, clock):
    while True:
        due, data = await queue.get()
        await asyncio.sleep(max(0, due - clock.time()))
        try:
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()
        except ConnectionError:
            return


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(PORT))
    async with server:
        await server.serve_forever()


asyncio.run(main())
