"""A slow HTTP server of slugs, each another one."""
import http.server
import io
import random
import tarfile
import threading
import time

PIECES = 20


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class SlugServer:
    def __init__(self):
        self.slugs = {}  # path -> (bytes, seconds of the first fetch)
        slugs = self.slugs

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data, seconds = slugs[self.path]
                slugs[self.path] = data, seconds / 10
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                for i in range(PIECES):
                    self.wfile.write(data[i * len(data) // PIECES:(i + 1) * len(data) // PIECES])
                    time.sleep(seconds / PIECES)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def offer(self, seconds):
        """The address of a new slug that takes so long to fetch."""
        number = len(self.slugs)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            entry = tarfile.TarInfo("./app/data")
            data = random.Random(number).randbytes(40000)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        path = f"/slug-{number}.tgz"
        self.slugs[path] = packed.getvalue(), seconds
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
