-- A dissector of livesync, what the trackers of a segment tell each other, for Wireshark and tshark 4.0 and later.
--
--   tshark -X lua_script:scripts/wireshark/livesync.lua -i eth0 -f 'udp and net 224.0.0.0/4' -Y livesync
--   cp scripts/wireshark/livesync.lua ~/.local/lib/wireshark/plugins/         for Wireshark
--   livesync.id == 0x7f3a91c2 && livesync.record.stopped                      a display filter
--   livesync.error                                                            what no tracker can read
--
-- It reads UDP port 9696, and any port of the groups 224.0.42.5 (as documented) and 224.0.23.5 (as opentracker is built),
-- where on-demand trackers have ports of their own. The packets are drawn in wire/doc.go; a test holds this file to package wire.

local livesync = Proto("livesync", "Livesync (BitTorrent trackers)")

local HEADER, TRAILER, RANGE, MAX_PACKET = 8, 24, 8, 1480
local MAX_RANGES, MAX_EDITS = 178, 1438

local LIVE4, LIVE6, INQUIRE, TELL = 0, 1, 2, 3
local CONTROL = 0x53540000
local STATE, NACK, GONE, BYE, PROMISE, EDITS = CONTROL + 1, CONTROL + 2, CONTROL + 3, CONTROL + 4, CONTROL + 5, CONTROL + 6

local types = {
    [LIVE4] = "Peers over IPv4", [LIVE6] = "Peers over IPv6, or beacon", [INQUIRE] = "Inquire", [TELL] = "Tell",
    [STATE] = "STATE", [NACK] = "NACK", [GONE] = "GONE", [BYE] = "BYE", [PROMISE] = "PROMISE", [EDITS] = "EDITS",
}
local roles = { [0] = "active", [1] = "standby", [2] = "backup" }
local healths = { [0] = "healthy", [1] = "catching up", [2] = "draining" }
local list_kinds = { [1] = "deny", [2] = "allow", [3] = "deny-client", [4] = "passkeys" }

