-- Chatwire for Wireshark and tshark.
--
--   wireshark -X lua_script:chatwire.lua       or put the file into the folder of personal Lua plugins (Help, About)
--   tshark -X lua_script:chatwire.lua -Y 'chatwire.status.seq > 7' -r FILE
--
-- It is asked for TCP port 8000, for what is chosen by "Decode As", and for connections whose first bytes are a HELLO.
-- Filters are named after the page, docs/PROTOCOL.md: chatwire.type, chatwire.size, and chatwire.FRAME.FIELD in small
-- letters, such as chatwire.welcome.user_name and chatwire.room_list.rooms.chat.

-- The table begins.
local FRAMES = {
  [0x00] = { name = "TEXT", section = "2", way = "both", fields = {
    { name = "text", type = "text" },
  } },
  [0x01] = { name = "VOICE", section = "2", way = "both", fields = {
    { name = "body", type = "rest" },
  } },
  [0x02] = { name = "VIDEO", section = "2", way = "both", fields = {
    { name = "body", type = "rest" },
  } },
  [0x03] = { name = "IMAGE", section = "2", way = "both", fields = {
    { name = "body", type = "rest" },
  } },
  [0x04] = { name = "FILE", section = "2", way = "both", fields = {
    { name = "body", type = "rest" },
  } },
  [0x05] = { name = "MEDIA", section = "2", way = "both", fields = {
    { name = "media_kind", type = "u8", required = true },
    { name = "media", type = "id32", required = true },
    { name = "size", type = "u64" },
    { name = "mime", type = "str8" },
    { name = "name", type = "str16" },
    { name = "duration_ms", type = "u32" },
    { name = "width", type = "u32" },
    { name = "height", type = "u32" },
  } },
  [0x0f] = { name = "GONE", section = "2", way = "to client", fields = {} },
  [0x10] = { name = "REPLY_TEXT", section = "4.1", way = "to client", fields = {
    { name = "said", type = "said", required = true },
    { name = "attachments", type = "items", items = {
      { name = "media_kind", type = "u8", required = true },
      { name = "media", type = "id32", required = true },
      { name = "size", type = "u64" },
      { name = "mime", type = "str8" },
      { name = "name", type = "str16" },
      { name = "duration_ms", type = "u32" },
      { name = "width", type = "u32" },
      { name = "height", type = "u32" },
    } },
  } },
  [0x11] = { name = "REPLY_VOICE", section = "4.1", way = "to client", fields = {
    { name = "said", type = "said", required = true },
  } },
  [0x12] = { name = "REPLY_IMAGE", section = "4.1", way = "to client", fields = {
    { name = "said", type = "said", required = true },
    { name = "image", type = "rest" },
  } },
  [0x13] = { name = "ERROR", section = "4.2", way = "to client", fields = {
    { name = "said", type = "said", required = true },
    { name = "code", type = "u16" },
    { name = "ref", type = "u64" },
    { name = "about", type = "u8" },
    { name = "retry_ms", type = "u32" },
  } },
  [0x20] = { name = "HELLO", section = "5.2", way = "to server", fields = {
    { name = "version", type = "u8", required = true },
    { name = "timezone", type = "str8", required = true },
    { name = "user", type = "str8" },
    { name = "auth", type = "u8" },
    { name = "secret", type = "str16" },
    { name = "device", type = "str8" },
    { name = "inline_limit", type = "u32" },
    { name = "flags", type = "u8" },
  } },
  [0x21] = { name = "WELCOME", section = "5.2", way = "to client", fields = {
    { name = "version", type = "u8", required = true },
    { name = "user", type = "u64", required = true },
    { name = "session", type = "u64", required = true },
    { name = "at", type = "i64", required = true },
    { name = "epoch", type = "u64" },
    { name = "heartbeat", type = "u16" },
    { name = "max_text", type = "u32" },
    { name = "max_media", type = "u64" },
    { name = "inline_limit", type = "u32" },
    { name = "home", type = "u64" },
    { name = "user_name", type = "str8" },
    { name = "token", type = "str8" },
  } },
  [0x22] = { name = "PING", section = "5.5", way = "both", fields = {
    { name = "bytes", type = "rest" },
  } },
  [0x23] = { name = "PONG", section = "5.5", way = "both", fields = {
    { name = "bytes", type = "rest" },
  } },
  [0x24] = { name = "BYE", section = "5.6", way = "both", fields = {
    { name = "code", type = "u16" },
    { name = "reason", type = "str16" },
  } },
  [0x30] = { name = "TO", section = "3.1", way = "to server", fields = {
    { name = "nonce", type = "u64" },
    { name = "chat", type = "u64" },
    { name = "room", type = "str8" },
    { name = "user", type = "str8" },
    { name = "reply_to", type = "u64" },
    { name = "name", type = "str16" },
  } },
  [0x31] = { name = "FROM", section = "3.2", way = "to client", fields = {
    { name = "chat", type = "u64", required = true },
    { name = "seq", type = "u64", required = true },
    { name = "at", type = "i64", required = true },
    { name = "user", type = "u64", required = true },
    { name = "nonce", type = "u64" },
    { name = "reply_to", type = "u64" },
    { name = "user_name", type = "str8" },
    { name = "name", type = "str16" },
  } },
  [0x32] = { name = "STATUS", section = "3.3", way = "to client", fields = {
    { name = "nonce", type = "u64", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "seq", type = "u64", required = true },
    { name = "at", type = "i64", required = true },
    { name = "duplicate", type = "u8" },
  } },
  [0x40] = { name = "JOIN", section = "6.1", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "room", type = "str8", required = true },
    { name = "flags", type = "u8" },
  } },
  [0x41] = { name = "LEAVE", section = "6.1", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
  } },
  [0x42] = { name = "ROOMS", section = "6.2", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "after", type = "str8" },
    { name = "limit", type = "u16" },
  } },
  [0x43] = { name = "PARTICIPANTS", section = "6.2", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "room", type = "str8" },
    { name = "after", type = "u64" },
    { name = "limit", type = "u16" },
  } },
  [0x44] = { name = "CHATS", section = "6.2", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "after", type = "u64" },
    { name = "limit", type = "u16" },
  } },
  [0x45] = { name = "CREATE", section = "6.3", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "title", type = "str8" },
  } },
  [0x46] = { name = "INVITE", section = "6.3", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "user", type = "str8", required = true },
  } },
  [0x47] = { name = "REMOVE", section = "6.3", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "user", type = "str8", required = true },
  } },
  [0x50] = { name = "HISTORY", section = "6.4", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "before", type = "u64" },
    { name = "after", type = "u64" },
    { name = "limit", type = "u16" },
    { name = "flags", type = "u8" },
  } },
  [0x51] = { name = "SYNC", section = "6.5", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "after", type = "u64" },
  } },
  [0x52] = { name = "READ", section = "6.7", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "seq", type = "u64", required = true },
  } },
  [0x53] = { name = "SEARCH", section = "6.8", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "query", type = "str16", required = true },
    { name = "before", type = "u64" },
    { name = "limit", type = "u16" },
    { name = "before_chat", type = "u64" },
    { name = "before_at", type = "i64" },
  } },
  [0x54] = { name = "DELETE", section = "6.9", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64", required = true },
    { name = "seq", type = "u64", required = true },
  } },
  [0x60] = { name = "UPLOAD", section = "6.6", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "media_kind", type = "u8", required = true },
    { name = "size", type = "u64", required = true },
    { name = "digest", type = "id32", required = true },
    { name = "name", type = "str16" },
  } },
  [0x61] = { name = "CHUNK", section = "6.6", way = "both", fields = {
    { name = "transfer", type = "u32", required = true },
    { name = "offset", type = "u64", required = true },
    { name = "bytes", type = "rest" },
  } },
  [0x62] = { name = "FETCH", section = "6.6", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "media", type = "id32", required = true },
    { name = "offset", type = "u64" },
    { name = "length", type = "u64" },
  } },
  [0x63] = { name = "CANCEL", section = "6.6", way = "to server", fields = {
    { name = "req", type = "u32", required = true },
    { name = "transfer", type = "u32", required = true },
  } },
  [0x70] = { name = "TYPING", section = "7", way = "both", fields = {
    { name = "chat", type = "u64", required = true },
    { name = "on", type = "u8", required = true },
    { name = "user", type = "u64" },
    { name = "user_name", type = "str8" },
  } },
  [0x71] = { name = "PRESENCE", section = "7", way = "both", fields = {
    { name = "presence", type = "u8", required = true },
    { name = "user", type = "u64" },
    { name = "user_name", type = "str8" },
    { name = "last_seen", type = "i64" },
  } },
  [0x72] = { name = "MEMBER", section = "7", way = "to client", fields = {
    { name = "chat", type = "u64", required = true },
    { name = "change", type = "u8", required = true },
    { name = "user", type = "u64" },
    { name = "user_name", type = "str8" },
    { name = "at", type = "i64" },
  } },
  [0x73] = { name = "SEEN", section = "7", way = "to client", fields = {
    { name = "chat", type = "u64", required = true },
    { name = "user", type = "u64", required = true },
    { name = "seq", type = "u64", required = true },
  } },
  [0x74] = { name = "MESSAGE_GONE", section = "7", way = "to client", fields = {
    { name = "chat", type = "u64", required = true },
    { name = "seq", type = "u64", required = true },
  } },
  [0xc0] = { name = "JOINED", section = "6.1", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "last_seq", type = "u64" },
    { name = "room", type = "str8" },
    { name = "created", type = "u8" },
    { name = "new_member", type = "u8" },
  } },
  [0xc1] = { name = "LEFT", section = "6.1", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "room", type = "str8" },
  } },
  [0xc2] = { name = "ROOM_LIST", section = "6.2", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "more", type = "u8" },
    { name = "rooms", type = "list", items = {
      { name = "chat", type = "u64" },
      { name = "room", type = "str8" },
      { name = "online", type = "u32" },
      { name = "last_seq", type = "u64" },
    } },
  } },
  [0xc3] = { name = "PARTICIPANT_LIST", section = "6.2", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "more", type = "u8" },
    { name = "participants", type = "list", items = {
      { name = "user", type = "u64" },
      { name = "user_name", type = "str8" },
      { name = "presence", type = "u8" },
      { name = "role", type = "u8" },
    } },
  } },
  [0xc4] = { name = "CHAT_LIST", section = "6.2", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "more", type = "u8" },
    { name = "chats", type = "list", items = {
      { name = "chat", type = "u64" },
      { name = "chat_kind", type = "u8" },
      { name = "title", type = "str8" },
      { name = "last_seq", type = "u64" },
      { name = "read_seq", type = "u64" },
    } },
  } },
  [0xc5] = { name = "CREATED", section = "6.3", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
  } },
  [0xc6] = { name = "INVITED", section = "6.3", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "user", type = "u64" },
  } },
  [0xc7] = { name = "REMOVED", section = "6.3", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "user", type = "u64" },
  } },
  [0xd0] = { name = "HISTORY_PAGE", section = "6.4", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "first_seq", type = "u64" },
    { name = "last_seq", type = "u64" },
    { name = "more", type = "u8" },
    { name = "count", type = "u16" },
  } },
  [0xd1] = { name = "SYNCED", section = "6.5", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "first_seq", type = "u64" },
    { name = "last_seq", type = "u64" },
  } },
  [0xd2] = { name = "READ_UP_TO", section = "6.7", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "seq", type = "u64" },
  } },
  [0xd3] = { name = "SEARCH_PAGE", section = "6.8", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "more", type = "u8" },
    { name = "count", type = "u16" },
  } },
  [0xd4] = { name = "DELETED", section = "6.9", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "chat", type = "u64" },
    { name = "seq", type = "u64" },
  } },
  [0xe0] = { name = "UPLOAD_READY", section = "6.6", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "offset", type = "u64" },
  } },
  [0xe1] = { name = "STORED", section = "6.6", way = "to client", fields = {
    { name = "transfer", type = "u32", required = true },
    { name = "media", type = "id32", required = true },
  } },
  [0xe2] = { name = "FETCH_READY", section = "6.6", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
    { name = "size", type = "u64" },
    { name = "mime", type = "str8" },
  } },
  [0xe3] = { name = "CANCELLED", section = "6.6", way = "to client", fields = {
    { name = "req", type = "u32", required = true },
  } },
  [0xe4] = { name = "RECEIVED", section = "6.6", way = "to client", fields = {
    { name = "transfer", type = "u32", required = true },
    { name = "offset", type = "u64", required = true },
  } },
}
local CODES = {
  [400] = "malformed",
  [401] = "unauthenticated",
  [403] = "forbidden",
  [404] = "not_found",
  [405] = "unsupported",
  [408] = "timeout",
  [409] = "conflict",
  [413] = "too_large",
  [415] = "bad_media",
  [421] = "hello_expected",
  [422] = "bad_timezone",
  [425] = "outside_hours",
  [426] = "bad_version",
  [429] = "rate_limited",
  [460] = "banned",
  [500] = "internal",
  [503] = "busy",
  [507] = "storage_full",
}
-- The table ends.

