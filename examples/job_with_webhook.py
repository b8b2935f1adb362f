"""A durable job that calls back: checks that the call is signed by the server, as Standard Webhooks says.

The server must be allowed to call this machine: antiphon serve --webhook-private
"""

import base64
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook

from antiphon import Client

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # Raises if the signature is wrong or the call is older than five minutes.
        Webhook(SECRET).verify(body, {name.lower(): value for name, value in self.headers.items()})
        print("called back:", json.loads(body)["type"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The server's own lines say nothing here."""


with HTTPServer(("127.0.0.1", 0), Receiver) as receiver, Client() as client:
    receiver.timeout = 30
    url = f"http://127.0.0.1:{receiver.server_port}/done"
    job = client.submit("Call me when this is spoken.", webhook={"url": url, "secret": SECRET})
    receiver.handle_request()
    print(job.id, client.wait(job).status)
