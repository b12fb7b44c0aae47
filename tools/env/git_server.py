# SPDX-License-Identifier: GPL-2.0
"""A server of git repositories over HTTP that asks for a name and a password."""

import base64
import contextlib
import http.server
import os
import subprocess
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what `git http-backend` writes."""

    def do_GET(self):  # pylint: disable=invalid-name
        if self.headers.get("Authorization") != self.server.authorization:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {**os.environ, "GIT_PROJECT_ROOT": self.server.root, "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path.replace("%20", " "), "QUERY_STRING": query,
               "REQUEST_METHOD": self.command, "REMOTE_USER": "test",
               "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        head, _, body = subprocess.run(["git", "-c", "safe.directory=*", "http-backend"], env=env,
                                       input=content, stdout=subprocess.PIPE,
                                       check=True).stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        """Prints nothing."""


@contextlib.contextmanager
def serve(root, user, password):
    """Serves the repositories in the directory `root`; its value is the URL of the server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        server.root, server.authorization = root, f"Basic {word}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
