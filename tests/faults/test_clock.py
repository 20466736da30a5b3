"""A wall clock that is set back by an hour stops nobody: a service goes on looking for Kafka. Needs ORDERS and FAULTS_PRELOAD."""

import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from suite import free_ports  # noqa: E402


class ClockSetBack(unittest.TestCase):
    def test_it_goes_on_and_ends(self):
        ports, claim = free_ports()
        self.addCleanup(claim.close)
        with tempfile.TemporaryDirectory() as data, socket.create_server(("127.0.0.1", ports["KAFKA_PORT"])) as kafka:
            clock = pathlib.Path(data, "clock")
            clock.write_bytes(struct.pack("q", 0))
            environment = os.environ | {"LD_PRELOAD": os.environ["FAULTS_PRELOAD"], "CLOCK_FILE": str(clock), "DATA_DIR": data, "SLOT": "0",
                                        "PORT": str(ports["SERVICE_PORT"]), "LISTEN": "127.0.0.1",
                                        "KAFKA_BROKERS": f"localhost:{ports['KAFKA_PORT']}",
                                        "REGISTRY_URL": f"http://localhost:{ports['REGISTRY_PORT']}"}
            process = subprocess.Popen([os.environ["ORDERS"]], env=environment, stdout=subprocess.PIPE, text=True)
            try:
                self.hangs_up(kafka, 5)
                with open(clock, "r+b") as file:
                    file.write(struct.pack("q", -3600))
                self.hangs_up(kafka, 5)  # those that it was about to make when the clock was set, and more
                process.terminate()
                said = process.communicate(timeout=20)[0]
            finally:
                process.kill()
            self.assertEqual(process.returncode, 0, said)
            self.assertNotIn("did not stop in time", said)

    def hangs_up(self, kafka, times):
        """On so many connections that come one after the other."""
        kafka.settimeout(20)
        for _ in range(times):
            kafka.accept()[0].close()


if __name__ == "__main__":
    unittest.main()
