"""What the server runs for a ledger: each change, and each question, is one atomic step. See `ledger`."""

from __future__ import annotations

__all__ = ["COMPACT", "SCRIPT"]

SCRIPT = """
local state, dirtied, softened, windows, compacted = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local asked = cjson.decode(ARGV[1])
local info = redis.call('INFO', 'replication')
if string.match(info, 'role:(%a+)') ~= 'master' then return redis.error_reply('READONLY not a master') end
local replid = string.match(info, 'master_replid:(%w+)')
local format = redis.call('HGET', state, 'format')
if format and format ~= '1' then return redis.error_reply('LATERVERSION ' .. format) end
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local s = redis.call('HMGET', state, 'generation', 'epoch', 'floor', 'soft', 'replid', 'dirtied', 'softened', 'windows',
    'pushes', 'pushed')
local whole = s[1] and s[5] == replid and tonumber(s[6]) == redis.call('ZCARD', dirtied)
    and tonumber(s[7]) == redis.call('ZCARD', softened) and tonumber(s[8]) == redis.call('ZCARD', windows)
local other = asked.generation ~= '' and asked.generation ~= s[1]
local generation, epoch = s[1], tonumber(s[2] or 0)
local floor, soft = tonumber(s[3] or 0), tonumber(s[4] or 0)
local return_floor
local function text(number) return string.format('%.0f', number) end
if asked.look then
    if not s[1] then return {} end
    asked.change, other = false, false
    if not whole then return_floor, whole = epoch + 1, true end
end
if asked.change or not whole or other then
    if not whole then
        generation = asked.candidate
        epoch = math.max(epoch, math.floor(now * 1000000))
        redis.call('DEL', state, dirtied, softened, windows)
        soft = 0
    end
    if not whole or other then epoch = math.max(epoch, asked.epoch) end
    epoch = epoch + 1
    if asked.all or not whole or other then
        floor = epoch
        redis.call('DEL', dirtied)
    end
    for _, member in ipairs(asked.ended) do redis.call('ZREM', windows, member) end
    local closed = {}
    for _, id in ipairs(asked.close) do closed[id] = true end
    local there = redis.call('ZRANGE', windows, 0, -1, 'WITHSCORES')
    for i = 1, #there, 2 do
        local window = cjson.decode(there[i])
        if closed[window[1]] or (not window[3] and tonumber(there[i + 1]) <= now) then
            redis.call('ZREM', windows, there[i])
        end
    end
    for _, window in ipairs(asked.open) do
        for _, tag in ipairs(window[3]) do
            redis.call('ZADD', windows, now + window[2], cjson.encode({window[1], tag, window[2]}))
        end
    end
    for _, tag in ipairs(asked.dirty) do redis.call('ZADD', dirtied, text(epoch), tag) end
    for _, tag in ipairs(asked.soften) do redis.call('ZADD', softened, text(epoch), tag) end
    if redis.call('ZCARD', dirtied) > asked.max_tags then
        local middle = redis.call('ZRANGE', dirtied, asked.max_tags / 2, asked.max_tags / 2, 'WITHSCORES')[2]
        floor = math.max(floor, tonumber(middle))
        redis.call('ZREMRANGEBYSCORE', dirtied, '-inf', middle)
        redis.call('HINCRBY', state, 'floors', 1)
    end
    if redis.call('ZCARD', softened) > asked.max_tags then
        soft = epoch
        redis.call('DEL', softened)
        redis.call('HINCRBY', state, 'floors', 1)
    end
    local news, passed, most = generation .. ' ' .. text(epoch), now - tonumber(s[10] or 0), asked.pushes[1]
    local pushes = most
    if passed >= 0 then pushes = math.min(most, tonumber(s[9] or most) + passed * asked.pushes[2]) end
    if (#asked.open == 0 or not whole) and pushes >= 1 then
        pushes = pushes - 1
        redis.call('PUBLISH', asked.push, news)
    end
    if asked.channel ~= '' then redis.call('PUBLISH', asked.channel, news) end
    redis.call('HSET', state, 'generation', generation, 'epoch', text(epoch), 'floor', text(floor), 'soft', text(soft),
        'replid', replid, 'dirtied', redis.call('ZCARD', dirtied), 'softened', redis.call('ZCARD', softened),
        'windows', redis.call('ZCARD', windows), 'pushes', pushes, 'pushed', string.format('%.6f', now))
elseif not asked.look then
    redis.call('HSETNX', state, 'generation', generation)
end
local since = '(' .. text(asked.generation == generation and math.max(asked.epoch, 0) or 0)
local function true_floor(tags, name, told)
    return tonumber(redis.call('ZSCORE', tags, '!') and redis.call('HGET', state, name) or told)
end
if not return_floor then return_floor = true_floor(dirtied, 'true_floor', floor) end
local left = {}
local open = redis.call('ZRANGE', windows, 0, -1, 'WITHSCORES')
for i = 1, #open, 2 do
    left[#left + 1] = open[i]
    left[#left + 1] = string.format('%.6f', tonumber(open[i + 1]) - now)
end
return {generation, text(epoch), text(return_floor), text(true_floor(softened, 'true_soft', soft)),
    redis.call('ZRANGEBYSCORE', dirtied, since, '+inf', 'WITHSCORES'),
    redis.call('ZRANGEBYSCORE', softened, since, '+inf', 'WITHSCORES'), left,
    redis.call('ZRANGEBYSCORE', compacted, since, '+inf', 'WITHSCORES'), redis.call('HGET', state, 'floors') or '0',
    redis.call('ZCARD', dirtied), redis.call('ZCARD', softened), redis.call('ZCARD', windows)}
"""
"""A question, or a change and then what is new. Answers what `ledger._delta` reads."""
COMPACT = """
local state, tables, compacted = KEYS[1], {dirtied = KEYS[2], softened = KEYS[3], windows = KEYS[4]}, KEYS[5]
local asked = cjson.decode(ARGV[1])
local tags = tables[asked.table]
local info = redis.call('INFO', 'replication')
local s = redis.call('HMGET', state, 'generation', 'replid', asked.table)
if s[1] ~= asked.generation or s[2] ~= string.match(info, 'master_replid:(%w+)')
    or tonumber(s[3]) ~= redis.call('ZCARD', tags) then return 0 end
local function raise(member, score, key)
    local there = redis.call('ZSCORE', key, member)
    if not there or tonumber(there) < tonumber(score) then redis.call('ZADD', key, score, member) end
end
for _, pair in ipairs(asked.set) do raise(pair[1], pair[2], tags) end
local name = asked.table == 'softened' and 'soft' or 'floor'
local function raise_floor(name, to)
    if tonumber(to) > tonumber(redis.call('HGET', state, name) or 0) then redis.call('HSET', state, name, to) end
end
if asked.told ~= '' and redis.call('ZADD', tags, 'NX', 0, '!') == 1 then
    redis.call('HSET', state, 'true_' .. name, redis.call('HGET', state, name))
end
for _, to in ipairs({asked.told, asked.floor}) do
    if to ~= '' then raise_floor(name, to) end
end
if asked.floor ~= '' then raise_floor('true_' .. name, asked.floor) end
for _, pair in ipairs(asked.gone) do
    local there = redis.call('ZSCORE', tags, pair[1])
    if there and tonumber(there) == tonumber(pair[2]) then redis.call('ZREM', tags, pair[1]) end
end
if asked.table == 'dirtied' then
    for _, pair in ipairs(asked.set) do raise(pair[1], pair[2], compacted) end
    redis.call('ZREMRANGEBYRANK', compacted, 0, -asked.max_tags - 1)
end
redis.call('HSET', state, asked.table, redis.call('ZCARD', tags))
redis.call('HINCRBY', state, 'floors', asked.floors)
return 1
"""
"""Commits a step of a compaction, unless the ledger is another one by now."""
