"""Links that take long: a relay before each issuer, at the address that all files list."""

import asyncio
import threading


class SlowLinks:
    """
    Every frame to and from an issuer takes `delay` seconds one way, those under way included no
    longer than they were sent with. Made before the cluster starts; the issuers listen elsewhere.
    """

    def __init__(self, cluster, real_port=7600):
        self.delay = 0.0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        servers = []
        for number, issuer in enumerate(cluster.issuers):
            listed, real = 7400 + number, real_port + number
            cluster.write_conf(issuer, lambda text, listed=listed, real=real: text.replace(
                f'listen = "{cluster.address}:{listed}"', f'listen = "{cluster.address}:{real}"'))
            servers.append((listed, real))

        async def serve():
            for listed, real in servers:
                await asyncio.start_server(
                    lambda reader, writer, real=real: self._relay(cluster.address, real, reader,
                                                                  writer),
                    cluster.address, listed)
            ready.set()
            await asyncio.Event().wait()
        threading.Thread(target=self._run, args=(serve(),), daemon=True).start()
        if not ready.wait(10):
            raise AssertionError("the relays did not start")

    def _run(self, serve):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(serve)

    async def _relay(self, address, port, reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass_on(reader, there_writer),
                             self._pass_on(there_reader, writer))

    async def _pass_on(self, reader, writer):
        """In order: nothing overtakes what was sent before."""
        queue = asyncio.Queue()

        async def deliver():
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
        task = asyncio.ensure_future(deliver())
        try:
            while True:
                data = await reader.read(65536)
                queue.put_nowait((self._loop.time() + self.delay, data))
                if not data:
                    break
            await task
        except OSError:
            task.cancel()
            writer.close()
