"""redis-py through TLS against the server at HOST PORT, with CA, CERT and KEY files; run by tests/tls.rs."""

import sys

import redis

host, port, ca, cert, key, stranger_ca, stranger_cert, stranger_key = sys.argv[1:]
options = dict(host=host, port=int(port), ssl=True, ssl_cert_reqs="required", ssl_check_hostname=True)
r = redis.Redis(ssl_ca_certs=ca, ssl_certfile=cert, ssl_keyfile=key, **options)

assert r.ping()
assert r.set("a", 1) and r.get("a") == b"1"
big = bytes(range(256)) * (8 * 1024 * 1024 // 256)
assert r.set("big", big) and r.get("big") == big

pipe = r.pipeline(transaction=False)
for number in range(10_000):
    pipe.set(f"key:{number}", number)
assert pipe.execute() == [True] * 10_000
for number in range(10_000):
    pipe.get(f"key:{number}")
assert pipe.execute() == [b"%d" % number for number in range(10_000)]

assert r.config_get("tls-auth-clients") == {"tls-auth-clients": "yes"}

for what, wrong in {
    "a server that is not trusted": dict(ssl_ca_certs=stranger_ca, ssl_certfile=cert, ssl_keyfile=key),
    "no certificate": dict(ssl_ca_certs=ca),
    "another authority's certificate": dict(
        ssl_ca_certs=ca, ssl_certfile=stranger_cert, ssl_keyfile=stranger_key
    ),
}.items():
    try:
        redis.Redis(**wrong, **options).ping()
    except redis.ConnectionError:
        pass
    else:
        raise AssertionError(what)

# Without TLS the port is of no use.
try:
    redis.Redis(host=host, port=int(port), socket_timeout=20).ping()
except redis.ConnectionError:
    pass
else:
    raise AssertionError("no TLS")
assert r.ping()
