"""range_server.py FOLDER PORT_FILE: serves a folder on the loopback, parts of files included ("Range: bytes=N-"; below /whole/ they are
ignored), and writes its port into a file. Each request is a line on standard error."""
import http.server
import os
import re
import sys

folder = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        whole = self.path.startswith("/whole/")
        path = folder + (self.path[6:] if whole else self.path)
        if not os.path.isfile(path):
            return self.send_error(404)
        content = open(path, "rb").read()
        wanted = None if whole else re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted else 0
        if wanted and begin >= len(content):
            return self.send_error(416)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin:])


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[2] + ".new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
