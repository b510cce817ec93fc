"""A page that shows what is in the store."""
import html
import http.server
import sys

from client import ask

host, port, store = sys.argv[1:4]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            text, code = ask(store, "ALL"), 200
        except OSError as error:
            text, code = f"the store does not answer: {error}", 503
        body = f"<!doctype html><title>first</title><h1>{html.escape(text)}</h1>\n".encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


print(f"web: ready at http://{host}:{port}/", flush=True)
http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
