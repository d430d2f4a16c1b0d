-- consumer, least idle time, count: takes over jobs that nobody finishes. {entry, part}… .
local jobs = {}
local found = call('XPENDING', GROUPS, SENDERS, 'IDLE', ARGV[2], '-', '+', ARGV[3])
for _, pending in ipairs(found) do
  for _, entry in ipairs(call('XCLAIM', GROUPS, SENDERS, ARGV[1], ARGV[2], pending[1])) do
    jobs[#jobs + 1] = {entry[1], entry[2][2]}
  end
end
if #jobs == 0 then forget_consumers(GROUPS) end
return jobs
