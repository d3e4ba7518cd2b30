#!/usr/bin/env python3
"""Checks frames.txt against a second implementation of docs/PROTOCOL.md, written from that page alone.

    codec/vectors/check.py [FILE]

It takes Python 3.8 and nothing else, and shares no line with the Rust code: where the two do not agree about a
vector, one of them has misread the page. It prints what does not agree, and its exit code is 1 then.
"""

import json
import pathlib
import re
import sys

# The tables of sections 2 to 7: number, name, direction, fields. `*`: required. `said` stands for
# `text_size u32* | voice_size u32* | text | voice`; list(…) for a count u16 and so many items, items(…) for items
# to the end, each item behind its size u16.
TABLE = """
0x00 TEXT both | text text
0x01 VOICE both | body rest
0x02 VIDEO both | body rest
0x03 IMAGE both | body rest
0x04 FILE both | body rest
0x05 MEDIA both | media_kind u8* | media id32* | size u64 | mime str8 | name str16 | duration_ms u32 | width u32 | height u32
0x0F GONE to-client
0x10 REPLY_TEXT to-client | said | attachments items(MEDIA)
0x11 REPLY_VOICE to-client | said
0x12 REPLY_IMAGE to-client | said | image rest
0x13 ERROR to-client | said | code u16 | ref u64 | about u8 | retry_ms u32
0x20 HELLO to-server | version u8* | timezone str8* | user str8 | auth u8 | secret str16 | device str8 | inline_limit u32 | flags u8
0x21 WELCOME to-client | version u8* | user u64* | session u64* | at i64* | epoch u64 | heartbeat u16 | max_text u32 | max_media u64 | inline_limit u32 | home u64 | user_name str8 | token str8
0x22 PING both | bytes rest
0x23 PONG both | bytes rest
0x24 BYE both | code u16 | reason str16
0x30 TO to-server | nonce u64 | chat u64 | room str8 | user str8 | reply_to u64 | name str16
0x31 FROM to-client | chat u64* | seq u64* | at i64* | user u64* | nonce u64 | reply_to u64 | user_name str8 | name str16
0x32 STATUS to-client | nonce u64* | chat u64* | seq u64* | at i64* | duplicate u8
0x40 JOIN to-server | req u32* | room str8* | flags u8
0x41 LEAVE to-server | req u32* | chat u64
0x42 ROOMS to-server | req u32* | after str8 | limit u16
0x43 PARTICIPANTS to-server | req u32* | chat u64 | room str8 | after u64 | limit u16
0x44 CHATS to-server | req u32* | after u64 | limit u16
0x45 CREATE to-server | req u32* | title str8
0x46 INVITE to-server | req u32* | chat u64* | user str8*
0x47 REMOVE to-server | req u32* | chat u64* | user str8*
0x50 HISTORY to-server | req u32* | chat u64* | before u64 | after u64 | limit u16 | flags u8
0x51 SYNC to-server | req u32* | chat u64* | after u64
0x52 READ to-server | req u32* | chat u64* | seq u64*
0x53 SEARCH to-server | req u32* | chat u64* | query str16* | before u64 | limit u16 | before_chat u64 | before_at i64
0x54 DELETE to-server | req u32* | chat u64* | seq u64*
0x60 UPLOAD to-server | req u32* | media_kind u8* | size u64* | digest id32* | name str16
0x61 CHUNK both | transfer u32* | offset u64* | bytes rest
0x62 FETCH to-server | req u32* | media id32* | offset u64 | length u64
0x63 CANCEL to-server | req u32* | transfer u32*
0x70 TYPING both | chat u64* | on u8* | user u64 | user_name str8
0x71 PRESENCE both | presence u8* | user u64 | user_name str8 | last_seen i64
0x72 MEMBER to-client | chat u64* | change u8* | user u64 | user_name str8 | at i64
0x73 SEEN to-client | chat u64* | user u64* | seq u64*
0x74 MESSAGE_GONE to-client | chat u64* | seq u64*
0xC0 JOINED to-client | req u32* | chat u64 | last_seq u64 | room str8 | created u8 | new_member u8
0xC1 LEFT to-client | req u32* | chat u64 | room str8
0xC2 ROOM_LIST to-client | req u32* | more u8 | rooms list(chat u64, room str8, online u32, last_seq u64)
0xC3 PARTICIPANT_LIST to-client | req u32* | more u8 | participants list(user u64, user_name str8, presence u8, role u8)
0xC4 CHAT_LIST to-client | req u32* | more u8 | chats list(chat u64, chat_kind u8, title str8, last_seq u64, read_seq u64)
0xC5 CREATED to-client | req u32* | chat u64
0xC6 INVITED to-client | req u32* | user u64
0xC7 REMOVED to-client | req u32* | user u64
0xD0 HISTORY_PAGE to-client | req u32* | chat u64 | first_seq u64 | last_seq u64 | more u8 | count u16
0xD1 SYNCED to-client | req u32* | chat u64 | first_seq u64 | last_seq u64
0xD2 READ_UP_TO to-client | req u32* | chat u64 | seq u64
0xD3 SEARCH_PAGE to-client | req u32* | more u8 | count u16
0xD4 DELETED to-client | req u32* | chat u64 | seq u64
0xE0 UPLOAD_READY to-client | req u32* | offset u64
0xE1 STORED to-client | transfer u32* | media id32*
0xE2 FETCH_READY to-client | req u32* | size u64 | mime str8
0xE3 CANCELLED to-client | req u32*
0xE4 RECEIVED to-client | transfer u32* | offset u64*
"""

INTEGERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
CONTENT = range(0x00, 0x10)
BODIES = range(0x01, 0x05)
REPLIES = range(0x10, 0x13)
FAR = 16 * 1024 * 1024
MAX_TEXT, MAX_MEDIA = 65_536, 1 << 30
KIB, MIB = 1024, 1024 * 1024


class Malformed(Exception):
    """A rule, and the field that breaks it."""

    def __init__(self, rule, field="-", offset=0):
        super().__init__(rule, field, offset)
        self.rule, self.field, self.offset = rule, field, offset


def parse_table():
    frames, fields_of = {}, {}
    for line in TABLE.split("\n"):
        if not line:
            continue
        head, _, payload = line.partition(" |")
        kind, name, direction = head.split()
        fields = [field(part.strip()) for part in payload.split(" | ") if part.strip()]
        frames[int(kind, 16)] = (name, direction, fields)
        fields_of[name] = fields
    return frames, fields_of


def field(text):
    """`name type*` as (name, type, required, item's fields or their frame's name)."""
    if text == "said":
        return ("said", "said", True, None)
    name, kind = text.split(" ", 1)
    listed = re.fullmatch(r"(list|items)\((.*)\)", kind)
    if not listed:
        return (name, kind.rstrip("*"), kind.endswith("*"), None)
    inside = listed[2]
    item = [field(part) for part in inside.split(", ")] if " " in inside else inside
    return (name, listed[1], False, item)


FRAMES, FIELDS_OF = parse_table()


