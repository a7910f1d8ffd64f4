"""redis-py's API of users against the server at HOST PORT with protocol 2 or 3; run by tests/clients.rs."""

import sys

import redis

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
options = dict(host=host, port=port, protocol=protocol, decode_responses=True)
r = redis.Redis(**options)


def refused(call, error, text):
    try:
        call()
    except error as why:
        assert text in str(why), why
    else:
        raise AssertionError("an error was expected")


assert r.acl_whoami() == "default"
assert {"read", "write", "admin"} <= set(r.acl_cat())
assert "get" in r.acl_cat("read") and "set" not in r.acl_cat("read")
assert len(r.acl_genpass()) == 64 and len(r.acl_genpass(128)) == 32
assert r.acl_getuser("me") is None
assert r.acl_users() == ["default"]
assert any("SETUSER" in line for line in r.acl_help())

assert r.acl_setuser(
    "me",
    enabled=True,
    reset=True,
    passwords=["+secret", "+other"],
    categories=["+@read", "+@hash", "-@dangerous"],
    commands=["+set", "+config|get", "+acl|whoami", "+client|setinfo", "-hkeys"],
    keys=["cache:*", "objects:*"],
    channels=["news:*"],
    selectors=[("+mset", "%W~log:*")],
)
user = r.acl_getuser("me")
assert user["enabled"] and "on" in user["flags"] and len(user["passwords"]) == 2
assert set(user["categories"]) == {"-@all", "+@read", "+@hash", "-@dangerous"}, user
assert set(user["commands"]) == {"+set", "+config|get", "+acl|whoami", "+client|setinfo", "-hkeys"}, user
if protocol == 2:
    assert user["keys"] == ["~cache:*", "~objects:*"] and user["channels"] == ["&news:*"], user
    assert user["selectors"] == [["commands", "-@all +mset", "keys", "%W~log:*", "channels", ""]], user
else:
    assert user["selectors"] == [{"commands": "-@all +mset", "keys": "%W~log:*", "channels": ""}], user
assert r.acl_list()[1].startswith("user me on sanitize-payload #")

me = redis.Redis(username="me", password="secret", **options)
assert me.acl_whoami() == "me" and me.set("cache:1", "x") and me.get("cache:1") == "x"
assert me.mset({"log:1": "x"})
refused(lambda: me.mset({"cache:1": "x"}), redis.exceptions.NoPermissionError, "access a key")
refused(lambda: me.get("other"), redis.exceptions.NoPermissionError, "access a key")
refused(lambda: me.keys("*"), redis.exceptions.NoPermissionError, "'keys' command")
stranger = redis.Redis(username="me", password="no", **options)
refused(stranger.ping, redis.AuthenticationError, "invalid username-password")

log = r.acl_log()
assert len(log) == 4, log
assert [entry["reason"] for entry in log] == ["auth", "command", "key", "key"]
assert log[1]["object"] == "keys" and log[1]["username"] == "me" and log[1]["count"] == 1
assert len(r.acl_log(count=1)) == 1 and r.acl_log_reset() and r.acl_log() == []

assert r.acl_dryrun("me", "get", "cache:1") == "OK"
assert "no permissions" in r.acl_dryrun("me", "get", "other")
assert r.acl_save() and r.acl_load()

# Everything is there after a restart.
before = r.acl_list()
print("restart", flush=True)
assert sys.stdin.readline() == "restarted\n"
assert r.acl_list() == before
assert redis.Redis(username="me", password="other", **options).get("cache:1") == "x"
assert r.acl_deluser("me", "nobody") == 1 and r.acl_users() == ["default"]