local f = {
    id = ProtoField.uint32("livesync.id", "Node id", base.HEX),
    type = ProtoField.uint32("livesync.type", "Type", base.HEX, types),
    kind = ProtoField.string("livesync.kind", "Kind"),
    error = ProtoField.string("livesync.error", "Cannot be read"),
    ignored = ProtoField.bytes("livesync.ignored", "Ignored"),
    count = ProtoField.uint32("livesync.count", "Records or entries"),

    hash = ProtoField.bytes("livesync.info_hash", "Info hash"),
    record = ProtoField.none("livesync.record", "Record"),
    ip4 = ProtoField.ipv4("livesync.record.ip4", "Address"),
    ip6 = ProtoField.ipv6("livesync.record.ip6", "Address"),
    port = ProtoField.uint16("livesync.record.port", "Port"),
    flags = ProtoField.uint8("livesync.record.flags", "Flags", base.HEX),
    seeding = ProtoField.bool("livesync.record.seeding", "Seeding", 8, nil, 0x80),
    complete = ProtoField.bool("livesync.record.complete", "Complete", 8, nil, 0x40),
    stopped = ProtoField.bool("livesync.record.stopped", "Stopped", 8, nil, 0x20),

    torrents = ProtoField.uint64("livesync.torrents", "Torrents"),
    target = ProtoField.uint32("livesync.target", "Node that shall tell", base.HEX),
    tell = ProtoField.none("livesync.tell", "Entry"),
    minutes = ProtoField.uint32("livesync.tell.minutes", "Minutes since it was announced"),
    downloaded = ProtoField.uint64("livesync.tell.downloaded", "Downloaded"),

    epoch = ProtoField.uint64("livesync.epoch", "Epoch"),
    started = ProtoField.absolute_time("livesync.epoch.time", "Started, about", base.UTC),
    seq = ProtoField.uint32("livesync.seq", "Sequence"),
    tag = ProtoField.bytes("livesync.tag", "Tag"),

    next_records = ProtoField.uint32("livesync.state.next_records", "Next sequence of records"),
    next_tells = ProtoField.uint32("livesync.state.next_tells", "Next sequence of tells"),
    next_control = ProtoField.uint32("livesync.state.next_control", "Next sequence of control packets"),
    sent = ProtoField.absolute_time("livesync.state.sent", "Sent", base.UTC),
    peers = ProtoField.uint64("livesync.state.peers", "Peers"),
    inquired = ProtoField.uint32("livesync.state.inquired", "Node that shall tell (0: none)", base.HEX),
    challenge = ProtoField.bytes("livesync.state.challenge", "Challenge"),
    capacity = ProtoField.uint64("livesync.state.capacity", "Capacity (0: not said)"),
    catchup = ProtoField.uint16("livesync.state.catch_up_port", "Catch-up port (0: none)"),
    role = ProtoField.uint8("livesync.state.role", "Role", base.DEC, roles),
    health = ProtoField.uint8("livesync.state.health", "Health", base.DEC, healths),
    round = ProtoField.uint32("livesync.state.round", "Divergence round"),
    group = ProtoField.uint8("livesync.state.group", "Divergence group"),
    version_size = ProtoField.uint8("livesync.state.version_length", "Length of version"),
    url_size = ProtoField.uint8("livesync.state.url_length", "Length of URL"),
    echo_count = ProtoField.uint8("livesync.state.echo_count", "Number of echoes"),
    sum = ProtoField.int32("livesync.state.sum", "Divergence sum"),
    version = ProtoField.string("livesync.state.version", "Version"),
    url = ProtoField.string("livesync.state.url", "Public announce URL"),
    echo = ProtoField.none("livesync.state.echo", "Echo"),
    echo_id = ProtoField.uint32("livesync.state.echo.id", "Of node", base.HEX),
    echo_challenge = ProtoField.bytes("livesync.state.echo.challenge", "Its challenge"),

    about = ProtoField.uint32("livesync.about.id", "Packets of node", base.HEX),
    about_epoch = ProtoField.uint64("livesync.about.epoch", "Of its epoch"),
    nack_flags = ProtoField.uint8("livesync.nack.flags", "Flags", base.HEX),
    origin = ProtoField.bool("livesync.nack.origin", "Nobody else shall answer", 8, nil, 0x01),
    age = ProtoField.uint32("livesync.gone.age", "Age of the oldest, ms"),
    range = ProtoField.none("livesync.range", "Sequences"),
    first = ProtoField.uint32("livesync.range.first", "First"),
    last = ProtoField.uint32("livesync.range.last", "Last"),
    bye_next = ProtoField.uint32("livesync.bye.next", "Next sequence of records"),

    digest_count = ProtoField.uint8("livesync.edits.digests", "Number of digests"),
    entry_count = ProtoField.uint8("livesync.edits.entries", "Number of entries"),
    digest = ProtoField.none("livesync.digest", "Digest"),
    digest_kind = ProtoField.uint8("livesync.digest.kind", "List", base.DEC, list_kinds),
    digest_entries = ProtoField.uint32("livesync.digest.entries", "Entries"),
    digest_sum = ProtoField.uint64("livesync.digest.sum", "Sum", base.HEX),
    edit = ProtoField.none("livesync.edit", "Change"),
    edit_kind = ProtoField.uint8("livesync.edit.kind", "List", base.DEC, list_kinds),
    edit_op = ProtoField.uint8("livesync.edit.op", "What happened"),
    edit_reason_size = ProtoField.uint8("livesync.edit.reason_length", "Length of reason"),
    edit_id = ProtoField.uint32("livesync.edit.id", "Changed at node", base.HEX),
    edit_time = ProtoField.absolute_time("livesync.edit.time", "When", base.UTC),
    edit_end = ProtoField.uint64("livesync.edit.end", "Until, seconds since 1970 (0: for ever)"),
    edit_key = ProtoField.bytes("livesync.edit.key", "Key"),
    edit_reason = ProtoField.string("livesync.edit.reason", "Reason"),
}
local fields = {}
for _, field in pairs(f) do fields[#fields + 1] = field end
livesync.fields = fields

local experts = {
    short = ProtoExpert.new("livesync.short", "Too short for its type", expert.group.MALFORMED, expert.severity.ERROR),
    long = ProtoExpert.new("livesync.long", "Longer than any tracker sends", expert.group.MALFORMED, expert.severity.ERROR),
    type = ProtoExpert.new("livesync.unknown_type", "No tracker knows this type", expert.group.UNDECODED, expert.severity.WARN),
    malformed = ProtoExpert.new("livesync.malformed", "Contradicts itself", expert.group.MALFORMED, expert.severity.ERROR),
}
local ignored_expert = ProtoExpert.new("livesync.rest", "Ignored by every tracker", expert.group.UNDECODED, expert.severity.NOTE)
livesync.experts = { experts.short, experts.long, experts.type, experts.malformed, ignored_expert }

-- bad marks a packet that is refused; error is a key of experts. It returns what the column says.
local function bad(tree, error)
    tree:add(f.error, error):set_generated()
    tree:add_proto_expert_info(experts[error])
    return "refused: " .. error
end

-- nanoseconds adds a field that holds a time in nanoseconds since 1970.
local function nanoseconds(tree, field, range)
    local n = range:uint64()
    local seconds = n / 1000000000
    tree:add(field, range, NSTime.new(seconds:tonumber() % 4294967296, (n % 1000000000):tonumber()))
end

local function counted(n, what) return n .. " " .. what .. (n == 1 and "" or "s") end

local function role_of(flags)
    if flags % 0x40 >= 0x20 then return "stopped" end
    if flags >= 0xc0 then return "completed" end
    if flags >= 0x80 then return "seeder" end
    return "leecher"
end

local function add_record(tree, tvb, size)
    local ip, port, flags = tvb(20, size - 24), tvb(size - 4, 2), tvb(size - 2, 1)
    local address
    if size == 28 then
        address = tostring(ip:ipv4())
    else
        address = "[" .. tostring(ip:ipv6()) .. "]"
    end
    local item = tree:add(f.record, tvb())
    item:set_text("Record: " .. address .. ":" .. port:uint() .. " " .. role_of(flags:uint()) .. ", " .. tostring(tvb(0, 20):bytes()):lower())
    item:add(f.hash, tvb(0, 20))
    item:add(size == 28 and f.ip4 or f.ip6, ip)
    item:add(f.port, port)
    local bits = item:add(f.flags, flags)
    bits:add(f.seeding, flags)
    bits:add(f.complete, flags)
    bits:add(f.stopped, flags)
end

local function add_tell(tree, tvb)
    local item = tree:add(f.tell, tvb())
    item:set_text("Entry: downloaded " .. tostring(tvb(24, 8):uint64()) .. ", " .. tostring(tvb(0, 20):bytes()):lower())
    item:add(f.hash, tvb(0, 20))
    item:add(f.minutes, tvb(20, 4))
    item:add(f.downloaded, tvb(24, 8))
end

local function add_trailer(tree, tvb)
    local at = tvb:len() - TRAILER
    local item = tree:add(livesync, tvb(at), "Trailer")
    item:add(f.epoch, tvb(at, 8))
    nanoseconds(item, f.started, tvb(at, 8))
    item:add(f.seq, tvb(at + 8, 4))
    item:add(f.tag, tvb(at + 12, 12))
end

local function add_ignored(tree, tvb)
    tree:add(f.ignored, tvb()):add_proto_expert_info(ignored_expert)
end

-- add_ranges adds sequences; it returns how many there are, nil when one ends before it begins.
local function add_ranges(tree, body, at)
    local n = 0
    while body:len() - at >= RANGE and n < MAX_RANGES do
        local first, last = body(at, 4), body(at + 4, 4)
        local item = tree:add(f.range, body(at, RANGE))
        item:set_text("Sequences: " .. first:uint() .. " to " .. last:uint())
        item:add(f.first, first)
        item:add(f.last, last)
        if first:uint() > last:uint() then return nil end
        at, n = at + RANGE, n + 1
    end
    if at < body:len() then add_ignored(tree, body(at)) end
    return counted(n, "range")
end

local control = {}

control[STATE] = { "state", function(tree, body)
    if body:len() < 132 then return nil end
    local version, url, echoes = body(65, 1):uint(), body(66, 1):uint(), body(67, 1):uint()
    tree:add(f.next_records, body(0, 4))
    tree:add(f.next_tells, body(4, 4))
    tree:add(f.next_control, body(8, 4))
    nanoseconds(tree, f.sent, body(12, 8))
    tree:add(f.torrents, body(20, 8))
    tree:add(f.peers, body(28, 8))
    tree:add(f.inquired, body(36, 4))
    tree:add(f.challenge, body(40, 8))
    tree:add(f.capacity, body(48, 8))
    tree:add(f.catchup, body(56, 2))
    tree:add(f.role, body(58, 1))
    tree:add(f.health, body(59, 1))
    tree:add(f.round, body(60, 4))
    tree:add(f.group, body(64, 1))
    tree:add(f.version_size, body(65, 1))
    tree:add(f.url_size, body(66, 1))
    tree:add(f.echo_count, body(67, 1))
    for i = 0, 15 do tree:add(f.sum, body(68 + 4 * i, 4)) end
    local at = 132 + version + url
    if body(64, 1):uint() >= 16 or version > 32 or url > 200 or echoes > 100 or body:len() < at + 12 * echoes then return nil end
    if version > 0 then tree:add(f.version, body(132, version)) end
    if url > 0 then tree:add(f.url, body(132 + version, url)) end
    for _ = 1, echoes do
        local item = tree:add(f.echo, body(at, 12))
        item:set_text("Echo: of " .. tostring(body(at, 4):bytes()):lower())
        item:add(f.echo_id, body(at, 4))
        item:add(f.echo_challenge, body(at + 4, 8))
        at = at + 12
    end
    if at < body:len() then add_ignored(tree, body(at)) end
    return body(20, 8):uint64() .. " torrents, " .. body(28, 8):uint64() .. " peers, " .. (healths[body(59, 1):uint()] or "healthy")
end }

control[NACK] = { "nack", function(tree, body)
    if body:len() < 16 then return nil end
    tree:add(f.about, body(0, 4))
    tree:add(f.about_epoch, body(4, 8))
    tree:add(f.nack_flags, body(12, 1)):add(f.origin, body(12, 1))
    local ranges = add_ranges(tree, body, 16)
    return ranges and "of " .. tostring(body(0, 4):bytes()):lower() .. ", " .. ranges
end }

control[GONE] = { "gone", function(tree, body)
    if body:len() < 12 then return nil end
    tree:add(f.about_epoch, body(0, 8))
    tree:add(f.age, body(8, 4))
    return add_ranges(tree, body, 12)
end }

control[BYE] = { "bye", function(tree, body)
    if body:len() < 4 then return nil end
    tree:add(f.bye_next, body(0, 4))
    if body:len() > 4 then add_ignored(tree, body(4)) end
    return "ends"
end }

control[PROMISE] = { "promise", function(tree, body)
    if body:len() < 12 then return nil end
    tree:add(f.about, body(0, 4))
    tree:add(f.about_epoch, body(4, 8))
    local ranges = add_ranges(tree, body, 12)
    return ranges and "of " .. tostring(body(0, 4):bytes()):lower() .. ", " .. ranges
end }

local function add_edit(tree, body, at, reason)
    local item = tree:add(f.edit, body(at, 43 + reason))
    item:set_text("Change: " .. tostring(body(at + 23, 20):bytes()):lower())
    item:add(f.edit_kind, body(at, 1))
    item:add(f.edit_op, body(at + 1, 1))
    item:add(f.edit_reason_size, body(at + 2, 1))
    item:add(f.edit_id, body(at + 3, 4))
    nanoseconds(item, f.edit_time, body(at + 7, 8))
    item:add(f.edit_end, body(at + 15, 8))
    item:add(f.edit_key, body(at + 23, 20))
    if reason > 0 then item:add(f.edit_reason, body(at + 43, reason)) end
end

control[EDITS] = { "edits", function(tree, body)
    if body:len() < 2 then return nil end
    local digests, entries, at = body(0, 1):uint(), body(1, 1):uint(), 2
    tree:add(f.digest_count, body(0, 1))
    tree:add(f.entry_count, body(1, 1))
    if body:len() < at + 13 * digests then return nil end
    for _ = 1, digests do
        local item = tree:add(f.digest, body(at, 13))
        item:add(f.digest_kind, body(at, 1))
        item:add(f.digest_entries, body(at + 1, 4))
        item:add(f.digest_sum, body(at + 5, 8))
        at = at + 13
    end
    for _ = 1, entries do
        if body:len() < at + 43 then return nil end
        local reason = body(at + 2, 1):uint()
        if reason > 64 or body:len() < at + 43 + reason then return nil end
        add_edit(tree, body, at, reason)
        at = at + 43 + reason
    end
    if at - 2 > MAX_EDITS then return nil end
    if at < body:len() then add_ignored(tree, body(at)) end
    return counted(digests, "digest") .. ", " .. counted(entries, "change")
end }

-- The bodies below stand between header and trailer; an empty one has no bytes to show.
local function add_control(tree, tvb, kind)
    if tvb:len() < HEADER + TRAILER then return bad(tree, "short") end
    local name, read = kind[1], kind[2]
    tree:add(f.kind, name):set_generated()
    local what
    if tvb:len() > HEADER + TRAILER then
        what = read(tree, tvb(HEADER, tvb:len() - HEADER - TRAILER):tvb())
    end
    add_trailer(tree, tvb)
    return name .. ": " .. (what or bad(tree, "malformed"))
end

local lists = {
    [LIVE4] = { "live", 28, "record" }, [LIVE6] = { "live6", 40, "record" }, [TELL] = { "tell", 32, "tell" },
}

-- Peers and tells: whole records, and what is left of them, a trailer when that is as long as one.
local function add_list(tree, tvb, list, type)
    local name, size, unit = list[1], list[2], list[3]
    local length = tvb:len() - HEADER
    local n = math.floor(length / size)
    if n == 0 and not (type == TELL and length == 0) then return bad(tree, "short") end
    tree:add(f.kind, name):set_generated()
    tree:add(f.count, n):set_generated()
    for i = 0, n - 1 do
        local one = tvb(HEADER + i * size, size):tvb()
        if type == TELL then add_tell(tree, one) else add_record(tree, one, size) end
    end
    local rest = length - n * size
    if rest == TRAILER then
        add_trailer(tree, tvb)
    elseif rest > 0 then
        add_ignored(tree, tvb(HEADER + n * size))
    end
    return name .. ": " .. counted(n, unit)
end

-- read adds what a packet says and returns it for the column.
local function read(tree, tvb)
    if tvb:len() > MAX_PACKET then return bad(tree, "long") end
    if tvb:len() < HEADER then return bad(tree, "short") end
    tree:add(f.id, tvb(0, 4))
    tree:add(f.type, tvb(4, 4))
    local type, length = tvb(4, 4):uint(), tvb:len()
    if type == LIVE4 and length == HEADER then
        tree:add(f.kind, "empty"):set_generated()
        return "empty: a sign of life of an opentracker of 2010"
    elseif type == LIVE6 and length == 16 then
        tree:add(f.kind, "beacon"):set_generated()
        tree:add(f.torrents, tvb(8, 8))
        return "beacon: " .. tostring(tvb(8, 8):uint64()) .. " torrents"
    elseif type == INQUIRE and length == 12 then
        tree:add(f.kind, "inquire"):set_generated()
        tree:add(f.target, tvb(8, 4))
        return "inquire: asks " .. tostring(tvb(8, 4):bytes()):lower()
    elseif type == INQUIRE then
        return bad(tree, "short")
    elseif lists[type] then
        return add_list(tree, tvb, lists[type], type)
    elseif control[type] then
        return add_control(tree, tvb, control[type])
    end
    return bad(tree, "type")
end

function livesync.dissector(tvb, pinfo, tree)
    pinfo.cols.protocol = "livesync"
    local sub = tree:add(livesync, tvb(), "Livesync")
    local says = read(sub, tvb)
    local id = tvb:len() >= HEADER and tostring(tvb(0, 4):bytes()):lower() .. "  " or ""
    pinfo.cols.info = id .. says
    sub:append_text(": " .. id .. says)
    return tvb:len()
end

DissectorTable.get("udp.port"):add(9696, livesync)

local groups = { ["224.0.42.5"] = true, ["224.0.23.5"] = true }
livesync:register_heuristic("udp", function(tvb, pinfo, tree)
    if not groups[tostring(pinfo.dst)] or tvb:len() < HEADER or not types[tvb(4, 4):uint()] then return false end
    livesync.dissector(tvb, pinfo, tree)
    return true
end)
