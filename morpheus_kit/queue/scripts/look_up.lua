-- provider, lease ms: one uncertain message that this provider is to be asked for now, nobody else's until the lease
-- is over. {reference, element, due} or {}.
local asks, lease = asks_of(ARGV[1]), tonumber(ARGV[2])
for _, id in ipairs(call('ZRANGEBYSCORE', asks, '-inf', NOW, 'LIMIT', 0, 100)) do
  local kind, _, part_name, element = later_fields(id)
  if kind == 'u' then
    call('ZADD', asks, NOW + lease, id)
    return {part_of(part_name).group.ref .. '-' .. id, element, tonumber(call('ZSCORE', LATER, id))}
  end
  call('ZREM', asks, id) -- settled meanwhile
end
return {}