local HEADER = 5
local FIRST_LIMIT = 2048
-- The largest body that is put together before it is shown; of a larger one the pieces are shown as they are.
local MAX_WHOLE = 16 * 1024 * 1024

local chatwire = Proto("chatwire", "Chatwire")

local names = {}
for kind, frame in pairs(FRAMES) do
  names[kind] = frame.name
end

local f_type = ProtoField.uint8("chatwire.type", "Type", base.HEX, names)
local f_size = ProtoField.uint32("chatwire.size", "Size")
local f_section = ProtoField.string("chatwire.section", "Section of the page")
local f_later = ProtoField.bytes("chatwire.later", "Of a later version")
local f_unknown = ProtoField.bytes("chatwire.unknown", "Payload of an unknown type")
local protofields = { f_type, f_size, f_section, f_later, f_unknown }

local function new(make, path, label, ...)
  local field = make("chatwire." .. path, label, ...)
  protofields[#protofields + 1] = field
  return field
end

local INTEGERS = {
  u8 = { 1, ProtoField.uint8 },
  u16 = { 2, ProtoField.uint16 },
  u32 = { 4, ProtoField.uint32 },
  u64 = { 8, ProtoField.uint64 },
}

-- Gives every field of the table its field in Wireshark.
local function declare(prefix, fields)
  for _, field in ipairs(fields) do
    local path = prefix .. "." .. field.name
    if INTEGERS[field.type] then
      local values = nil
      if field.name == "code" then values = CODES end
      if field.name == "about" then values = names end
      field.proto = new(INTEGERS[field.type][2], path, field.name, base.DEC, values)
    elseif field.type == "i64" then
      field.proto = new(ProtoField.absolute_time, path, field.name, base.UTC)
    elseif field.type == "str8" or field.type == "str16" or field.type == "text" then
      field.proto = new(ProtoField.string, path, field.name)
    elseif field.type == "id32" or field.type == "rest" then
      field.proto = new(ProtoField.bytes, path, field.name)
    elseif field.type == "said" then
      field.text_size = new(ProtoField.uint32, prefix .. ".text_size", "text_size")
      field.voice_size = new(ProtoField.uint32, prefix .. ".voice_size", "voice_size")
      field.text = new(ProtoField.string, prefix .. ".text", "text")
      field.voice = new(ProtoField.bytes, prefix .. ".voice", "voice")
    else
      field.proto = new(ProtoField.uint16, path, field.name)
      field.item_size = new(ProtoField.uint16, path .. ".size", "size of the item")
      declare(path, field.items)
    end
  end
end

for _, frame in pairs(FRAMES) do
  declare(frame.name:lower(), frame.fields)
end
chatwire.fields = protofields

local e_malformed = ProtoExpert.new("chatwire.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
local e_unknown = ProtoExpert.new("chatwire.unknown_type", "Unknown type", expert.group.UNDECODED, expert.severity.NOTE)
chatwire.experts = { e_malformed, e_unknown }

-- A run of bytes that fields are taken off, as the page says (section 1.3): `at` is where it stands, `stop` where it ends.
local function complain(cursor, tree, field, what)
  tree:add_proto_expert_info(e_malformed, field.name .. ": " .. what)
  cursor.broken = true
end

-- So many bytes, or nil after a complaint.
local function take(cursor, tree, field, n)
  if cursor.at + n > cursor.stop then
    complain(cursor, tree, field, "the payload ends inside it")
    return nil
  end
  local range = cursor.tvb:range(cursor.at, n)
  cursor.at = cursor.at + n
  return range
end

local function add_bytes(tree, proto, cursor, n)
  if n > 0 then
    tree:add(proto, cursor.tvb:range(cursor.at, n))
    cursor.at = cursor.at + n
  end
end

-- Text of `n` bytes behind `before` others, which are its length.
local function add_text(cursor, tree, field, proto, before, n)
  local start = cursor.at - before
  if cursor.at + n > cursor.stop then
    complain(cursor, tree, field, "the payload ends inside it")
  elseif before + n > 0 then
    local text = ""
    if n > 0 then text = cursor.tvb:range(cursor.at, n):string(ENC_UTF_8) end
    tree:add(proto, cursor.tvb:range(start, before + n), text)
    cursor.at = cursor.at + n
  end
end

local read_fields

local function read_item(cursor, tree, field)
  local size = take(cursor, tree, field, 2)
  if not size then return end
  local stop = cursor.at + size:uint()
  if stop > cursor.stop then
    complain(cursor, tree, field, "the payload ends inside an item")
    return
  end
  local item = tree:add(field.item_size, size)
  local inside = { tvb = cursor.tvb, at = cursor.at, stop = stop }
  read_fields(inside, item, field.items)
  cursor.broken = inside.broken
  cursor.at = stop
end

local READ = {}

for name, integer in pairs(INTEGERS) do
  READ[name] = function(cursor, tree, field)
    local range = take(cursor, tree, field, integer[1])
    if range then tree:add(field.proto, range) end
  end
end

function READ.i64(cursor, tree, field)
  local range = take(cursor, tree, field, 8)
  if not range then return end
  local micros = range:int64()
  local seconds = micros / 1000000
  local rest = (micros - seconds * 1000000):tonumber()
  tree:add(field.proto, range, NSTime(seconds:tonumber(), rest * 1000))
end

function READ.id32(cursor, tree, field)
  local range = take(cursor, tree, field, 32)
  if range then tree:add(field.proto, range) end
end

function READ.str8(cursor, tree, field)
  local size = take(cursor, tree, field, 1)
  if size then add_text(cursor, tree, field, field.proto, 1, size:uint()) end
end

function READ.str16(cursor, tree, field)
  local size = take(cursor, tree, field, 2)
  if size then add_text(cursor, tree, field, field.proto, 2, size:uint()) end
end

function READ.text(cursor, tree, field)
  add_text(cursor, tree, field, field.proto, 0, cursor.stop - cursor.at)
end

function READ.rest(cursor, tree, field)
  add_bytes(tree, field.proto, cursor, cursor.stop - cursor.at)
end

function READ.said(cursor, tree, field)
  local text = take(cursor, tree, field, 4)
  local voice = text and take(cursor, tree, field, 4)
  if not voice then return end
  tree:add(field.text_size, text)
  tree:add(field.voice_size, voice)
  add_text(cursor, tree, field, field.text, 0, text:uint())
  if cursor.broken then return end
  if cursor.at + voice:uint() > cursor.stop then
    complain(cursor, tree, field, "the payload ends inside the voice")
  else
    add_bytes(tree, field.voice, cursor, voice:uint())
  end
end

function READ.list(cursor, tree, field)
  local count = take(cursor, tree, field, 2)
  if not count then return end
  local list = tree:add(field.proto, count)
  for _ = 1, count:uint() do
    if cursor.broken then return end
    read_item(cursor, list, field)
  end
end

function READ.items(cursor, tree, field)
  while cursor.at < cursor.stop and not cursor.broken do
    read_item(cursor, tree, field)
  end
end

read_fields = function(cursor, tree, fields)
  for _, field in ipairs(fields) do
    if cursor.at == cursor.stop and not field.required then return end
    READ[field.type](cursor, tree, field)
    if cursor.broken then return end
  end
  if cursor.at < cursor.stop then
    tree:add(f_later, cursor.tvb:range(cursor.at, cursor.stop - cursor.at))
  end
end

local function dissect_frame(tvb, pinfo, tree)
  local kind, size = tvb:range(0, 1):uint(), tvb:range(1, 4):uint()
  local frame = FRAMES[kind]
  local name = frame and frame.name or string.format("type 0x%02x", kind)
  local subtree = tree:add(chatwire, tvb:range(0, math.min(tvb:len(), HEADER + size)), "Chatwire " .. name)
  subtree:add(f_type, tvb:range(0, 1))
  subtree:add(f_size, tvb:range(1, 4))
  pinfo.cols.protocol = "Chatwire"
  if pinfo.private["chatwire"] == tostring(pinfo.number) then
    pinfo.cols.info:append(", " .. name)
  else
    pinfo.cols.info = name
    pinfo.private["chatwire"] = tostring(pinfo.number)
  end
  local payload = math.min(size, tvb:len() - HEADER)
  if not frame then
    subtree:add_proto_expert_info(e_unknown)
    if payload > 0 then subtree:add(f_unknown, tvb:range(HEADER, payload)) end
  else
    subtree:add(f_section, frame.section):set_generated()
    read_fields({ tvb = tvb, at = HEADER, stop = HEADER + payload }, subtree, frame.fields)
  end
  return HEADER + payload
end

-- A size over the limits is no size: what stands there is not Chatwire, or a body too large to be put together.
local function length(tvb, _, offset)
  return HEADER + math.min(tvb:range(offset + 1, 4):uint(), MAX_WHOLE)
end

function chatwire.dissector(tvb, pinfo, tree)
  return dissect_tcp_pdus(tvb, tree, HEADER, length, dissect_frame)
end

-- A HELLO of a size that a first frame may have, of a version, with a zone whose length fits.
local function looks_like_hello(tvb)
  if tvb:len() < HEADER + 2 or tvb:range(0, 1):uint() ~= 0x20 then return false end
  local size, zone = tvb:range(1, 4):uint(), tvb:range(HEADER + 1, 1):uint()
  return size <= FIRST_LIMIT and tvb:range(HEADER, 1):uint() > 0 and zone > 0 and zone + 2 <= size
end

local function heuristic(tvb, pinfo, tree)
  if not looks_like_hello(tvb) then return false end
  chatwire.dissector(tvb, pinfo, tree)
  pinfo.conversation = chatwire
  return true
end

chatwire:register_heuristic("tcp", heuristic)
DissectorTable.get("tcp.port"):add(8000, chatwire)
