-- One provider account, shared by all dispatchers. KEYS[1] is its hash; the prelude is not used here.
-- asker, wanted, rate (tokens a second, 0: any), burst, then what became of earlier sends: taken, failed,
-- throttled ms, rest ms, words; last, how many it has taken since that was last told.
-- Answers {tokens, wait ms, whether what becomes of them is to be told}.
local call = redis.call
local KEY = KEYS[1]
local asker, wanted, rate, burst = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local taken, failed = tonumber(ARGV[5]), tonumber(ARGV[6])
local throttled, rest, words, sent = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local FAILURES, FIRST_REST, LONGEST_REST, PROBE, LOOK = 20, 5000, 300000, 60000, 500
-- Of the last minute: one place for each bucket, and one for the bucket that the minute begins in.
local BUCKET, PLACES = 5000, 13

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local names = {'tokens', 'at', 'until', 'fails', 'opens', 'open', 'probe', 'probe_end', 'paused', 'reason'}
local state, changed = {}, {}
for i, value in ipairs(call('HMGET', KEY, unpack(names))) do state[names[i]] = value end
local function number(name) return tonumber(state[name] or 0) end
local function set(name, value) state[name], changed[#changed + 1], changed[#changed + 2] = value, name, value end

-- `cause`: `failures`, or `account` where the provider refuses our credentials or account.
local function open(length, cause)
  set('open', now + length)
  set('probe', '')
  set('cause', cause)
  set('reason', words)
end

-- What became of earlier sends.
if taken > 0 and number('open') <= now and (number('fails') > 0 or number('open') > 0) then
  for _, name in ipairs({'fails', 'opens', 'open'}) do set(name, 0) end
  set('probe', '')
  set('reason', '')
elseif failed > 0 then
  set('fails', number('fails') + failed)
  local probing = state.probe == asker and number('open') > 0
  if probing or (number('fails') >= FAILURES and number('open') <= now) then
    open(math.min(FIRST_REST * 2 ^ number('opens'), LONGEST_REST), 'failures')
    set('opens', math.min(number('opens') + 1, 10))
  end
elseif wanted == 0 and rest == 0 and state.probe == asker then
  -- The one that was to try was not sent, or told to wait: another may try.
  set('probe', '')
end
if throttled > 0 then set('until', math.max(number('until'), now + throttled)) end
if rest > 0 then open(rest, 'account') end
if sent > 0 then
  local bucket = math.floor(now / BUCKET)
  local place = 'sent:' .. bucket % PLACES
  local of, count = string.match(call('HGET', KEY, place) or '', '^(%d+) (%d+)$')
  set(place, bucket .. ' ' .. (tonumber(of) == bucket and count or 0) + sent)
end

-- Tokens.
local given, wait = 0, 0
local watched = number('fails') > 0 or number('open') > 0
if wanted > 0 then
  if state.paused and state.paused ~= '' then
    wait = LONGEST_REST
  elseif number('until') > now then
    wait = number('until') - now
  elseif number('open') > now then
    wait = number('open') - now
  elseif number('open') > 0 and state.probe and state.probe ~= '' and number('probe_end') > now then
    wait = LOOK
  else
    local most = wanted
    -- After a rest one message tries whether it is over; whoever tries has a while to tell.
    if number('open') > 0 then most = 1 end
    if rate > 0 then
      local tokens = state.tokens and math.min(burst, number('tokens') + (now - number('at')) * rate / 1000) or burst
      given = math.min(most, math.floor(tokens))
      if given == 0 then wait = math.ceil((1 - tokens) * 1000 / rate) end
      set('tokens', tostring(tokens - given))
      set('at', now)
    else
      given = most
    end
    if given > 0 and number('open') > 0 then
      set('probe', asker)
      set('probe_end', now + PROBE)
    end
  end
end
if #changed > 0 then
  call('HSET', KEY, unpack(changed))
  call('EXPIRE', KEY, 604800)
  if state.paused and state.paused ~= '' then call('PERSIST', KEY) end
end
return {given, wait, watched and 1 or 0}
