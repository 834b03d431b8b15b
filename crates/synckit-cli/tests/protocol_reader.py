"""A replica written from docs/protocol.md alone: `protocol_reader.py URL AGGREGATE`.

It authors an event, pulls one that has not seen it, and settles the conflict by last-write-wins. Then it says `ready`, waits
on a subscription for the resolution that another replica makes of the same conflict, and checks that it is the same event.
"""

import hashlib
import json
import secrets
import sys
import time
import urllib.request
import zlib

BASE, AGGREGATE = sys.argv[1], sys.argv[2]


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def open_call(path, body):
    raw = text(body).encode()
    headers = {"Content-Type": "application/json", "Synckit-Digest": f"{zlib.crc32(raw):08x}"}
    return urllib.request.urlopen(urllib.request.Request(f"{BASE}/v1/{path}", raw, headers), timeout=30)


def call(path, **body):
    with open_call(path, {"caller": CALLER, **body}) as answer:
        assert int(answer.headers["Synckit-Digest"], 16) == zlib.crc32(raw := answer.read())
        return json.loads(raw)


def bits(written):
    millis, counter = written.split("-")
    return int(millis) * 65536 + int(counter)


def written(time_bits):
    return f"{time_bits >> 16}-{time_bits & 0xFFFF}"


def leb128(number):
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def join(clocks):
    """Returns the highest counter of each node, sorted by the bytes of the node."""
    nodes = sorted({node for clock in clocks for node in clock}, key=str.encode)
    return {node: max(clock.get(node, 0) for clock in clocks) for node in nodes}


def has_seen(event, other):
    """Returns whether a plain event has seen another plain event."""
    return event["id"] != other["id"] and event["clock"].get(other["dot"]["node"], 0) >= other["dot"]["counter"]


def canonical(event):
    dot, order = event["dot"], (bits(event["time"]), sum(event["clock"].values()))
    return *order, dot["node"].encode(), dot["counter"], event["id"].encode()


def heads_of(events):
    plain = [event for event in events if event["aggregate_id"] == AGGREGATE and "dot" in event]
    return [event for event in plain if not any(has_seen(other, event) for other in plain)]


def uuid(raw, version):
    raw = bytearray(raw)
    raw[6], raw[8] = raw[6] & 0x0F | version << 4, raw[8] & 0x3F | 0x80
    digits = raw.hex()
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


def author(log, data):
    """Returns the next event of this replica, on top of what its log holds."""
    heads, now = heads_of(log), time.time_ns() // 1_000_000
    counter = 1 + max([event["dot"]["counter"] for event in log if event.get("dot", {}).get("node") == NODE], default=0)
    return {
        "id": uuid(now.to_bytes(6, "big") + secrets.token_bytes(10), 7),
        "type": "NoteEdited",
        "aggregate_id": AGGREGATE,
        "data": data,
        "dot": {"node": NODE, "counter": counter},
        "clock": {**join([event["clock"] for event in heads]), NODE: counter},
        "time": written(max([now * 65536] + [bits(event["time"]) + 1 for event in heads])),
    }


def resolution(heads):
    """Settles plain heads by last-write-wins: the latest in canonical order stands."""
    kept = max(heads, key=canonical)["dot"]
    clocks = [event["clock"] for event in heads]
    base = {node: min(clock.get(node, 0) for clock in clocks) for node in join(clocks)}
    base = {node: counter for node, counter in base.items() if counter > 0}
    sides = []
    for event in sorted(heads, key=lambda event: event["dot"]["node"].encode()):
        own, seen = event["dot"]["node"], join([event["clock"]]).items()
        above = {node: counter for node, counter in seen if counter > base.get(node, 0) and node != own}
        sides.append([own, event["dot"]["counter"]] + ([above] if above else []))
    data = {"base": base} if base else {}
    data |= {"sides": sides, "decision": {"keep": [kept["node"], kept["counter"]]}, "by": "last-write-wins"}
    clock, when = join(clocks), max(bits(event["time"]) for event in heads) + 1
    binary = leb128(len(clock))
    for node, counter in clock.items():
        binary += leb128(len(node.encode())) + node.encode() + leb128(counter)
    parts = [b"synckit resolution 2", AGGREGATE.encode(), when.to_bytes(8, "big"), binary, text(data).encode()]
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
    event = {"id": uuid(bytes(2) + digest[:14], 8), "type": "synckit.resolution", "aggregate_id": AGGREGATE}
    return event | {"data": data, "clock": clock, "time": written(when)}


def subscribe(cursor):
    """Iterates over the pages of a subscription, which stand between two bytes 0x1E."""
    with open_call("subscribe", {"caller": CALLER, "cursor": cursor}) as stream:
        record = b""
        while byte := stream.read(1):
            record = b"" if byte == b"\x1e" and not record.strip() else record + byte
            if byte == b"\x1e" and record:
                assert int((page := json.loads(record[:-1]))["crc32"], 16) == zlib.crc32(record.rpartition(b',"crc32":')[0])
                yield page
                record = b""


NODE = f"python-{secrets.token_hex(4)}"
CALLER = {"node": NODE, "store": secrets.token_hex(16)}
hello = call("hello", protocol=1, filter="all")
assert hello["protocol"] == 1 and hello["counter"] == 0 and "counter_event" not in hello, hello
log = [author([], {"text": "from Python"})]
answer = call("push", filter="all", events=log)
assert (answer["accepted"], answer["refused"]) == (1, []), answer
log += (page := call("pull"))["events"]
while page["more"]:
    log += (page := call("pull", cursor=page["next"]))["events"]
assert len(heads := heads_of(log)) == 2, heads
made = resolution(heads)
print("ready", made["id"], flush=True)
for event in (event for page in subscribe(page["next"]) for event in page.get("events", [])):
    if event["type"] == "synckit.resolution":
        assert event == made, f"\n{event}\n{made}"
        break
answer = call("push", filter="all", events=[made])
assert (answer["duplicates"], answer["refused"]) == (1, []), answer
named = call("pull", scope={"named": [made["id"]]})
assert [event["id"] for event in named["events"]] == [made["id"]] and not named["more"], named
print("agreed", made["id"], flush=True)