class Payload:
    """Bytes that are read from the front; `at` counts from the payload's beginning, inside of items too."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count, name, start, absent="ends_inside"):
        if len(self.data) < count:
            raise Malformed(absent if not self.data else "ends_inside", name, start)
        taken, self.data = self.data[:count], self.data[count:]
        self.at += count
        return taken


def read_fields(payload, fields):
    """Section 1.3: (name, value) of every field; what the payload leaves out is 0 or empty."""
    seen = []
    for name, kind, required, item in fields:
        if kind == "said":
            seen += read_said(payload)
        elif not payload.data and not required:
            seen.append((name, default(kind)))
        else:
            seen.append((name, read(payload, name, kind, item)))
    return seen


def read_said(payload):
    """Section 4."""
    sizes = []
    for name in ("text_size", "voice_size"):
        sizes.append(int.from_bytes(payload.take(4, name, payload.at, "missing"), "big"))
    start = payload.at
    text = utf8(payload.take(sizes[0], "text", start), "text", start)
    return [("text", text), ("voice", payload.take(sizes[1], "voice", payload.at))]


def read(payload, name, kind, item):
    start = payload.at
    if kind in INTEGERS:
        data = payload.take(INTEGERS[kind], name, start, "missing")
        return int.from_bytes(data, "big", signed=kind == "i64")
    if kind == "id32":
        return payload.take(32, name, start, "missing")
    if kind in ("str8", "str16"):
        size = int.from_bytes(payload.take(1 if kind == "str8" else 2, name, start, "missing"), "big")
        return utf8(payload.take(size, name, start), name, start)
    if kind in ("text", "rest"):
        data = payload.take(len(payload.data), name, start)
        return utf8(data, name, start) if kind == "text" else data
    return read_items(payload, name, kind, item)


def read_items(payload, name, kind, item):
    start = payload.at
    count = int.from_bytes(payload.take(2, name, start), "big") if kind == "list" else None
    items = []
    while len(items) < count if count is not None else payload.data:
        size = int.from_bytes(payload.take(2, name, start), "big")
        at = payload.at
        fields = FIELDS_OF[item] if isinstance(item, str) else item
        items.append(read_fields(Payload(payload.take(size, name, start), at), fields))
    return items


def utf8(data, name, start):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not_utf8", name, start) from None


def default(kind):
    if kind in INTEGERS:
        return 0
    return {"str8": "", "str16": "", "text": "", "rest": b"", "id32": bytes(32)}.get(kind, [])


def write_fields(seen, fields):
    """The payload with every one of these fields."""
    out, values = b"", iter(seen)
    for name, kind, _, item in fields:
        if kind == "said":
            text, voice = next(values)[1].encode(), next(values)[1]
            out += len(text).to_bytes(4, "big") + len(voice).to_bytes(4, "big") + text + voice
            continue
        got, value = next(values)
        assert got == name
        out += write(value, kind, item)
    return out


def write(value, kind, item):
    if kind in INTEGERS:
        return value.to_bytes(INTEGERS[kind], "big", signed=kind == "i64")
    if kind in ("str8", "str16"):
        data = value.encode()
        return len(data).to_bytes(1 if kind == "str8" else 2, "big") + data
    if kind in ("list", "items"):
        out = len(value).to_bytes(2, "big") if kind == "list" else b""
        for one in value:
            data = write_fields(one, FIELDS_OF[item] if isinstance(item, str) else item)
            out += len(data).to_bytes(2, "big") + data
        return out
    return value.encode() if isinstance(value, str) else value


def is_known(side, kind):
    return kind in FRAMES and FRAMES[kind][1] in ("both", "to-" + side)


def limit(side, kind, first):
    """Section 1.6."""
    if side == "server":
        if first:
            return 2 * KIB
        if not is_known(side, kind):
            return MIB
        if kind in BODIES:
            return MAX_MEDIA
        known = {"TEXT": MAX_TEXT, "HELLO": 2 * KIB, "CHUNK": 12 + 65_536, "PING": 64, "PONG": 64, "BYE": KIB}
        return known.get(FRAMES[kind][0], 4 * KIB)
    if kind in BODIES or kind in REPLIES:
        return MIB
    if not is_known(side, kind):
        return 64 * KIB
    return {"TEXT": MAX_TEXT, "CHUNK": 12 + 65_536}.get(FRAMES[kind][0], 64 * KIB)


def outcome(side, first, behind_to, data):
    """What comes of the frame at the front of `data`, as the lines of a vector; None if it takes more bytes."""
    if len(data) < 5:
        return None
    kind, size, payload = data[0], int.from_bytes(data[1:5], "big"), data[5:]
    most = limit(side, kind, first)
    known = is_known(side, kind)
    is_content = kind in CONTENT or side == "client" and kind in REPLIES
    try:
        if size > most + FAR:
            return error("too_large", kind, Malformed("far_over_limit"))
        if first and kind != 0x20:
            return error("hello_expected", kind, Malformed("hello_first"))
        if behind_to and kind not in CONTENT:
            raise Malformed("content_expected")
        if size > most:
            if known and not is_content:
                raise Malformed("over_limit")
            return [f"skip too_large 0x{kind:02x} {size} {most}"]
        if not known:
            if len(payload) < min(size, 4):
                return None
            return [f"skip unknown 0x{kind:02x} {size} {int.from_bytes(payload[:4], 'big') if size >= 4 else 0}"]
        if len(payload) < size:
            return None
        payload, name, fields = payload[:size], FRAMES[kind][0], FRAMES[kind][2]
        if kind in BODIES:
            return [f"body {name} x{payload.hex()}"]
        # Section 7: what a client sends behind its own fields of an event is ignored.
        own = {"TYPING": 9, "PRESENCE": 1}.get(name, size) if side == "server" else size
        seen = read_fields(Payload(payload[:own]), fields)
    except Malformed as problem:
        return error("malformed", kind, problem)
    canonical = "yes" if write_fields(seen, fields) == payload else "no"
    return [f"frame {name}"] + lines_of("", seen) + [f"canonical {canonical}"]


def error(code, kind, problem):
    return [f"error {code} {problem.rule} 0x{kind:02x} {problem.field} {problem.offset}"]


def lines_of(path, seen):
    lines = []
    for name, value in seen:
        lines.append(f"field {path}{name} {show(value)}")
        if isinstance(value, list):
            for number, item in enumerate(value):
                lines += lines_of(f"{path}{name}.{number}.", item)
    return lines


def show(value):
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return "x" + value.hex()
    return str(len(value) if isinstance(value, list) else value)


def parse_vectors(text):
    """Each vector as its lines, (key, value)."""
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith("#")]
        if lines:
            yield [tuple((line + " ").split(" ", 1)) for line in lines]


def check(vector):
    """What is wrong with a vector, or None."""
    keys = dict(vector)
    data = bytes.fromhex("".join(value for key, value in vector if key == "hex"))
    first, behind_to = keys.get("first", "").strip() == "yes", "behind" in keys
    said = [f"{key} {value}".rstrip(" ") for key, value in vector if key in SAYS]
    side = keys["to"].strip()
    came = outcome(side, first, behind_to, data)
    if came is None or [line.rstrip(" ") for line in came] != said:
        return f"the file says {said}\n  the page says {came}"
    if said[0].startswith("frame ") and any(outcome(side, first, behind_to, data[:cut]) for cut in range(len(data))):
        return "something came of a part of it"
    return None


SAYS = ("frame", "field", "canonical", "body", "skip", "error")


def main():
    file = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "frames.txt"
    text = pathlib.Path(file).read_text(encoding="utf-8")
    if not re.search(r"^# Format 1, of protocol version 1\.", text, re.MULTILINE):
        sys.exit("this checks format 1 of the vectors, of protocol version 1, and the file is of another")
    vectors, wrong = 0, 0
    for vector in parse_vectors(text):
        problem = check(vector)
        if problem:
            print(f"{dict(vector)['name'].strip()}:\n  {problem}")
        vectors, wrong = vectors + 1, wrong + bool(problem)
    print(f"{vectors} vectors, {wrong} of them not as the page has it")
    sys.exit(1 if wrong or not vectors else 0)


if __name__ == "__main__":
    main()
